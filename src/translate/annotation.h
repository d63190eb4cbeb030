/*
 * The citations of an answer's text: where each cited text lies within `content`, in characters.
 */
#ifndef TRANSLATE_ANNOTATION_H
#define TRANSLATE_ANNOTATION_H

#include "translate/part.h"
#include "json/json.h"

/* All citations of one text block. */
#define ANNOTATION_BYTES_MAX (4u << 20)

struct annotations {
    uint64_t characters; /* of the answer's text so far */
    uint64_t start;      /* of the open block within it */
    bool is_begun;       /* the open block has text */
    struct buf links;    /* of the open block: members of url_citation, a line each */
    struct buf raw;      /* of the open block: its citations, elements of a JSON array */
    struct buf elements; /* what annotations_end made of the links */
};

void annotations_init(struct annotations *a);
void annotations_done(struct annotations *a);
/* A text block begins. */
void annotations_begin(struct annotations *a);
/* Text goes out; `is_apart`: behind a PART_SEPARATOR. */
void annotations_text(struct annotations *a, struct piece text, bool is_apart);
/* A citation of the open block. False when it is too large, or without memory. */
bool annotations_add(struct annotations *a, yyjson_val *citation);
/*
 * The block ends. False: too large, or without memory. *ret is valid until the next block; without
 * citations its `name` is empty.
 */
bool annotations_end(struct annotations *a, struct part *ret);

#endif

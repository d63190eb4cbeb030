/*
 * The content of one message: a string or parts -> blocks.
 */
#ifndef TRANSLATE_CONTENT_H
#define TRANSLATE_CONTENT_H

#include "translate/block.h"

/* Who speaks decides which parts there may be. */
enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_ASSISTANT, SPEAKER_TOOL };

/* A part on its way: messages[message].content[index], or one of the parts inside a part. */
struct content_part {
    size_t message, index;
    const struct content_part *parent; /* NULL = the message */
    enum speaker speaker;
    yyjson_val *v;
    struct blocks *to;
};

/* Reads `content` of message `index`; blank texts give no block. */
bool content_read(struct translation *t, size_t index, enum speaker speaker, yyjson_val *content,
                  struct blocks *ret);
/* The same for the `content` of a part, the result of a tool. */
bool content_read_inner(struct translation *t, const struct content_part *parent,
                        yyjson_val *content, struct blocks *ret);

/* The path of a part's member (".text"). Made only for errors: there may be a million parts. */
const char *content_path(struct translation *t, const struct content_part *p, const char *member);
/* The cache marker of a part; CACHE_NONE where it has none. */
bool content_cache(struct translation *t, const struct content_part *p, enum cache_ttl *ret);
/* A block of Anthropic's own is passed on as it is. */
bool content_pass(struct translation *t, const struct content_part *p);

#endif

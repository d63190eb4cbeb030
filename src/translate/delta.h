/*
 * content_block_delta events: by far the most frequent ones. The shapes in which the API writes
 * them are read without building a tree; every other way to write them is read from the tree.
 */
#ifndef TRANSLATE_DELTA_H
#define TRANSLATE_DELTA_H

#include <stdbool.h>
#include <stdint.h>

#include "translate/part.h"
#include "json/json.h"

enum delta_kind {
    DELTA_TEXT,
    DELTA_INPUT, /* a fragment of a tool call's JSON */
    DELTA_THINKING,
    DELTA_SIGNATURE,
    DELTA_CITATION,
    DELTA_OTHER /* of no meaning here: types that did not exist yet */
};

struct delta {
    enum delta_kind kind;
    int64_t index; /* of the block in the upstream's answer; -1 when it is not said */
    struct piece text;
    yyjson_val *citation; /* of DELTA_CITATION */
};

/*
 * Reads the event's JSON when it has the usual shape; borrows from `data`. False says nothing: the
 * event may be another one, another way to write it, or broken. True means that a full parse would
 * have found exactly this.
 */
bool delta_scan(struct str data, struct delta *ret);
/* Reads a parsed event; borrows from it. False when it is not one. */
bool delta_read(yyjson_val *event, struct delta *ret);

#endif

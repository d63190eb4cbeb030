/*
 * An answer before it is spoken: its blocks, its end, its usage. Both forms, JSON and events, are
 * written from it, so they say the same.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sim/directive.h"
#include "sim/prompt.h"
#include "sim/sim_error.h"
#include "sim/sim_model.h"
#include "json/json.h"

struct script_block {
    enum block_kind kind;
    enum think_display display; /* BLOCK_THINK */
    enum citation citation;     /* BLOCK_CITED */
    struct str text;            /* text, thinking, input as JSON */
    struct str signature;       /* BLOCK_THINK */
    struct str id, name;        /* of a call; a result has the id of its call */
    struct str caller;          /* BLOCK_TOOL: id of the code that calls it; .p NULL = the model */
};

struct script_usage {
    int64_t input, cache_write, cache_read, output, thinking, searches, fetches;
    int64_t cache_write_1h; /* of cache_write: what is kept for an hour */
    int64_t delta_input;    /* input as the message_delta says it */
};

struct script {
    const struct directives *d;
    struct str id;    /* msg_01... */
    struct str model; /* resolved */
    struct script_block *blocks;
    size_t n_blocks;
    struct str stop_reason;
    struct str stop_sequence;         /* .p NULL = null */
    struct str category, explanation; /* of a refusal; .p NULL = null */
    struct str container;             /* id of where code ran; .p NULL = none did */
    bool was_compacted;               /* a compaction went before: usage has iterations */
    struct script_usage usage;
    uint32_t seed; /* of the padding and the cuts */
};

/*
 * Everything is copied into `a`: neither the request nor its document is needed any more; *d is
 * borrowed for the script's life, and gets the blocks that it did not name. False with *err when
 * the directives ask for what cannot be.
 */
bool script_build(struct script *s, const struct prompt *p, struct directives *d,
                  const struct sim_model *model, yyjson_val *root, struct arena *a,
                  struct sim_error *err);
/* Bytes of the piece of `b->text` that begins at `offset`, as one delta carries it. */
size_t script_piece(const struct script *s, const struct script_block *b, size_t offset);

#endif

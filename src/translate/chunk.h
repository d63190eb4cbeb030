/*
 * Writes an answer as chat.completion.chunk events.
 */
#ifndef TRANSLATE_CHUNK_H
#define TRANSLATE_CHUNK_H

#include "translate/api_error.h"
#include "translate/part.h"
#include "translate/stream.h"
#include "translate/usage.h"

/* What all chunks of an answer begin with, written once; behind it comes the value of "choices". */
struct chunk {
    struct buf head;
    unsigned choice;
    unsigned reasoning_forms; /* a set of enum tr_reasoning_form */
    bool include_usage;
};

void chunk_init(struct chunk *c, const struct tr_stream_params *params);
void chunk_done(struct chunk *c);
/* Once, before the others below. `id` is the upstream's. */
bool chunk_begin(struct chunk *c, struct str id, struct str model, int64_t created_unix_s);

/* Of any choice of the answer: it says nothing else. */
void chunk_write_role(const struct chunk *c, unsigned choice, struct buf *out);
/* Nothing where it is reasoning of a kind that the client does not get. */
void chunk_write_part(const struct chunk *c, const struct part *part, struct buf *out);
/* The last chunk of the choice. */
void chunk_write_finish(const struct chunk *c, const char *finish_reason, const char *service_tier,
                        struct buf *out);
/* Behind the last choice: the usage if it was asked for, and [DONE]. */
void chunk_write_end(const struct chunk *c, const struct usage_report *usage, struct buf *out);
/* These two need no chunk_begin. */
void chunk_write_error(const struct api_error *e, const struct tr_usage *used, struct buf *out);
void chunk_write_ping(struct buf *out);

#endif

/*
 * A script as server-sent events, one at a time, in the grammar and the bytes of recorded streams:
 * random padding in front of the last brace, the ping behind the first content_block_start.
 */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sim/script.h"
#include "sim/sim_error.h"

enum event_step {
    EVENT_START,
    EVENT_FUTURE, /* an event of a type that nobody knows yet */
    EVENT_BLOCK_START,
    EVENT_PING,
    EVENT_DELTA,
    EVENT_BLOCK_STOP,
    EVENT_MESSAGE_DELTA,
    EVENT_STOP,
    EVENT_DONE,
};

/* Where a stream stands. */
struct event_cursor {
    enum event_step step; /* the next event */
    size_t block, offset; /* in which block, how much of its text is out */
    int64_t piece;        /* deltas of this block so far */
    int64_t n_deltas;     /* of all blocks */
    int64_t n_repeats;    /* of a step that directives repeat */
    uint32_t random;
    bool has_pinged;
};

void event_begin(struct event_cursor *c, const struct script *s);
/* Appends the event at the cursor and moves on. `now_us` is Unix time, for stamps. */
void event_write(struct event_cursor *c, const struct script *s, int64_t now_us, struct buf *b);
void event_write_ping(const struct script *s, struct buf *b);
void event_write_error(const struct script *s, const struct sim_error *e, struct str request_id,
                       struct buf *b);
/* Something that is no event. */
void event_write_garbage(struct buf *b);
/* Deltas of the whole stream. */
int64_t event_count_deltas(const struct script *s);

#endif

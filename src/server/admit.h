/*
 * The proxy's own rate limits: requests and tokens per minute, shared by all workers without a
 * lock. Tokens are taken from an estimate before the request is sent and settled with what the
 * upstream counted. Time is a parameter.
 */
#ifndef SERVER_ADMIT_H
#define SERVER_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "limits/bucket.h"

struct admit {
    struct bucket requests, tokens;
};

/* What one request has taken. */
struct admit_ticket {
    int64_t requests, tokens;
};

enum admit_result {
    ADMIT_OK,
    ADMIT_WAIT,     /* *ret_wait_ms says how long */
    ADMIT_TOO_LARGE /* larger than the whole bucket: no waiting helps */
};

void admit_init(struct admit *a, int64_t requests_per_minute, int64_t tokens_per_minute);
/* Other limits from now on. What requests under way have taken is settled by the new ones. */
void admit_resize(struct admit *a, int64_t now_us, int64_t requests_per_minute,
                  int64_t tokens_per_minute);
/* Takes `n` requests. When they are refused those that the ticket has are given back too. */
enum admit_result admit_requests(struct admit *a, int64_t now_us, int64_t n, struct admit_ticket *t,
                                 int64_t *ret_wait_ms);
/* Takes `estimate` tokens. When they are refused the requests are given back too. */
enum admit_result admit_tokens(struct admit *a, int64_t now_us, int64_t estimate,
                               struct admit_ticket *t, int64_t *ret_wait_ms);
/* Gives back all that the ticket has: nothing was sent. */
void admit_undo(struct admit *a, int64_t now_us, struct admit_ticket *t);
/* Replaces the estimate by what was used. Does nothing when nothing was taken. */
void admit_settle(struct admit *a, int64_t now_us, struct admit_ticket *t, int64_t used);

/* The x-ratelimit-* lines of the limits that are set. */
void admit_write_levels(const struct admit *a, int64_t now_us, struct buf *out);
/* retry-after (whole seconds, rounded up) and retry-after-ms. */
void admit_write_wait(int64_t wait_ms, struct buf *out);

#endif

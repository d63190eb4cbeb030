/*
 * How the upstream was last seen, and the answer of GET /health.
 */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "upstream/upstream.h"

/* Written by all workers. Zeroed = nothing seen yet. */
struct health {
    _Atomic int64_t last_ok_us, last_failed_us; /* monotonic; 0 = never */
    _Atomic int last_failure;                   /* an HTTP status, or -1 - enum upstream_failure */
};

/* The upstream answered with this status. */
void health_saw_status(struct health *h, int64_t now_us, int status);
void health_saw_failure(struct health *h, int64_t now_us, enum upstream_failure why);
/* "timed_out" */
const char *health_failure_word(enum upstream_failure why);
/* The answer's JSON. */
void health_write(const struct health *h, int64_t now_us, bool is_draining, struct buf *out);

#endif

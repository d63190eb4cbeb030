/*
 * A circuit breaker for the upstream as a whole: when nearly everything fails, requests are refused
 * at once instead of each waiting for its own failure, and one at a time tries whether it is back.
 * Shared by all workers without a lock. Time is a parameter (monotonic).
 */
#ifndef LIMITS_BREAKER_H
#define LIMITS_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Outcomes are counted in spans of this length; the last span and this one decide. */
#define BREAKER_SPAN_US INT64_C(5000000)
/* It opens when at least so many came to an end in that time ... */
#define BREAKER_COUNT_MIN 20
/* ... and at least so many of a hundred of them failed. */
#define BREAKER_FAILED_PERCENT 90
/* For how long it is open at first; twice as long each time that a try fails. */
#define BREAKER_OPEN_FIRST_US INT64_C(1000000)
#define BREAKER_OPEN_MAX_US   INT64_C(5000000)

struct breaker {
    /* The span's number in the upper half, failed and all outcomes in 16 bits each. */
    _Atomic uint64_t now, last;
    _Atomic int64_t open_until_us; /* 0: closed. In the past: somebody may try */
    _Atomic int64_t open_for_us;
};

enum breaker_answer {
    BREAKER_CLOSED, /* go on */
    BREAKER_TRY,    /* go on: this one finds out; its outcome must be told */
    BREAKER_OPEN    /* refuse; *ret_wait_ms until somebody may try */
};

/* All zero is a closed breaker. */
enum breaker_answer breaker_ask(struct breaker *b, int64_t now_us, int64_t *ret_wait_ms);
/*
 * How an attempt ended; `was_try`: breaker_ask had said BREAKER_TRY. One whose outcome says nothing
 * (the client left) is not told. True when this opened or closed the breaker.
 */
bool breaker_tell(struct breaker *b, int64_t now_us, bool failed, bool was_try);
/* A try ended without an outcome: another may try. */
void breaker_forget(struct breaker *b, int64_t now_us);
bool breaker_is_open(const struct breaker *b);

#endif

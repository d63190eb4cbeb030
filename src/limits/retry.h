/*
 * When to try again: full-jitter backoff, and a budget that keeps retries a share of the requests,
 * so that a storm of failures cannot feed itself. Time and chance are parameters.
 */
#ifndef LIMITS_RETRY_H
#define LIMITS_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Each request pays for this many thousandths of a retry: one retry for two requests. Three
 * failures in ten, as one sees them in a bad hour, want 0.39 of a retry each; more than half as
 * much load again an upstream in trouble shall never get.
 */
#define RETRY_SHARE_MILLI 500
/* What may have been saved up, in retries: a lull, or the start, is worth this many. */
#define RETRY_SAVED_MAX 100

/* Before attempt 1 (the first retry) at most FIRST, doubling with each up to MAX. */
#define RETRY_BACKOFF_FIRST_MS 500
#define RETRY_BACKOFF_MAX_MS   8000

/* Shared by all workers. */
struct retry_budget {
    _Atomic int64_t
        milli; /* retries that may be made, in thousandths; 0 .. RETRY_SAVED_MAX * 1000 */
};

/* Starts full. */
void retry_budget_init(struct retry_budget *b);
/* A request came. */
void retry_budget_earn(struct retry_budget *b);
/* Takes one retry if there is one. */
bool retry_budget_spend(struct retry_budget *b);

/*
 * How long to wait before retry number `n` (1 = the first): evenly spread between nothing and the
 * bound, so that those who failed together do not come back together. `chance` is any number, taken
 * from a source that spreads evenly.
 */
int64_t retry_backoff_ms(unsigned n, uint32_t chance);

#endif

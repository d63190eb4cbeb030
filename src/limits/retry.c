/*
 * The retry budget and the backoff.
 */
#include "limits/retry.h"

#define RETRY_MILLI 1000

void retry_budget_init(struct retry_budget *b)
{
    atomic_init(&b->milli, (int64_t)RETRY_SAVED_MAX * RETRY_MILLI);
}

void retry_budget_earn(struct retry_budget *b)
{
    const int64_t max = (int64_t)RETRY_SAVED_MAX * RETRY_MILLI;
    int64_t old = atomic_load_explicit(&b->milli, memory_order_relaxed), next;
    do {
        if (old == max)
            return; /* as a rule: nothing is written while nothing fails */
        next = old + RETRY_SHARE_MILLI > max ? max : old + RETRY_SHARE_MILLI;
    } while (!atomic_compare_exchange_weak_explicit(&b->milli, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool retry_budget_spend(struct retry_budget *b)
{
    int64_t old = atomic_load_explicit(&b->milli, memory_order_relaxed);
    do {
        if (old < RETRY_MILLI)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->milli, &old, old - RETRY_MILLI,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

int64_t retry_backoff_ms(unsigned n, uint32_t chance)
{
    int64_t bound = RETRY_BACKOFF_FIRST_MS;
    while (n-- > 1 && bound < RETRY_BACKOFF_MAX_MS)
        bound *= 2;
    if (bound > RETRY_BACKOFF_MAX_MS)
        bound = RETRY_BACKOFF_MAX_MS;
    return (int64_t)(((uint64_t)chance * (uint64_t)(bound + 1)) >> 32);
}

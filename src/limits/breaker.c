/*
 * The circuit breaker. While it is closed an outcome costs one atomic addition.
 *
 * Opening and trying are decided by whoever wins the exchange of `open_until_us`; the winner of a
 * try moves that instant on, so that nobody else tries before the next is due, even when the try
 * never tells.
 */
#include "limits/breaker.h"

#define COUNT_MAX 0xffffu

static uint32_t span_of(uint64_t counts)
{
    return (uint32_t)(counts >> 32);
}

static uint32_t failed_of(uint64_t counts)
{
    return (uint32_t)(counts >> 16) & COUNT_MAX;
}

static uint32_t all_of(uint64_t counts)
{
    return (uint32_t)counts & COUNT_MAX;
}

static uint64_t add(uint64_t counts, bool failed)
{
    if (all_of(counts) == COUNT_MAX)
        return counts; /* enough to judge by */
    return counts + 1 + (failed ? UINT64_C(1) << 16 : 0);
}

/* Counts, and says whether nearly all has failed lately. */
static bool count(struct breaker *b, int64_t now_us, bool failed)
{
    const uint32_t span = (uint32_t)(now_us / BREAKER_SPAN_US) + 1;
    uint64_t old = atomic_load(&b->now), next;
    do {
        next = add(span_of(old) == span ? old : (uint64_t)span << 32, failed);
    } while (!atomic_compare_exchange_weak(&b->now, &old, next));
    if (span_of(old) != span)
        atomic_store(&b->last, old);
    const uint64_t last = atomic_load(&b->last);
    const bool is_adjacent = span_of(last) + 1 == span;
    const uint32_t all = all_of(next) + (is_adjacent ? all_of(last) : 0);
    const uint32_t bad = failed_of(next) + (is_adjacent ? failed_of(last) : 0);
    return all >= BREAKER_COUNT_MIN && bad * 100 >= all * BREAKER_FAILED_PERCENT;
}

static void forget_counts(struct breaker *b)
{
    atomic_store(&b->last, 0);
    atomic_store(&b->now, 0);
}

enum breaker_answer breaker_ask(struct breaker *b, int64_t now_us, int64_t *ret_wait_ms)
{
    int64_t until = atomic_load_explicit(&b->open_until_us, memory_order_relaxed);
    if (until == 0)
        return BREAKER_CLOSED;
    if (now_us >= until && atomic_compare_exchange_strong(&b->open_until_us, &until,
                                                          now_us + atomic_load(&b->open_for_us)))
        return BREAKER_TRY;
    if (until == 0)
        return BREAKER_CLOSED;
    const int64_t wait_us = until - now_us;
    *ret_wait_ms = wait_us <= 0 ? 1 : (wait_us + 999) / 1000;
    return BREAKER_OPEN;
}

static bool open_it(struct breaker *b, int64_t now_us)
{
    int64_t closed = 0;
    if (!atomic_compare_exchange_strong(&b->open_until_us, &closed, now_us + BREAKER_OPEN_FIRST_US))
        return false;
    atomic_store(&b->open_for_us, BREAKER_OPEN_FIRST_US);
    return true;
}

static bool close_it(struct breaker *b)
{
    forget_counts(b);
    return atomic_exchange(&b->open_until_us, 0) != 0;
}

/* A try failed: the next one later. */
static void stay_open(struct breaker *b, int64_t now_us)
{
    int64_t span = atomic_load(&b->open_for_us) * 2;
    if (span > BREAKER_OPEN_MAX_US)
        span = BREAKER_OPEN_MAX_US;
    atomic_store(&b->open_for_us, span);
    atomic_store(&b->open_until_us, now_us + span);
}

bool breaker_tell(struct breaker *b, int64_t now_us, bool failed, bool was_try)
{
    if (!breaker_is_open(b))
        return count(b, now_us, failed) && open_it(b, now_us);
    if (!failed)
        return close_it(b);
    if (was_try) /* others fail late: they were under way when it opened */
        stay_open(b, now_us);
    return false;
}

void breaker_forget(struct breaker *b, int64_t now_us)
{
    if (breaker_is_open(b))
        atomic_store(&b->open_until_us, now_us);
}

bool breaker_is_open(const struct breaker *b)
{
    return atomic_load_explicit(&b->open_until_us, memory_order_relaxed) != 0;
}

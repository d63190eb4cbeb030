/*
 * One counter, without a lock.
 */
#include "server/body_budget.h"

static bool fits(int64_t held, int64_t max, int64_t n)
{
    return max == 0 || n <= max - held; /* held may be above a max that was lowered */
}

bool body_budget_take(struct body_budget *b, int64_t max, int64_t n)
{
    int64_t held = atomic_load_explicit(&b->held, memory_order_relaxed);
    do {
        if (!fits(held, max, n))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->held, &held, held + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void body_budget_give(struct body_budget *b, int64_t n)
{
    atomic_fetch_sub_explicit(&b->held, n, memory_order_relaxed);
}

bool body_budget_has(const struct body_budget *b, int64_t max, int64_t n)
{
    return fits(atomic_load_explicit(&b->held, memory_order_relaxed), max, n);
}

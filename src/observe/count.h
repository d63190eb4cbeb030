/*
 * Counters that one thread raises and any may read at the same time: no lock, no locked
 * instruction.
 */
#ifndef OBSERVE_COUNT_H
#define OBSERVE_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* There is one writer: what is read is what is there. */
static inline void count_add(_Atomic uint64_t *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t count_get(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

#endif

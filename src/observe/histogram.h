/*
 * How often a quantity lay between fixed bounds. One thread adds, any may read at the same time.
 * Durations are microseconds here and seconds in what is written.
 */
#ifndef OBSERVE_HISTOGRAM_H
#define OBSERVE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "observe/count.h"

#define HISTOGRAM_BOUNDS_MAX 20

/* Static and rising. */
struct histogram_bounds {
    size_t n;
    int64_t at[HISTOGRAM_BOUNDS_MAX];
};

struct histogram { /* a zeroed one is ready */
    _Atomic uint64_t
        counts[HISTOGRAM_BOUNDS_MAX + 1]; /* each for itself; [n] is above all bounds */
    _Atomic uint64_t sum;
};

/* A negative value counts as 0: clocks are read at different times. */
void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, int64_t value);
/* Adds what `from` holds; `to` is this thread's. */
void histogram_sum(struct histogram *to, const struct histogram *from);

#endif

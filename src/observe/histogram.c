/*
 * A bucket for each bound, a sum. The number of all is the sum of the buckets, so that a reader
 * never sees one that does not fit them.
 */
#include "observe/histogram.h"

void histogram_add(struct histogram *h, const struct histogram_bounds *bounds, int64_t value)
{
    size_t i = 0;
    if (value < 0)
        value = 0;
    while (i < bounds->n && value > bounds->at[i])
        i++;
    count_add(&h->counts[i], 1);
    count_add(&h->sum, (uint64_t)value);
}

void histogram_sum(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        count_add(&to->counts[i], count_get(&from->counts[i]));
    count_add(&to->sum, count_get(&from->sum));
}

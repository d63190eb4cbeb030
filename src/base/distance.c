/*
 * Levenshtein's distance, one row of the table at a time.
 */
#include "base/distance.h"

static size_t least(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

size_t distance_between(struct str a, struct str b)
{
    size_t row[DISTANCE_BYTES_MAX + 1];
    if (a.n > DISTANCE_BYTES_MAX || b.n > DISTANCE_BYTES_MAX)
        return SIZE_MAX;
    for (size_t k = 0; k <= b.n; k++)
        row[k] = k;
    for (size_t i = 0; i < a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < b.n; k++) {
            size_t above = row[k + 1];
            row[k + 1] = least(above + 1, row[k] + 1, diagonal + (a.p[i] != b.p[k]));
            diagonal = above;
        }
    }
    return row[b.n];
}

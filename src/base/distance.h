/*
 * How far apart two words are, for "did you mean".
 */
#ifndef BASE_DISTANCE_H
#define BASE_DISTANCE_H

#include "base/str.h"

#define DISTANCE_BYTES_MAX 64

/*
 * Bytes to insert, delete or replace until `a` is `b` (Levenshtein). SIZE_MAX when either is longer
 * than DISTANCE_BYTES_MAX: no typing mistake.
 */
size_t distance_between(struct str a, struct str b);

#endif

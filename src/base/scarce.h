/*
 * Test support: memory that runs out. The test program is linked with --wrap for malloc, calloc and
 * realloc.
 */
#ifndef BASE_SCARCE_H
#define BASE_SCARCE_H

#include <stdbool.h>

/* After `n` more allocations one fails, and, with `is_lasting`, all behind it too. */
void scarce_begin(long n, bool is_lasting);
/* Allocations succeed again. Returns whether one has failed. */
bool scarce_end(void);
/* For what allocates by other ways: whether this once it may. Counts as an allocation. */
bool scarce_may_allocate(void);

#endif

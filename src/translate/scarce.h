/*
 * Test support: memory that runs out. The test program is linked with --wrap for malloc, calloc,
 * realloc and yyjson_read_opts, whose own allocations count as one.
 */
#ifndef TRANSLATE_SCARCE_H
#define TRANSLATE_SCARCE_H

#include <stdbool.h>

/* After `n` more allocations one fails, and, with `is_lasting`, all behind it too. */
void scarce_begin(long n, bool is_lasting);
/* Allocations succeed again. Returns whether one has failed. */
bool scarce_end(void);

#endif

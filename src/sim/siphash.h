/*
 * The keyed hash behind signatures and remembered prefixes.
 */
#ifndef SIM_SIPHASH_H
#define SIM_SIPHASH_H

#include "base/siphash.h"

/* Keyed with the simulator's own key. */
struct digest siphash(const void *data, size_t n);

#endif

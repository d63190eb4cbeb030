/*
 * SipHash-2-4 with 128 bits: the keyed hash behind signatures and remembered prefixes.
 */
#ifndef SIM_SIPHASH_H
#define SIM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct digest {
    uint64_t a, b;
};

/* Keyed with the simulator's own key. */
struct digest siphash(const void *data, size_t n);

#endif

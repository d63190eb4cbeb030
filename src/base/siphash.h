/*
 * SipHash-2-4 with 128 bits, a keyed hash: whoever has not the key can neither make nor foresee a
 * digest. Takes what it hashes in pieces.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct digest {
    uint64_t a, b;
};

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash {
    uint64_t v0, v1, v2, v3;
    uint64_t tail; /* bytes that do not make a word yet */
    size_t n;      /* bytes so far */
};

struct siphash siphash_begin(struct siphash_key key);
void siphash_add(struct siphash *s, struct str bytes);
/* Of what was added so far; more may follow. */
struct digest siphash_end(const struct siphash *s);

static inline bool digest_eq(struct digest x, struct digest y)
{
    return x.a == y.a && x.b == y.b;
}

#endif

/*
 * SipHash as its authors publish it.
 */
#include "base/siphash.h"

#define WORD_BYTES 8

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void rounds(struct siphash *s, unsigned n)
{
    for (; n > 0; n--) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

static uint64_t read_word(const unsigned char *p)
{
    uint64_t word = 0;
    for (size_t i = 0; i < WORD_BYTES; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static void absorb(struct siphash *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

struct siphash siphash_begin(struct siphash_key key)
{
    return (struct siphash){.v0 = key.k0 ^ 0x736f6d6570736575u,
                            .v1 = key.k1 ^ 0x646f72616e646f6du ^ 0xee,
                            .v2 = key.k0 ^ 0x6c7967656e657261u,
                            .v3 = key.k1 ^ 0x7465646279746573u};
}

static void add_byte(struct siphash *s, unsigned char byte)
{
    s->tail |= (uint64_t)byte << (8 * (s->n % WORD_BYTES));
    if (++s->n % WORD_BYTES != 0)
        return;
    absorb(s, s->tail);
    s->tail = 0;
}

void siphash_add(struct siphash *s, struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t left = bytes.n;
    for (; left > 0 && s->n % WORD_BYTES != 0; left--)
        add_byte(s, *p++);
    for (; left >= WORD_BYTES; left -= WORD_BYTES, p += WORD_BYTES) {
        absorb(s, read_word(p));
        s->n += WORD_BYTES;
    }
    for (; left > 0; left--)
        add_byte(s, *p++);
}

struct digest siphash_end(const struct siphash *s)
{
    struct siphash end = *s;
    struct digest d;
    absorb(&end, end.tail | (uint64_t)end.n << 56);
    end.v2 ^= 0xee;
    rounds(&end, 4);
    d.a = end.v0 ^ end.v1 ^ end.v2 ^ end.v3;
    end.v1 ^= 0xdd;
    rounds(&end, 4);
    d.b = end.v0 ^ end.v1 ^ end.v2 ^ end.v3;
    return d;
}

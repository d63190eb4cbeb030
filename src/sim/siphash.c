/*
 * SipHash as its authors publish it, with the output of 128 bits.
 */
#include "sim/siphash.h"

#define KEY_0 0x73696d756c61746fu /* any key will do: nothing real is signed with it */
#define KEY_1 0x7220736967732e2eu

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void rounds(struct sip *s, unsigned n)
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

static uint64_t read_word(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

struct digest siphash(const void *data, size_t n)
{
    const unsigned char *p = data;
    struct sip s = {KEY_0 ^ 0x736f6d6570736575u, KEY_1 ^ 0x646f72616e646f6du ^ 0xee,
                    KEY_0 ^ 0x6c7967656e657261u, KEY_1 ^ 0x7465646279746573u};
    size_t rest = n;
    for (; rest >= 8; rest -= 8, p += 8)
        absorb(&s, read_word(p, 8));
    absorb(&s, read_word(p, rest) | (uint64_t)n << 56);
    struct digest d;
    s.v2 ^= 0xee;
    rounds(&s, 4);
    d.a = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    d.b = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return d;
}

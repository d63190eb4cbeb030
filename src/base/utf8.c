/*
 * UTF-8 validation and cutting.
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the valid character at `p` (at most `n` bytes there), 0 when there is none. */
static size_t char_bytes(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < need)
        return 0;
    unsigned char low = 0x80, high = 0xbf; /* the range of the second byte */
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return need;
}

/* Bytes of ASCII that `p` begins with, eight at a time: the rest of a run is for the caller. */
static size_t ascii_bytes(const unsigned char *p, size_t n)
{
    size_t i = 0;
    for (uint64_t eight; n - i >= sizeof(eight); i += sizeof(eight)) {
        memcpy(&eight, p + i, sizeof(eight));
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool utf8_is_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        if (p[i] < 0x80) {
            const size_t run = ascii_bytes(p + i, s.n - i);
            i += run ? run : 1;
            continue;
        }
        const size_t step = char_bytes(p + i, s.n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

struct str utf8_cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    size_t n = max;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return (struct str){s.p, n};
}

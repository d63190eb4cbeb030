/*
 * The token rule.
 */
#include "sim/token.h"

#include <stdbool.h>

#define WORD_BYTES 8

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t token_bytes(struct str s)
{
    size_t i = 0;
    while (i < s.n && is_blank(s.p[i]))
        i++;
    if (i == s.n)
        return i;
    if (is_word(s.p[i])) {
        size_t end = i + WORD_BYTES;
        while (i < s.n && i < end && is_word(s.p[i]))
            i++;
        return i;
    }
    i++;
    while (i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80) /* never inside a character */
        i++;
    return i;
}

int64_t token_count(struct str s)
{
    int64_t n = 0;
    while (s.n) {
        size_t step = token_bytes(s);
        s.p += step;
        s.n -= step;
        n++;
    }
    return n;
}

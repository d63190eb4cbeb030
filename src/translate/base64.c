/*
 * Base64, the standard alphabet.
 */
#include "translate/base64.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

int base64_byte(struct str text, size_t i)
{
    size_t at = i / 3 * 4 + i % 3; /* the byte's first bits are in this character */
    if (i > text.n || at + 1 >= text.n)
        return -1;
    int high = value_of(text.p[at]), low = value_of(text.p[at + 1]);
    if (high < 0 || low < 0)
        return -1;
    switch (i % 3) {
    case 0:
        return (high << 2 | low >> 4) & 0xff;
    case 1:
        return (high << 4 | low >> 2) & 0xff;
    default:
        return (high << 6 | low) & 0xff;
    }
}

bool base64_decode(struct arena *arena, struct str text, struct str *ret)
{
    *ret = (struct str){0};
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    if (text.n % 4 == 1)
        return true;
    size_t n = text.n / 4 * 3 + (text.n % 4 ? text.n % 4 - 1 : 0);
    char *p = arena_alloc(arena, n + 1);
    if (!p)
        return false;
    for (size_t i = 0; i < n; i++) {
        int byte = base64_byte(text, i);
        if (byte < 0)
            return true;
        p[i] = (char)byte;
    }
    *ret = (struct str){p, n};
    return true;
}

struct str base64_encode(struct arena *arena, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = (bytes.n + 2) / 3 * 4;
    char *p = arena_alloc(arena, n + 1), *at = p;
    if (!p)
        return (struct str){0};
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        unsigned v = (unsigned)(unsigned char)bytes.p[i] << 16;
        v |= left > 1 ? (unsigned)(unsigned char)bytes.p[i + 1] << 8 : 0;
        v |= left > 2 ? (unsigned)(unsigned char)bytes.p[i + 2] : 0;
        *at++ = digits[v >> 18];
        *at++ = digits[v >> 12 & 63];
        *at++ = left > 1 ? digits[v >> 6 & 63] : '=';
        *at++ = left > 2 ? digits[v & 63] : '=';
    }
    return (struct str){p, n};
}

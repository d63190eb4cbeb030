/*
 * White space as the upstream sees it when it refuses a text for having nothing else.
 */
#include "translate/text.h"

#include <string.h>

/* Bytes of the white space character that `s` begins with; 0 when it begins with another. */
static size_t blank_len(struct str s)
{
    static const char *const wide[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
        "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
        "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    if (s.n == 0)
        return 0;
    unsigned char c = (unsigned char)s.p[0];
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    for (size_t i = 0; i < PX_ARRAY_LEN(wide); i++)
        if (str_starts(s, str_of(wide[i])))
            return strlen(wide[i]);
    return 0;
}

bool text_is_blank(struct str s)
{
    size_t n;
    while ((n = blank_len(s)) > 0) {
        s.p += n;
        s.n -= n;
    }
    return s.n == 0;
}

struct str text_trim_end(struct str s)
{
    for (;;) {
        size_t n = 0;
        for (size_t back = 1; back <= 3 && back <= s.n && n == 0; back++)
            if (blank_len((struct str){s.p + s.n - back, back}) == back)
                n = back;
        if (n == 0)
            return s;
        s.n -= n;
    }
}

/*
 * Counted text: compare, search, split, read numbers. Allocates nothing.
 */
#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/*
 * Names and values of headers are short and many: eight bytes at a time in a plain word, the last
 * eight of a text over again where it is not a multiple. A byte never carries into the next: see
 * what is masked.
 */
#define WORD_BYTES 8
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static uint64_t lower_word(uint64_t word)
{
    const uint64_t low = word & EACH(0x7f);
    const uint64_t from_a = low + EACH(0x80 - 'A'), behind_z = low + EACH(0x7f - 'Z');
    return word | ((from_a & ~behind_z & ~word & EACH(0x80)) >> 2); /* 0x80 becomes 0x20 */
}

bool str_same_nocase(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    if (n >= WORD_BYTES) {
        for (; n - i >= WORD_BYTES; i += WORD_BYTES)
            if (lower_word(load(a + i)) != lower_word(load(b + i)))
                return false;
        i = n - WORD_BYTES;
        return lower_word(load(a + i)) == lower_word(load(b + i));
    }
    for (; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

void str_lower(char *to, struct str s)
{
    size_t i = 0;
    if (s.n >= WORD_BYTES) {
        const uint64_t last = lower_word(load(s.p + s.n - WORD_BYTES));
        for (; s.n - i > WORD_BYTES; i += WORD_BYTES) {
            const uint64_t word = lower_word(load(s.p + i));
            memcpy(to + i, &word, sizeof(word));
        }
        memcpy(to + s.n - WORD_BYTES, &last, sizeof(last));
        return;
    }
    for (; i < s.n; i++)
        to[i] = lower(s.p[i]);
}

/* Not 0 if any byte is below the blank or above the tilde. */
static uint64_t odd_of(uint64_t word)
{
    return ((word - EACH(' ')) | (word + EACH(0x7f - '~')) | word) & EACH(0x80);
}

bool str_is_printable(struct str s)
{
    uint64_t odd = 0;
    size_t i = 0;
    if (s.n >= WORD_BYTES) {
        for (; s.n - i >= WORD_BYTES; i += WORD_BYTES)
            odd |= odd_of(load(s.p + i));
        return (odd | odd_of(load(s.p + s.n - WORD_BYTES))) == 0;
    }
    for (; i < s.n; i++)
        odd |= s.p[i] < ' ' || s.p[i] > '~';
    return odd == 0;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? hit - s.p : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim_blanks(struct str s)
{
    while (s.n && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *ret_part)
{
    if (rest->n == 0)
        return false;
    const char *hit = memchr(rest->p, sep, rest->n);
    size_t part = hit ? (size_t)(hit - rest->p) : rest->n;
    size_t step = hit ? part + 1 : part;
    *ret_part = (struct str){rest->p, part};
    *rest = (struct str){rest->p + step, rest->n - step};
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool str_to_double(struct str s, double *ret)
{
    char z[64];
    if (s.n == 0 || s.n >= sizeof(z))
        return false;
    for (size_t i = 0; i < s.n; i++) /* keeps hexadecimal, "inf" and "nan" out */
        if (!memchr("+-.0123456789eE", s.p[i], 15))
            return false;
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    if (!c_locale)
        return false;
    char *end;
    double v = strtod_l(z, &end, c_locale);
    if (end != z + s.n || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

bool str_eq_constant_time(struct str a, struct str b)
{
    volatile unsigned diff = a.n != b.n;
    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned)(unsigned char)a.p[i] ^ (unsigned)(unsigned char)(b.n ? b.p[i % b.n] : 0);
    return diff == 0;
}

/*
 * A borrowed, counted piece of text: never owned, never NUL-terminated by promise.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

struct str {
    const char *p;
    size_t n;
};

/* A str for a string literal. */
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
/* Arguments for "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

/* NULL gives an empty str. */
static inline struct str str_of(const char *z)
{
    return (struct str){z ? z : "", z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_same_nocase(const char *a, const char *b, size_t n);

/* ASCII only. Inline, as most of what is compared with a name has another length. */
static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && str_same_nocase(a.p, b.p, a.n);
}

/* Writes `s` to `to`, which has room for it, with ASCII's capitals made small. */
void str_lower(char *to, struct str s);
/* Nothing but ASCII from the blank to the tilde. */
bool str_is_printable(struct str s);

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq((struct str){s.p + (s.n - suffix.n), suffix.n}, suffix);
}

/* Whether `s` is a piece of `whole`: the very bytes. */
static inline bool str_is_within(struct str s, struct str whole)
{
    const uintptr_t at = (uintptr_t)s.p - (uintptr_t)whole.p;
    return (uintptr_t)s.p >= (uintptr_t)whole.p && at <= whole.n && s.n <= whole.n - at;
}

/* Offset of the first `needle` in `s`, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);
struct str str_trim_blanks(struct str s);

/* Without ASCII blanks, tabs and line ends on both sides: most texts have none. */
static inline struct str str_trim(struct str s)
{
    return s.n > 0 && s.p[0] > ' ' && s.p[s.n - 1] > ' ' ? s : str_trim_blanks(s);
}

/* Everything up to the first `sep` of *rest; moves *rest behind it. False when *rest is empty. */
bool str_split(struct str *rest, char sep, struct str *ret_part);
/* Whole of `s` as a decimal number, no sign, no blanks; false on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *ret);
/* Whole of `s` as a finite decimal number ("0.1", "-3", "1e3"), independent of the locale. */
bool str_to_double(struct str s, double *ret);
/* Equal in content, in time that depends on the lengths only. For secrets. */
bool str_eq_constant_time(struct str a, struct str b);

#endif

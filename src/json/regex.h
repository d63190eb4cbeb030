/*
 * Regular expressions of JSON Schemas, without captures, in time that is linear in the text:
 * patterns come from anybody. Of ECMA-262 everything but what needs more than that: back
 * references, look-ahead and look-behind, \p{...}.
 */
#ifndef JSON_REGEX_H
#define JSON_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define REGEX_OPS_MAX    1024
#define REGEX_RANGES_MAX 256

struct regex_op {
    uint8_t kind;
    bool is_negated; /* a class */
    int32_t x, y;    /* a character; ranges from x on, y of them; ways, relative to this */
};

struct regex {
    struct regex_op ops[REGEX_OPS_MAX];
    struct {
        uint32_t from, to;
    } ranges[REGEX_RANGES_MAX];
    size_t n_ops, n_ranges;
};

/* False when the pattern is malformed, too large, or needs what is not supported. */
bool regex_compile(struct regex *re, struct str pattern);
/*
 * Whether a part of `text` (valid UTF-8) matches. Takes what it does off *steps; false with 0
 * there: it could not be finished.
 */
bool regex_matches(const struct regex *re, struct str text, size_t *steps);

#endif

/*
 * UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>

#include "base/str.h"

bool utf8_is_valid(struct str s);
/* The longest part of `s`, at most `max` bytes, that ends between two characters. */
struct str utf8_cut(struct str s, size_t max);

#endif

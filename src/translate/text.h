/*
 * What counts as blank in a text.
 */
#ifndef TRANSLATE_TEXT_H
#define TRANSLATE_TEXT_H

#include "base/str.h"

/* One of ASCII's. */
static inline bool text_is_blank_char(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
/* Nothing but white space, Unicode's included. */
bool text_is_blank(struct str s);
/* Without the white space at its end. */
struct str text_trim_end(struct str s);

#endif

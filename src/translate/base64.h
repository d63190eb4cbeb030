/*
 * Base64 (RFC 4648) as clients send files. Reading is lenient about padding; the upstream judges
 * what is passed on to it.
 */
#ifndef TRANSLATE_BASE64_H
#define TRANSLATE_BASE64_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* Byte `i` of what `text` encodes, found without decoding the rest; -1 where there is none. */
int base64_byte(struct str text, size_t i);
/* What `text` encodes, in the arena; .p is NULL when it is no base64. False without memory. */
bool base64_decode(struct arena *arena, struct str text, struct str *ret);
/* .p is NULL without memory. */
struct str base64_encode(struct arena *arena, struct str bytes);

#endif

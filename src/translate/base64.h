/*
 * Base64 (RFC 4648) as clients send files. Reading is lenient about padding; the upstream judges
 * what is passed on to it.
 */
#ifndef TRANSLATE_BASE64_H
#define TRANSLATE_BASE64_H

#include "base/arena.h"
#include "base/str.h"

/* Byte `i` of what `text` encodes, found without decoding the rest; -1 where there is none. */
int base64_byte(struct str text, size_t i);
/* What `text` encodes; .p is NULL when it is no base64, or without memory. Lives in the arena. */
struct str base64_decode(struct arena *arena, struct str text);
/* .p is NULL without memory. */
struct str base64_encode(struct arena *arena, struct str bytes);

#endif

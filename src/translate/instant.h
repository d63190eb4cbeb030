/*
 * Points in time as Anthropic writes them (RFC 3339).
 */
#ifndef TRANSLATE_INSTANT_H
#define TRANSLATE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* "2026-11-22T10:06:00Z", "2026-11-22T10:06:00.5+02:00" -> milliseconds since 1970. */
bool instant_parse(struct str s, int64_t *ret_unix_ms);

#endif

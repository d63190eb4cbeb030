/*
 * Tokens, roughly as Claude counts them: a run of up to eight letters or digits, or one other
 * visible character. Deterministic, and cut where real deltas are cut: between tokens.
 */
#ifndef SIM_TOKEN_H
#define SIM_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Bytes of the token that begins at s.p, blanks in front of it included; s.n at the end. */
size_t token_bytes(struct str s);
int64_t token_count(struct str s);

#endif

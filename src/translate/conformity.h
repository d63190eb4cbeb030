/*
 * Whether a whole answer is the JSON that response_format asked for. What the upstream's decoder
 * was told is less than what the client said: constraints went into descriptions, or all of the
 * schema into the prompt.
 */
#ifndef TRANSLATE_CONFORMITY_H
#define TRANSLATE_CONFORMITY_H

#include "json/json.h"

/* Of the words about what is wrong. */
#define CONFORMITY_BYTES_MAX 512

/*
 * `content` is an answer's text, escaped as between the quotes of a JSON string. It is held against
 * `schema` (JSON; empty: any object). Enum and const values that differ in letter case only, which
 * the upstream's decoder does not hold to, are set right in it. What is still wrong is appended to
 * `ret_unmet` as "<path>: <why>", printable ASCII. False without memory.
 */
bool conformity_check(struct buf *content, struct str schema, struct buf *ret_unmet);

#endif

/*
 * Token counts: read as Anthropic reports them (cumulative, in pieces), written as OpenAI does.
 */
#ifndef TRANSLATE_USAGE_H
#define TRANSLATE_USAGE_H

#include "translate/stream.h"
#include "json/json.h"

/* More than any model will read or write; a larger count is no count. */
#define USAGE_TOKENS_MAX 1000000000000

/* Overwrites the counts that `usage` says; those it leaves out, or says null, stay. */
void usage_read(struct tr_usage *u, yyjson_val *usage);
struct tr_usage usage_sum(const struct tr_usage *a, const struct tr_usage *b);
/* The value of OpenAI's "usage". */
bool usage_write(const struct tr_usage *u, struct buf *out);

#endif

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
/* Whether anything was counted yet. */
bool usage_is_known(const struct tr_usage *u);
/* What an answer says of its usage. */
struct usage_report {
    struct tr_usage counts;
    struct str upstream; /* the upstream's own, as JSON; empty: not asked for */
};
/* The value of OpenAI's "usage". */
bool usage_write(const struct usage_report *report, struct buf *out);

/* The upstream's own usage of an answer, as the JSON objects it sends. */
struct raw_usage {
    bool is_on;         /* nothing is kept otherwise */
    struct buf before;  /* of upstream messages that ended, summed */
    struct buf now;     /* of the current one */
    bool has_no_memory; /* for all of it: the answer cannot be whole */
};
void raw_usage_init(struct raw_usage *r, bool is_on);
void raw_usage_done(struct raw_usage *r);
/* Members that `usage` says replace those that are known; null says nothing. */
void raw_usage_read(struct raw_usage *r, yyjson_val *usage);
/* The current message has ended. */
void raw_usage_next(struct raw_usage *r);
/* Behind all messages of both: adds `other`. */
void raw_usage_add(struct raw_usage *r, struct raw_usage *other);
/* The sum of all messages; empty where there is none, or no room for it. */
struct str raw_usage_sum(struct raw_usage *r);

#endif

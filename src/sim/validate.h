/*
 * What Anthropic's Messages API refuses, for both versions and every class of models. Order and
 * wording follow recorded answers where there are some.
 */
#ifndef SIM_VALIDATE_H
#define SIM_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "sim/sim_error.h"
#include "sim/sim_model.h"
#include "json/json.h"

struct check {
    struct arena *arena;   /* for error texts; borrowed */
    struct sim_error *err; /* filled when a check fails; borrowed */
    bool is_2026;          /* anthropic-version: 2026-10-21 */
    struct str beta;       /* the anthropic-beta header; empty = none. Borrowed */
    bool is_old_account;   /* from before thinking blocks were bound */
    bool is_count;         /* count_tokens: no max_tokens, no stream */
    /* Learned on the way. */
    const struct sim_model *model;
    yyjson_val *root;
    size_t n_cache_marks;
    bool trusts_signatures; /* of thinking that is not this simulator's */
};

/* Whether the API would answer this body. False with *c->err filled. */
bool validate_request(struct check *c, yyjson_val *root);

#endif

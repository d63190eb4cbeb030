/*
 * What an answer is derived from, picked out of a valid request.
 */
#ifndef SIM_PROMPT_H
#define SIM_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sim/cache.h"
#include "sim/directive.h"
#include "sim/sim_error.h"
#include "json/json.h"

#define PROMPT_TOKENS_TOOLS 313 /* what the API puts in front of tools */

struct prompt {
    struct str system;     /* all system texts, joined by line ends */
    struct str user;       /* text of the last user message, without directives */
    struct str first_user; /* text of the first user message: what a game is about */
    struct str
        tool_result;    /* text of the last tool_result in the last user message; .p NULL = none */
    struct str prefill; /* text of a final assistant message; .p NULL = none */
    struct str media_type; /* of an image or document in the last user message; .p NULL = none */
    size_t n_users;
    size_t n_results; /* tool results behind the last user message that has a text */
    int64_t input_tokens;
    struct cache_usage cache; /* of them: whoever serves the request fills it */
};

/* Tokens of one content block, tool or string. */
int64_t prompt_count_block(yyjson_val *block);
/* Reads the prompt and, on the way, its directives into *d. False with *err. */
bool prompt_read(struct prompt *p, yyjson_val *root, unsigned token_percent, struct arena *a,
                 struct directives *d, struct sim_error *err);

#endif

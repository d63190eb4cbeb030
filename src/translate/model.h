/*
 * What a Claude model can do, and which model serves a name. Decided by what the upstream's
 * /v1/models says where it says it, by the class table (docs: Anthropic model overview, Nov 2026)
 * where it does not, and by the rule for unknown ids.
 */
#ifndef TRANSLATE_MODEL_H
#define TRANSLATE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct tr_policy;

enum model_line { LINE_NONE, LINE_HAIKU, LINE_SONNET, LINE_OPUS, LINE_FABLE, LINE_MYTHOS };
enum model_life { LIFE_ACTIVE, LIFE_DEPRECATED, LIFE_RETIRED };
enum model_effort {
    EFFORT_NONE, /* the model takes no effort */
    EFFORT_LOW,
    EFFORT_MEDIUM,
    EFFORT_HIGH,
    EFFORT_XHIGH,
    EFFORT_MAX
};

struct model_info {
    struct str id;
    struct str display_name; /* empty = unknown */
    enum model_line line;
    enum model_life life;
    int64_t created_unix_s; /* 0 = unknown */
    int64_t retires_unix_s; /* 0 = unknown or none */
    int64_t max_input_tokens;
    int64_t max_output_tokens;
    bool takes_sampling;           /* temperature, top_p, top_k (with version 2023-06-01) */
    bool takes_both_sampling;      /* temperature and top_p together */
    bool takes_prefill;            /* the conversation may end with an assistant message */
    bool takes_system_role;        /* role "system" inside messages */
    bool takes_structured_outputs; /* output_config.format */
    bool takes_forced_tools;       /* tool_choice any / tool */
    bool thinking_adaptive, thinking_enabled, thinking_disabled, thinking_between_tools;
    bool binds_thinking;    /* its thinking blocks belong to one prompt, for every account */
    bool thinks_by_default; /* when the request says nothing of thinking */
    bool effort_low, effort_medium, effort_high, effort_xhigh, effort_max;
    enum model_effort default_effort;
};

/* The upstream's list, immutable once built; share it by reference between threads. */
struct tr_models;

/* Parses and joins pages of GET /v1/models. Returns owned, NULL when nothing could be read. */
struct tr_models *tr_models_create(void);
/* Adds one page's JSON. False when it is not a page. *ret_after_id: owned by `m`, empty on the
 * last. */
bool tr_models_add_page(struct tr_models *m, struct str json, struct str *ret_after_id);
void tr_models_destroy(struct tr_models *m);

/*
 * The model that serves `asked`: exact id, operator's map, provider prefix, dots, "-latest", then
 * (with succession) the successor of a retired one, the operator's own default, and the map's "*".
 * `models` may be NULL; of the policy the default and what begins with `model_` is read. False:
 * nothing serves it (404 model_not_found). *ret_id lives in the arena, the policy, `asked` or
 * static memory.
 */
bool tr_model_resolve(struct arena *arena, const struct tr_models *models,
                      const struct tr_policy *policy, struct str asked, struct str *ret_id,
                      bool *ret_is_succeeded);
/* Capabilities of a resolved id; always answers (rule for unknown ids). */
void tr_model_info(const struct tr_models *models, struct str id, struct model_info *ret);

/* GET /v1/models in OpenAI's shape; `models` NULL gives the static table. */
bool tr_models_write_list(const struct tr_models *models, struct buf *out);
/* GET /v1/models/{id}: 200 exactly for what a chat request would serve; false = model_not_found. */
bool tr_models_write_one(const struct tr_models *models, const struct tr_policy *policy,
                         struct str id, struct buf *out);

enum model_known { MODEL_UNKNOWN, MODEL_LIVE, MODEL_RETIRED };
/* Whether the id (dated or not) can be served, going by the upstream's list, then the table. */
enum model_known model_known(const struct tr_models *models, struct str id);

#endif

/*
 * The models that the simulator serves: what each takes and refuses, and GET /v1/models.
 */
#ifndef SIM_SIM_MODEL_H
#define SIM_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "sim/sim_error.h"

enum sim_thinking { /* types that a model takes, as bits */
                    SIM_THINK_ADAPTIVE = 1,
                    SIM_THINK_ENABLED = 2,
                    SIM_THINK_DISABLED = 4,
                    SIM_THINK_BETWEEN_TOOLS = 8,
};
enum sim_effort { /* levels, as bits, lowest first */
                  SIM_EFFORT_LOW = 1,
                  SIM_EFFORT_MEDIUM = 2,
                  SIM_EFFORT_HIGH = 4,
                  SIM_EFFORT_XHIGH = 8,
                  SIM_EFFORT_MAX = 16,
};
enum sim_life { SIM_ACTIVE, SIM_DEPRECATED, SIM_RETIRED };
enum sim_sampling {
    SIM_SAMPLING_REFUSED, /* any value but the default: 400 */
    SIM_SAMPLING_ONE,     /* temperature or top_p */
    SIM_SAMPLING_BOTH,
};

enum sim_binding { /* thinking blocks are bound to what stood in front of them */
                   SIM_BINDS_NEVER,
                   SIM_BINDS_NEW_ACCOUNTS,
                   SIM_BINDS_ALL,
};

/* A class of models that behave alike. */
struct sim_class {
    unsigned thinking; /* enum sim_thinking */
    unsigned effort;   /* enum sim_effort; 0 = no effort at all */
    bool thinks_by_default;
    bool thinks_always;
    bool takes_forced_tools;
    bool takes_prefill;
    bool takes_system_role;
    bool shows_thinking;                 /* default display: summarized, not omitted */
    bool refuses_high_effort_unthinking; /* thinking disabled with xhigh or max */
    bool thinks_less;                    /* the default effort is medium, not high */
    enum sim_binding binding;
    enum sim_sampling sampling;
    int64_t max_input_tokens;
    int64_t max_tokens;
    unsigned token_percent; /* tokens for the same text, 100 = the older tokenizer */
};

struct sim_model {
    const char *id;
    const char *alias; /* resolves to id; NULL = none */
    const char *display_name;
    const char *line;
    const char *created_at; /* RFC 3339 */
    enum sim_life life;
    const char *deprecated_at; /* NULL = none */
    const char *retires_at;
    const struct sim_class *cls;
};

/* By id or alias; NULL when unknown. Retired ones are found too: look at `life`. */
const struct sim_model *sim_model_find(struct str name);
/* One ModelInfo object. */
void sim_model_write(struct buf *b, const struct sim_model *m);
/* GET /v1/models with its query string ("limit=2&after_id=..."). False with *err. */
bool sim_model_write_page(struct buf *b, struct str query, struct arena *a, struct sim_error *err);

#endif

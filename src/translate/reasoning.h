/*
 * How much the model thinks and what of it is shown: reasoning_effort, OpenRouter's `reasoning`,
 * Anthropic's `thinking` and output_config.effort -> what a model of this class takes.
 */
#ifndef TRANSLATE_REASONING_H
#define TRANSLATE_REASONING_H

#include <stdbool.h>
#include <stdint.h>

#include "translate/model.h"
#include "json/json.h"

struct translation;

enum reasoning_level {
    LEVEL_UNSAID,
#define LEVEL(word, effort, budget) LEVEL_##word,
#include "translate/reasoning_level.def"
    LEVEL_COUNT
};

enum thinking_type {
    THINKING_UNSAID, /* the model does as it does by default */
    THINKING_ADAPTIVE,
    THINKING_ENABLED, /* with a budget */
    THINKING_DISABLED,
    THINKING_BETWEEN_TOOLS
};

enum thinking_display { DISPLAY_UNSAID, DISPLAY_OMITTED, DISPLAY_SUMMARIZED, DISPLAY_UPDATES };

/* What the client asked for, by whichever names. `*_by`: the parameter that said it. */
struct reasoning_wish {
    enum thinking_type thinking; /* Anthropic's own `thinking` */
    bool is_on, is_off;          /* reasoning.enabled */
    enum reasoning_level level;
    const char *level_by;
    enum model_effort effort; /* output_config.effort; EFFORT_NONE: not said */
    int64_t budget;           /* tokens; 0: not said */
    const char *budget_by;
    enum thinking_display display;
    yyjson_val *binding; /* thinking.block_binding */
};

/* What is sent. */
struct thinking {
    enum thinking_type type;
    enum thinking_display display;
    int64_t budget;           /* of THINKING_ENABLED */
    enum model_effort effort; /* EFFORT_NONE: not sent */
    const char *asked_by;     /* the parameter that turned it on; NULL: none did */
    bool drops_unbound;       /* replayed blocks of another prefix are dropped, not refused */
};

/* Whether the model will think before it answers, as far as is settled. */
bool reasoning_is_on(const struct translation *t);
/*
 * The budget has to fit `limit`, of which `is_reserved` says that it holds room for all of it.
 * A budget that would be too small is given up, and thinking with it.
 */
bool reasoning_fit_budget(struct translation *t, int64_t limit, bool is_reserved);
/* Writes `thinking`, where there is anything to say; begins with a comma. */
void reasoning_write(const struct translation *t, struct buf *b);
/* The upstream's word; NULL for EFFORT_NONE. */
const char *reasoning_effort_word(enum model_effort effort);

#endif

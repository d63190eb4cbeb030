/*
 * What the client wished of thinking -> what this model takes, avoiding what it refuses (docs:
 * Anthropic, extended thinking and effort, Nov 2026). Reading the wish is in reasoning_fields.c.
 */
#include "translate/reasoning.h"

#include "translate/fields.h"
#include "translate/replay.h"
#include "translate/tools.h"
#include "translate/translation.h"

#define BUDGET_MIN   1024 /* the upstream's */
#define BUDGET_SHARE 80   /* percent of max_tokens: an answer needs room too */
#define BINDING_BETA "thinking-binding-controls-2026-08-01"
#define UPDATES_BETA "thinking-display-updates-2026-08-18"

static const struct level {
    enum model_effort effort;
    int64_t budget;
} levels[] = {
#define LEVEL(word, effort, budget) [LEVEL_##word] = {effort, budget},
#include "translate/reasoning_level.def"
};

const char *reasoning_effort_word(enum model_effort effort)
{
    static const char *const words[] = {
        [EFFORT_NONE] = NULL,   [EFFORT_LOW] = "low",     [EFFORT_MEDIUM] = "medium",
        [EFFORT_HIGH] = "high", [EFFORT_XHIGH] = "xhigh", [EFFORT_MAX] = "max"};
    return words[effort];
}

bool reasoning_is_on(const struct translation *t)
{
    switch (t->thinking.type) {
    case THINKING_UNSAID:
        return t->model.thinks_by_default;
    case THINKING_ADAPTIVE:
    case THINKING_ENABLED:
        return true;
    case THINKING_DISABLED:
    case THINKING_BETWEEN_TOOLS:
        break;
    }
    return false;
}

static bool takes_effort(const struct model_info *m, enum model_effort effort)
{
    const bool taken[] = {[EFFORT_NONE] = true,
                          [EFFORT_LOW] = m->effort_low,
                          [EFFORT_MEDIUM] = m->effort_medium,
                          [EFFORT_HIGH] = m->effort_high,
                          [EFFORT_XHIGH] = m->effort_xhigh,
                          [EFFORT_MAX] = m->effort_max};
    return taken[effort];
}

/* The nearest that the model takes and that is no more; EFFORT_NONE where it takes none. */
static enum model_effort fit_effort(const struct model_info *m, enum model_effort effort)
{
    while (!takes_effort(m, effort))
        effort--;
    return effort;
}

/* Sets the effort, no more than `most`, and names `by` when it is not what was asked for. */
static bool set_effort(struct translation *t, enum model_effort asked, enum model_effort most,
                       const char *by)
{
    enum model_effort fit = fit_effort(&t->model, asked < most ? asked : most);
    t->thinking.effort = fit;
    if (fit == asked || !by)
        return true;
    if (fit == EFFORT_NONE)
        return ignore_param(t, str_of(by));
    return modify_param(t, "unsupported_value", by, "%s=%s(model)", by, reasoning_effort_word(fit));
}

static bool set_own_effort(struct translation *t, enum model_effort most)
{
    if (t->wish.effort == EFFORT_NONE)
        return true;
    return set_effort(t, t->wish.effort, most, "output_config.effort");
}

/* The effort that a budget stands for, where the model takes no budget. */
static enum model_effort effort_of_budget(int64_t budget)
{
    for (size_t i = LEVEL_low; i < LEVEL_COUNT; i++)
        if (budget <= levels[i].budget)
            return levels[i].effort;
    return EFFORT_MAX;
}

/* What was wished for beside a choice that leaves no room for it. */
static bool report_unused(struct translation *t, bool uses_level, bool uses_budget)
{
    const struct reasoning_wish *w = &t->wish;
    if (!uses_level && w->level != LEVEL_UNSAID && !ignore_param(t, str_of(w->level_by)))
        return false;
    return uses_budget || w->budget == 0 || ignore_param(t, str_of(w->budget_by));
}

/*
 * The model that stands in for a retired one does as that did: it does not think unasked, so that
 * a small limit still gives text.
 */
static bool settle_unsaid(struct translation *t)
{
    const struct model_info *m = &t->model;
    struct thinking *out = &t->thinking;
    bool is_quiet = t->is_succeeded && m->thinks_by_default;
    if (is_quiet && m->thinking_disabled) {
        out->type = THINKING_DISABLED;
        return set_own_effort(t, EFFORT_HIGH);
    }
    if (is_quiet && m->effort_low)
        out->effort = EFFORT_LOW;
    if (t->wish.display != DISPLAY_UNSAID && m->thinks_by_default && m->thinking_adaptive)
        out->type = THINKING_ADAPTIVE;
    out->display = t->wish.display;
    return set_own_effort(t, EFFORT_MAX);
}

static const char *off_by(const struct reasoning_wish *w)
{
    if (w->thinking != THINKING_UNSAID)
        return "thinking";
    return w->is_off ? "reasoning" : w->level_by;
}

static bool settle_off(struct translation *t)
{
    const struct model_info *m = &t->model;
    const struct reasoning_wish *w = &t->wish;
    if (!report_unused(t, w->level == LEVEL_none, false))
        return false;
    if (!m->thinks_by_default)
        return set_own_effort(t, EFFORT_MAX);
    if (m->thinking_disabled || m->thinking_between_tools) {
        t->thinking.type = m->thinking_disabled ? THINKING_DISABLED : THINKING_BETWEEN_TOOLS;
        return set_own_effort(t, EFFORT_HIGH); /* more is refused without thinking */
    }
    /* It cannot be turned off: as little as there is. */
    if (w->effort != EFFORT_NONE) {
        if (!set_own_effort(t, EFFORT_MAX))
            return false;
    } else {
        t->thinking.effort = fit_effort(m, EFFORT_LOW);
    }
    const char *by = off_by(w);
    return modify_param(t, "unsupported_value", by, "%s=low(model)", by);
}

static bool settle_between_tools(struct translation *t)
{
    if (t->model.thinking_between_tools) {
        t->thinking.type = THINKING_BETWEEN_TOOLS;
        return report_unused(t, false, false) && set_own_effort(t, EFFORT_HIGH);
    }
    if (!settle_off(t))
        return false;
    return reasoning_is_on(t) || /* which is listed already */
           modify_param(t, "unsupported_value", "thinking", "thinking=disabled(model)");
}

/* Thinking with a budget. Effort, where the model takes it too, goes along. */
static bool settle_manual(struct translation *t)
{
    const struct reasoning_wish *w = &t->wish;
    struct thinking *out = &t->thinking;
    enum reasoning_level level = w->level == LEVEL_UNSAID ? LEVEL_medium : w->level;
    if (w->thinking == THINKING_ADAPTIVE &&
        !modify_param(t, "unsupported_value", "thinking", "thinking=enabled(model)"))
        return false;
    out->type = THINKING_ENABLED;
    out->budget = w->budget ? w->budget : levels[level].budget;
    if (out->budget < BUDGET_MIN) {
        out->budget = BUDGET_MIN;
        if (w->budget && !modify_param(t, "integer_below_min_value", w->budget_by, "%s=%d(clamped)",
                                       w->budget_by, BUDGET_MIN))
            return false;
    }
    if (w->effort != EFFORT_NONE)
        return set_own_effort(t, EFFORT_MAX);
    /* The budget says how much; the effort need not be exact. */
    return w->level == LEVEL_UNSAID || set_effort(t, levels[level].effort, EFFORT_MAX, NULL);
}

static bool settle_adaptive(struct translation *t)
{
    const struct reasoning_wish *w = &t->wish;
    t->thinking.type = THINKING_ADAPTIVE;
    if (w->thinking == THINKING_ENABLED &&
        !modify_param(t, "unsupported_value", "thinking", "thinking=adaptive(model)"))
        return false;
    if (w->effort != EFFORT_NONE)
        return report_unused(t, false, false) && set_own_effort(t, EFFORT_MAX);
    if (w->budget) {
        enum model_effort effort = fit_effort(&t->model, effort_of_budget(w->budget));
        t->thinking.effort = effort;
        return effort == EFFORT_NONE ||
               modify_param(t, "unsupported_value", w->budget_by, "%s=%s(effort)", w->budget_by,
                            reasoning_effort_word(effort));
    }
    if (w->level == LEVEL_none)
        return ignore_param(t, str_of(w->level_by));
    if (w->level == LEVEL_UNSAID)
        return true;
    return set_effort(t, levels[w->level].effort, EFFORT_MAX, w->level_by);
}

static const char *on_by(const struct reasoning_wish *w)
{
    if (w->thinking != THINKING_UNSAID)
        return "thinking";
    if (w->level != LEVEL_UNSAID)
        return w->level_by;
    return w->budget ? w->budget_by : "reasoning";
}

static bool settle_on(struct translation *t)
{
    const struct model_info *m = &t->model;
    const struct reasoning_wish *w = &t->wish;
    const char *by = on_by(w);
    if (!m->thinking_adaptive && !m->thinking_enabled)
        return ignore_param(t, str_of(by)) && set_own_effort(t, EFFORT_MAX);
    t->thinking.asked_by = by;
    /* Whoever asks for thinking by any other name than the upstream's own wants to see it. */
    t->thinking.display = w->display;
    if (w->display == DISPLAY_UNSAID && w->thinking != THINKING_ADAPTIVE)
        t->thinking.display = DISPLAY_SUMMARIZED;
    bool wants_budget = w->thinking == THINKING_ENABLED && w->budget > 0;
    if (m->thinking_enabled && (wants_budget || !m->thinking_adaptive))
        return settle_manual(t);
    return settle_adaptive(t);
}

/* How much the model will think, for the room that the default limit leaves for it. */
static void settle_depth(struct translation *t)
{
    enum model_effort effort = t->thinking.effort;
    t->thinking_effort = EFFORT_NONE;
    if (reasoning_is_on(t))
        t->thinking_effort = effort == EFFORT_NONE ? t->model.default_effort : effort;
}

static bool settle_mode(struct translation *t)
{
    const struct reasoning_wish *w = &t->wish;
    switch (w->thinking) {
    case THINKING_DISABLED:
        return settle_off(t);
    case THINKING_BETWEEN_TOOLS:
        return settle_between_tools(t);
    case THINKING_ADAPTIVE:
    case THINKING_ENABLED:
        return settle_on(t);
    case THINKING_UNSAID:
        break;
    }
    if (w->is_off || (w->level == LEVEL_none && !w->is_on && w->budget == 0))
        return settle_off(t);
    if (w->is_on || w->level != LEVEL_UNSAID || w->budget)
        return settle_on(t);
    return settle_unsaid(t);
}

bool reasoning_settle(struct translation *t)
{
    if (!settle_mode(t))
        return false;
    settle_depth(t);
    bool is_adaptive = t->thinking.type == THINKING_ADAPTIVE;
    if (t->wish.binding && !is_adaptive && !ignore_param(t, STR("thinking.block_binding")))
        return false;
    if (t->wish.binding && is_adaptive && !fields_add_beta(t, "thinking", STR(BINDING_BETA)))
        return false;
    return t->thinking.display != DISPLAY_UPDATES ||
           fields_add_beta(t, "thinking", STR(UPDATES_BETA));
}

/* Thinking with a budget is not to be had here; a model that also thinks without one does that. */
static bool give_up_budget(struct translation *t, const char *why)
{
    const char *by = t->thinking.asked_by;
    t->thinking.budget = 0;
    if (t->model.thinking_adaptive) {
        t->thinking.type = THINKING_ADAPTIVE;
        settle_depth(t);
        return modify_param(t, "unsupported_value", by, "%s=adaptive(%s)", by, why);
    }
    t->thinking.type = THINKING_UNSAID;
    settle_depth(t);
    return modify_param(t, "unsupported_value", by, "%s=off(%s)", by, why);
}

/*
 * Whether tools were called in the turn that the model is in the middle of, and it began without a
 * thinking block: with a budget the upstream wants one there.
 */
static bool is_loop_without_thinking(const struct translation *t)
{
    const struct turn *last = NULL;
    for (const struct turn *turn = t->turns; turn; turn = turn->next)
        if (turn->role == TURN_ASSISTANT)
            last = turn;
    if (!last || last->blocks.first->kind == BLOCK_THINKING ||
        last->blocks.first->kind == BLOCK_REDACTED)
        return false;
    /* As it will be sent: results may have been added, and turns without content dropped. */
    for (const struct turn *turn = last->next; turn; turn = turn->next)
        for (const struct block *b = turn->blocks.first; b; b = b->next)
            if (b->kind == BLOCK_TOOL_RESULT)
                return true;
    return false;
}

bool reasoning_fit(struct translation *t)
{
    const unsigned forms = t->out->reasoning_forms;
    t->out->carries_content =
        (forms == 0 || forms & TR_REASONING_DETAILS) &&
        (reasoning_is_on(t) || tools_are_sent(t) || t->thinking.type == THINKING_BETWEEN_TOOLS);
    if (t->thinking.type == THINKING_ENABLED) {
        if (tools_are_forced(t))
            return give_up_budget(t, "tool_choice");
        if (is_loop_without_thinking(t))
            return give_up_budget(t, "history");
    }
    bool may_bind = t->thinking.type == THINKING_UNSAID || t->thinking.type == THINKING_ADAPTIVE;
    if (!t->model.binds_thinking || !t->has_thinking || !may_bind || t->wish.binding)
        return true;
    t->thinking.type = THINKING_ADAPTIVE;
    t->thinking.drops_unbound = true;
    if ((t->policy->amend.refuses & TR_REFUSES_PREFIX) &&
        !modify_param(t, "unsupported_value", "thinking", "thinking.block_binding=drop_block"))
        return false;
    return fields_add_beta(t, "thinking", STR(BINDING_BETA));
}

bool reasoning_fit_budget(struct translation *t, int64_t limit, bool is_reserved)
{
    struct thinking *out = &t->thinking;
    if (out->type != THINKING_ENABLED || is_reserved)
        return true;
    int64_t most = limit / 100 * BUDGET_SHARE + limit % 100 * BUDGET_SHARE / 100;
    if (out->budget <= most)
        return true;
    if (most < BUDGET_MIN)
        return give_up_budget(t, "max_tokens");
    out->budget = most;
    const char *by = t->wish.budget_by;
    return !t->wish.budget ||
           modify_param(t, "integer_above_max_value", by, "%s=%lld(clamped)", by, (long long)most);
}

static void write_display(const struct thinking *thinking, struct buf *b)
{
    static const char *const words[] = {[DISPLAY_OMITTED] = "omitted",
                                        [DISPLAY_SUMMARIZED] = "summarized",
                                        [DISPLAY_UPDATES] = "updates"};
    /* With a budget the text is shown unless told otherwise. */
    bool is_default =
        thinking->display == DISPLAY_UNSAID ||
        (thinking->type == THINKING_ENABLED && thinking->display == DISPLAY_SUMMARIZED);
    if (!is_default)
        buf_printf(b, ",\"display\":\"%s\"", words[thinking->display]);
}

static void write_adaptive(const struct translation *t, struct buf *b)
{
    buf_append_z(b, ",\"thinking\":{\"type\":\"adaptive\"");
    write_display(&t->thinking, b);
    if (t->wish.binding) {
        buf_append_z(b, ",\"block_binding\":");
        json_write_value(b, t->wish.binding);
    } else if (t->thinking.drops_unbound) {
        buf_append_z(b, ",\"block_binding\":{\"prefix_mismatch_behavior\":\"drop_block\"}");
    }
    buf_append_char(b, '}');
}

void reasoning_write(const struct translation *t, struct buf *b)
{
    switch (t->thinking.type) {
    case THINKING_UNSAID:
        break;
    case THINKING_ADAPTIVE:
        write_adaptive(t, b);
        break;
    case THINKING_ENABLED:
        buf_printf(b, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":%lld",
                   (long long)t->thinking.budget);
        write_display(&t->thinking, b);
        buf_append_char(b, '}');
        break;
    case THINKING_DISABLED:
        buf_append_z(b, ",\"thinking\":{\"type\":\"disabled\"}");
        break;
    case THINKING_BETWEEN_TOOLS:
        buf_append_z(b, ",\"thinking\":{\"type\":\"between_tools\"}");
        break;
    }
}

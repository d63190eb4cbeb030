/*
 * max_tokens: the upstream requires it, and counts thinking inside it.
 */
#include "translate/translation.h"

/* The room for thinking on top of the built-in default, by how much the model will think. */
static int64_t reserve_of(enum model_effort effort)
{
    static const int64_t tokens[] = {
        [EFFORT_NONE] = 0,     [EFFORT_LOW] = 4096,    [EFFORT_MEDIUM] = 8192,
        [EFFORT_HIGH] = 16384, [EFFORT_XHIGH] = 32000, [EFFORT_MAX] = 32000};
    return tokens[effort];
}

/* The limit for a request that names none. */
static int64_t default_limit(const struct translation *t)
{
    const struct tr_policy *p = t->policy;
    if (p->max_tokens == 0)
        return t->model.max_output_tokens;
    if (p->max_tokens_is_set || !p->thinking_reserve)
        return p->max_tokens;
    if (t->thinking.type == THINKING_ENABLED)
        return p->max_tokens + t->thinking.budget;
    return p->max_tokens + reserve_of(t->thinking_effort);
}

static bool read_limit(struct translation *t, const char *name, yyjson_val *v, int64_t *ret)
{
    if (!want_int(t, name, v, ret))
        return false;
    if (*ret < 1) /* upstream, 0 would only warm the cache */
        return refuse(t, "integer_below_min_value", name,
                      "Invalid '%s': integer below minimum value. Expected a value >= 1, but got "
                      "%lld instead.",
                      name, (long long)*ret);
    return true;
}

static bool clamp(struct translation *t, const char *name, int64_t *limit)
{
    int64_t max = t->model.max_output_tokens;
    if (*limit <= max)
        return true;
    if (t->policy->strict)
        return refuse(t, "integer_above_max_value", name,
                      "Invalid '%s': integer above maximum value. Model '%.*s' gives at most %lld "
                      "tokens.",
                      name, STR_ARG(t->out->model), (long long)max);
    *limit = max;
    return modify_param(t, "integer_above_max_value", name, "%s=%lld(clamped)", name,
                        (long long)max);
}

/* A small limit that thinking alone would use up. */
static bool raise_limit(struct translation *t, const char *name, int64_t *limit)
{
    int64_t min = t->policy->thinking_min_tokens;
    if (min > t->model.max_output_tokens)
        min = t->model.max_output_tokens;
    if (!reasoning_is_on(t) || *limit >= min)
        return true;
    *limit = min;
    return modify_param(t, "integer_below_min_value", name, "%s=%lld(thinking)", name,
                        (long long)min);
}

bool max_tokens_settle(struct translation *t)
{
    const struct tr_policy *p = t->policy;
    bool is_reserved = p->max_tokens != 0 && !p->max_tokens_is_set && p->thinking_reserve;
    int64_t limit = 0;
    yyjson_val *old = t->field[FIELD_max_tokens], *new = t->field[FIELD_max_completion_tokens];
    if (old && (!read_limit(t, "max_tokens", old, &limit)))
        return false;
    if (new && (!read_limit(t, "max_completion_tokens", new, &limit)))
        return false;
    if (old || new) {
        const char *name = new ? "max_completion_tokens" : "max_tokens";
        if (!clamp(t, name, &limit) || !raise_limit(t, name, &limit))
            return false;
        is_reserved = false;
    } else {
        limit = default_limit(t);
        if (limit > t->model.max_output_tokens) {
            limit = t->model.max_output_tokens;
            is_reserved = false;
        }
    }
    t->out->max_tokens = limit;
    return reasoning_fit_budget(t, limit, is_reserved);
}

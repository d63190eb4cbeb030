/*
 * The fields that say how much the model is to think, by their many names -> struct
 * reasoning_wish. They are read in the order of fields.def: a later one wins over an earlier one.
 */
#include "translate/fields.h"
#include "translate/reasoning.h"
#include "translate/translation.h"

static const char *const level_words[] = {
#define LEVEL(word, effort, budget) [LEVEL_##word] = #word,
#include "translate/reasoning_level.def"
};

static bool refuse_value(struct translation *t, const char *param, const char *expected)
{
    return refuse(t, "invalid_value", param, "Invalid value for '%s': expected %s.", param,
                  expected);
}

static bool read_level(struct translation *t, const char *param, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, param, v, &word))
        return false;
    for (size_t i = LEVEL_none; i < LEVEL_COUNT; i++) {
        if (!str_eq(word, str_of(level_words[i])))
            continue;
        t->wish.level = (enum reasoning_level)i;
        t->wish.level_by = param;
        return true;
    }
    return refuse_value(t, param, "one of none, minimal, low, medium, high, xhigh, max");
}

bool reasoning_read_effort(struct translation *t, const char *name, yyjson_val *v)
{
    return read_level(t, name, v);
}

static bool read_budget(struct translation *t, const char *param, yyjson_val *v)
{
    int64_t budget;
    if (!want_int(t, param, v, &budget))
        return false;
    if (budget < 1)
        return refuse(t, "integer_below_min_value", param,
                      "Invalid '%s': integer below minimum value. Expected a value >= 1.", param);
    t->wish.budget = budget;
    t->wish.budget_by = param;
    return true;
}

/* The text of thinking is a summary in any case, of one kind. */
static bool read_summary(struct translation *t, const char *param, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, param, v, &word))
        return false;
    bool is_auto = str_eq(word, STR("auto"));
    if (!is_auto && !str_eq(word, STR("concise")) && !str_eq(word, STR("detailed")))
        return refuse_value(t, param, "one of auto, concise, detailed");
    if (t->wish.display == DISPLAY_UNSAID)
        t->wish.display = DISPLAY_SUMMARIZED;
    return is_auto || modify_param(t, "unsupported_value", param, "%s=auto(model)", param);
}

static bool read_exclude(struct translation *t, const char *param, yyjson_val *v)
{
    bool is_excluded;
    if (!want_bool(t, param, v, &is_excluded))
        return false;
    t->wish.display = is_excluded ? DISPLAY_OMITTED : DISPLAY_SUMMARIZED;
    return true;
}

static bool read_enabled(struct translation *t, const char *param, yyjson_val *v)
{
    bool is_on;
    if (!want_bool(t, param, v, &is_on))
        return false;
    t->wish.is_on = is_on;
    t->wish.is_off = !is_on;
    return true;
}

/* OpenRouter's object, and OpenAI's own of the Responses API, which clients send here too. */
bool reasoning_read_object(struct translation *t, const char *name, yyjson_val *v)
{
    static const struct {
        const char *name, *path;
        field_rule *read;
    } members[] = {{"effort", "reasoning.effort", read_level},
                   {"max_tokens", "reasoning.max_tokens", read_budget},
                   {"exclude", "reasoning.exclude", read_exclude},
                   {"enabled", "reasoning.enabled", read_enabled},
                   {"summary", "reasoning.summary", read_summary},
                   {"generate_summary", "reasoning.generate_summary", read_summary}};
    if (!want_object(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *key, *member;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        size_t m = 0;
        while (m < PX_ARRAY_LEN(members) && !str_eq(json_str(key), str_of(members[m].name)))
            m++;
        if (yyjson_is_null(member))
            continue;
        if (m == PX_ARRAY_LEN(members) ? !ignore_member(t, name, name, json_str(key))
                                       : !members[m].read(t, members[m].path, member))
            return false;
    }
    return true;
}

bool reasoning_read_include(struct translation *t, const char *name, yyjson_val *v)
{
    bool is_shown;
    if (!want_bool(t, name, v, &is_shown))
        return false;
    t->wish.display = is_shown ? DISPLAY_SUMMARIZED : DISPLAY_OMITTED;
    return true;
}

static bool read_type(struct translation *t, const char *param, yyjson_val *v)
{
    static const char *const words[] = {[THINKING_ADAPTIVE] = "adaptive",
                                        [THINKING_ENABLED] = "enabled",
                                        [THINKING_DISABLED] = "disabled",
                                        [THINKING_BETWEEN_TOOLS] = "between_tools"};
    struct str word;
    if (!want_string(t, param, v, &word))
        return false;
    for (size_t i = THINKING_ADAPTIVE; i < PX_ARRAY_LEN(words); i++) {
        if (!str_eq(word, str_of(words[i])))
            continue;
        t->wish.thinking = (enum thinking_type)i;
        return true;
    }
    return refuse_value(t, param, "one of adaptive, enabled, disabled, between_tools");
}

static bool read_display(struct translation *t, const char *param, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, param, v, &word))
        return false;
    if (str_eq(word, STR("omitted")))
        t->wish.display = DISPLAY_OMITTED;
    else if (str_eq(word, STR("summarized")))
        t->wish.display = DISPLAY_SUMMARIZED;
    else if (str_eq(word, STR("updates")))
        t->wish.display = DISPLAY_UPDATES;
    else
        return refuse_value(t, param, "one of omitted, summarized, updates");
    return true;
}

static bool read_binding(struct translation *t, const char *param, yyjson_val *v)
{
    t->wish.binding = v;
    return want_object(t, param, v);
}

/* Anthropic's own. Some clients of other dialects send {"type":"enabled"} without a budget. */
bool reasoning_read_thinking(struct translation *t, const char *name, yyjson_val *v)
{
    static const struct {
        const char *name, *path;
        field_rule *read;
    } members[] = {{"type", "thinking.type", read_type},
                   {"budget_tokens", "thinking.budget_tokens", read_budget},
                   {"display", "thinking.display", read_display},
                   {"block_binding", "thinking.block_binding", read_binding}};
    if (!want_object(t, name, v))
        return false;
    if (yyjson_obj_size(v) == 0)
        return true;
    if (!json_get(v, "type"))
        return refuse_missing(t, "thinking.type");
    size_t i, max;
    yyjson_val *key, *member;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        size_t m = 0;
        while (m < PX_ARRAY_LEN(members) && !str_eq(json_str(key), str_of(members[m].name)))
            m++;
        if (yyjson_is_null(member))
            continue;
        if (m == PX_ARRAY_LEN(members) ? !ignore_member(t, name, name, json_str(key))
                                       : !members[m].read(t, members[m].path, member))
            return false;
    }
    return true;
}

static bool read_own_effort(struct translation *t, const char *param, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, param, v, &word))
        return false;
    for (int e = EFFORT_LOW; e <= EFFORT_MAX; e++) {
        if (!str_eq(word, str_of(reasoning_effort_word((enum model_effort)e))))
            continue;
        t->wish.effort = (enum model_effort)e;
        return true;
    }
    return refuse_value(t, param, "one of low, medium, high, xhigh, max");
}

bool reasoning_read_output_config(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *key, *member;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        struct str word = json_str(key);
        if (yyjson_is_null(member) || str_eq(word, STR("format"))) /* format.c reads it */
            continue;
        if (str_eq(word, STR("effort")) ? !read_own_effort(t, "output_config.effort", member)
                                        : !ignore_member(t, name, name, word))
            return false;
    }
    return true;
}

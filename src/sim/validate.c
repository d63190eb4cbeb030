/*
 * The top level of a Messages request: the shape of each field (wire.h), what is asked of its
 * value, then the rules that join fields and model.
 */
#include "sim/validate.h"

#include <stdio.h>

#include "base/utf8.h"
#include "sim/bind.h"
#include "sim/validate_part.h"
#include "sim/wire.h"

#define BUDGET_MIN 1024

struct str check_key(yyjson_val *key)
{
    return utf8_cut(json_str(key), 64);
}

bool is_in_list(const char *names, struct str s)
{
    struct str rest = str_of(names), part;
    while (str_split(&rest, ' ', &part))
        if (str_eq(part, s))
            return true;
    return false;
}

bool check_choice(struct check *c, const char *path, yyjson_val *v, const char *choices)
{
    if (v && is_in_list(choices, json_str(v)))
        return true;
    if (!v)
        return bad(c, "%s: Field required", path);
    char text[256];
    size_t at = 0;
    struct str rest = str_of(choices), part;
    for (bool first = true; str_split(&rest, ' ', &part); first = false) {
        const char *joint = first ? "" : rest.n ? ", " : " or ";
        int n = snprintf(text + at, sizeof(text) - at, "%s'%.*s'", joint, STR_ARG(part));
        if (n < 0 || (size_t)n >= sizeof(text) - at)
            break;
        at += (size_t)n;
    }
    return bad(c, "%s: Input should be %.*s", path, (int)at, text);
}

/* --- what the shape of a field does not say ------------------------------------------------------
 */

static bool field_model(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_get_len(v) > 0 || bad(c, "%s: String should have at least 1 character", name);
}

static bool field_max_tokens(struct check *c, const char *name, yyjson_val *v)
{
    int64_t n = 0;
    json_to_int(v, &n);
    return n >= 0 || bad(c, "%s: Input should be greater than or equal to 0", name);
}

static bool field_unit(struct check *c, const char *name, yyjson_val *v)
{
    double d;
    if (!json_to_double(v, &d))
        return bad(c, "%s: Input should be a valid number", name);
    return (d >= 0 && d <= 1) || bad(c, "%s: range: 0..1", name);
}

static bool field_top_k(struct check *c, const char *name, yyjson_val *v)
{
    int64_t n;
    if (!json_to_int(v, &n))
        return bad(c, "%s: Input should be a valid integer", name);
    return n >= -1 || bad(c, "%s: Input should be greater than or equal to -1", name);
}

static bool field_stop_sequences(struct check *c, const char *name, yyjson_val *v)
{
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    while ((one = yyjson_arr_iter_next(&it)))
        if (str_trim(json_str(one)).n == 0)
            return bad(c, "%s: each stop sequence must contain non-whitespace", name);
    return true;
}

static bool field_system(struct check *c, const char *name, yyjson_val *v)
{
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    while ((block = yyjson_arr_iter_next(&it)))
        if (yyjson_get_len(yyjson_obj_get(block, "text")) == 0)
            return bad(c, "%s: text content blocks must be non-empty", name);
    return true;
}

static bool field_metadata(struct check *c, const char *name, yyjson_val *v)
{
    struct str id = json_str(json_get(v, "user_id"));
    if (id.n > 256)
        return bad(c, "%s.user_id: String should have at most 256 characters", name);
    if (str_find(id, STR("@")) > 0)
        return bad(c, "%s.user_id: user_id appears to contain an email address", name);
    return true;
}

static bool check_format(struct check *c, const char *path, yyjson_val *format)
{
    char where[64];
    struct schema_totals totals = {0};
    snprintf(where, sizeof(where), "%s.schema", path);
    return check_schema(c, where, yyjson_obj_get(format, "schema"), &totals) &&
           check_schema_totals(c, &totals);
}

/* The name of output_config.format while it was a beta. */
static bool field_output_format(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_is_null(v) || check_format(c, name, v);
}

static bool field_output_config(struct check *c, const char *name, yyjson_val *v)
{
    yyjson_val *format = json_get(v, "format");
    (void)name;
    return !format || check_format(c, "output_config.format", format);
}

static bool field_tools(struct check *c, const char *name, yyjson_val *v)
{
    (void)name;
    return check_tools(c, v);
}

struct field {
    const char *name;
    bool (*check)(struct check *c, const char *name, yyjson_val *v);
};

static const struct field fields[] = {
    {"model", field_model},
    {"max_tokens", field_max_tokens},
    {"stop_sequences", field_stop_sequences},
    {"system", field_system},
    {"metadata", field_metadata},
    {"output_config", field_output_config},
    {"output_format", field_output_format},
    {"tools", field_tools},
};

/* Gone with version 2026-10-21, and from the SDK's types with it. */
static const struct field older_fields[] = {
    {"temperature", field_unit},
    {"top_k", field_top_k},
    {"top_p", field_unit},
};

static bool check_field(struct check *c, const char *name, yyjson_val *v)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(fields); i++)
        if (str_eq(str_of(name), str_of(fields[i].name)))
            return fields[i].check(c, name, v);
    return true;
}

static const struct field *find_older(const struct check *c, struct str name)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(older_fields) && !c->is_2026 && !c->is_count; i++)
        if (str_eq(name, str_of(older_fields[i].name)))
            return &older_fields[i];
    return NULL;
}

static bool check_fields(struct check *c, yyjson_val *root)
{
    const char *lacks = wire_request_lacks(c, root);
    if (lacks)
        return bad(c, "%s: Field required", lacks);
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        const struct wire_field *f = wire_request_field(c, json_str(key));
        const struct field *older = f ? NULL : find_older(c, json_str(key));
        if (!f && !older)
            return bad(c, "%.*s: Extra inputs are not permitted", STR_ARG(check_key(key)));
        if (older && !older->check(c, older->name, v))
            return false;
        if (f && str_eq(str_of(f->name), STR("messages"))) {
            if (!check_messages(c, v))
                return false;
        } else if (f && (!wire_check(c, f->name, v, &f->type) || !check_field(c, f->name, v))) {
            return false;
        }
    }
    return true;
}

/* --- rules that join fields and model ------------------------------------------------------- */

static bool find_model(struct check *c)
{
    yyjson_val *name = yyjson_obj_get(c->root, "model");
    c->model = sim_model_find(json_str(name));
    if (c->model && c->model->life != SIM_RETIRED)
        return true;
    return sim_error_set(c->err, c->arena, 404, "model: %.*s",
                         STR_ARG(utf8_cut(json_str(name), 256)));
}

static bool rule_max_tokens(struct check *c)
{
    int64_t n = 0;
    if (!json_to_int(yyjson_obj_get(c->root, "max_tokens"), &n) || n <= c->model->cls->max_tokens)
        return true;
    return bad(
        c, "max_tokens: %lld > %lld, which is the maximum allowed number of output tokens for %s",
        (long long)n, (long long)c->model->cls->max_tokens, c->model->id);
}

static bool rule_sampling(struct check *c)
{
    static const struct {
        const char *name;
        double normal; /* the default, which even the newest models take */
    } names[] = {{"temperature", 1}, {"top_p", 1}, {"top_k", -1}};
    enum sim_sampling takes = c->model->cls->sampling;
    double d;
    if (takes == SIM_SAMPLING_REFUSED)
        for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
            if (json_to_double(yyjson_obj_get(c->root, names[i].name), &d) &&
                (d < names[i].normal || d > names[i].normal))
                return bad(c, "`%s` is deprecated for this model.", names[i].name);
    if (takes == SIM_SAMPLING_ONE && yyjson_obj_get(c->root, "temperature") &&
        yyjson_obj_get(c->root, "top_p"))
        return bad(
            c, "`temperature` and `top_p` cannot both be specified for this model. Please use only "
               "one.");
    return true;
}

static bool rule_effort(struct check *c)
{
    static const struct {
        const char *name;
        unsigned bit;
    } levels[] = {{"high", SIM_EFFORT_HIGH}, /* in the order in which the API names them */
                  {"low", SIM_EFFORT_LOW},
                  {"max", SIM_EFFORT_MAX},
                  {"medium", SIM_EFFORT_MEDIUM},
                  {"xhigh", SIM_EFFORT_XHIGH}};
    struct str effort = json_str(json_get(json_get(c->root, "output_config"), "effort"));
    unsigned takes = c->model->cls->effort, asked = 0;
    if (!effort.p)
        return true;
    if (!takes)
        return bad(c, "This model does not support the effort parameter.");
    char text[64];
    size_t at = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(levels); i++) {
        if (str_eq(effort, str_of(levels[i].name)))
            asked = levels[i].bit;
        if (takes & levels[i].bit)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? ", " : "",
                                   levels[i].name);
    }
    if (!(takes & asked))
        return bad(c, "This model does not support effort level '%.*s'. Supported levels: %s.",
                   STR_ARG(effort), text);
    struct str thinking = json_str(json_get(json_get(c->root, "thinking"), "type"));
    bool is_off = str_eq(thinking, STR("disabled")) || str_eq(thinking, STR("between_tools"));
    if (is_off && c->model->cls->refuses_high_effort_unthinking &&
        (asked & (SIM_EFFORT_XHIGH | SIM_EFFORT_MAX)))
        return bad(c,
                   "output_config.effort: effort level '%.*s' is not supported when thinking is "
                   "\"%.*s\" on this model.",
                   STR_ARG(effort), STR_ARG(thinking));
    return true;
}

static bool rule_budget(struct check *c, yyjson_val *thinking)
{
    yyjson_val *budget = yyjson_obj_get(thinking, "budget_tokens");
    int64_t n = 0, max_tokens = INT64_MAX;
    double d;
    json_to_int(budget, &n);
    if (n < BUDGET_MIN)
        return bad(c,
                   "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
    json_to_int(yyjson_obj_get(c->root, "max_tokens"), &max_tokens);
    if (n >= max_tokens)
        return bad(c, "`max_tokens` must be greater than `thinking.budget_tokens`.");
    if (json_to_double(yyjson_obj_get(c->root, "temperature"), &d) && d < 1)
        return bad(c, "`temperature` may only be set to 1 when thinking is enabled.");
    if (yyjson_obj_get(c->root, "top_k"))
        return bad(c, "`top_k` must be unset when thinking is enabled.");
    if (json_to_double(yyjson_obj_get(c->root, "top_p"), &d) && d < 0.95)
        return bad(
            c, "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.");
    return true;
}

static bool rule_thinking(struct check *c)
{
    static const struct {
        const char *type;
        unsigned bit;
    } types[] = {{"adaptive", SIM_THINK_ADAPTIVE},
                 {"enabled", SIM_THINK_ENABLED},
                 {"disabled", SIM_THINK_DISABLED},
                 {"between_tools", SIM_THINK_BETWEEN_TOOLS}};
    yyjson_val *thinking = yyjson_obj_get(c->root, "thinking");
    struct str type = json_str(yyjson_obj_get(thinking, "type"));
    if (!type.p)
        return true;
    unsigned asked = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(types); i++)
        if (str_eq(type, str_of(types[i].type)))
            asked = types[i].bit;
    if (asked == SIM_THINK_ADAPTIVE && !(c->model->cls->thinking & asked))
        return bad(c, "adaptive thinking is not supported on this model");
    if (asked == SIM_THINK_ENABLED && !(c->model->cls->thinking & asked))
        return bad(c, "\"thinking.type.enabled\" is not supported for this model. Use "
                      "\"thinking.type.adaptive\" and \"output_config.effort\" to control thinking "
                      "behavior.");
    if (!(c->model->cls->thinking & asked))
        return bad(c, "\"thinking.type.%.*s\" is not supported for this model.", STR_ARG(type));
    if (asked == SIM_THINK_ENABLED && !rule_budget(c, thinking))
        return false;
    double d;
    if (asked == SIM_THINK_ADAPTIVE && json_to_double(yyjson_obj_get(c->root, "temperature"), &d) &&
        d < 1)
        return bad(
            c, "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.");
    return true;
}

static bool rule_tool_choice(struct check *c)
{
    yyjson_val *choice = yyjson_obj_get(c->root, "tool_choice");
    return !choice || check_tool_choice(c, choice);
}

static bool rule_turns(struct check *c)
{
    return check_turns(c, yyjson_obj_get(c->root, "messages"));
}

bool validate_request(struct check *c, yyjson_val *root)
{
    static bool (*const rules[])(struct check *) = {
        find_model,       rule_max_tokens,   rule_sampling, rule_effort, rule_thinking,
        rule_tool_choice, check_cache_marks, rule_turns,    bind_check,
    };
    c->root = root;
    c->n_cache_marks = 0;
    if (!yyjson_is_obj(root))
        return bad(c, "Input should be a valid dictionary or object to extract fields from");
    if (!check_fields(c, root))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(rules); i++)
        if (!rules[i](c))
            return false;
    return true;
}

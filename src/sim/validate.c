/*
 * The top level of a Messages request: one table of fields, each with its check, then the rules
 * that join them.
 */
#include "sim/validate.h"

#include <stdio.h>

#include "base/utf8.h"
#include "sim/bind.h"
#include "sim/validate_part.h"

#define CACHE_MARKS_MAX 4
#define BUDGET_MIN      1024

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

bool check_keys(struct check *c, const char *path, yyjson_val *obj, const char *names)
{
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    while ((key = yyjson_obj_iter_next(&it)))
        if (!is_in_list(names, json_str(key)))
            return bad(c, "%s.%.*s: Extra inputs are not permitted", path, STR_ARG(check_key(key)));
    return true;
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

bool check_cache_control(struct check *c, const char *path, yyjson_val *v)
{
    if (!v || yyjson_is_null(v))
        return true;
    if (!yyjson_is_obj(v) || !str_eq(json_str(yyjson_obj_get(v, "type")), STR("ephemeral")))
        return bad(c,
                   "%s: Input tag found using 'type' does not match any of the expected tags: "
                   "'ephemeral'",
                   path);
    char where[200];
    snprintf(where, sizeof(where), "%s.ephemeral", path);
    if (!check_keys(c, where, v, "type ttl"))
        return false;
    yyjson_val *ttl = yyjson_obj_get(v, "ttl");
    snprintf(where, sizeof(where), "%s.ephemeral.ttl", path);
    if (ttl && !check_choice(c, where, ttl, "5m 1h"))
        return false;
    c->n_cache_marks++;
    return true;
}

/* --- one check for each field --------------------------------------------------------------- */

static bool field_model(struct check *c, const char *name, yyjson_val *v)
{
    if (!yyjson_is_str(v))
        return bad(c, "%s: Input should be a valid string", name);
    return yyjson_get_len(v) > 0 || bad(c, "%s: String should have at least 1 character", name);
}

static bool field_messages(struct check *c, const char *name, yyjson_val *v)
{
    (void)name;
    return check_messages(c, v);
}

static bool field_max_tokens(struct check *c, const char *name, yyjson_val *v)
{
    int64_t n;
    if (!json_to_int(v, &n))
        return bad(c, "%s: Input should be a valid integer", name);
    return n >= 0 || bad(c, "%s: Input should be greater than or equal to 0", name);
}

static bool field_bool(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_is_bool(v) || bad(c, "%s: Input should be a valid boolean", name);
}

static bool field_string(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_is_str(v) || yyjson_is_null(v) ||
           bad(c, "%s: Input should be a valid string", name);
}

static bool field_object(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_is_obj(v) || yyjson_is_null(v) || yyjson_is_str(v) ||
           bad(c, "%s: Input should be a valid dictionary", name);
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
    if (!yyjson_is_arr(v))
        return bad(c, "%s: Input should be a valid list", name);
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)); i++) {
        if (!yyjson_is_str(one))
            return bad(c, "%s.%zu: Input should be a valid string", name, i);
        if (str_trim(json_str(one)).n == 0)
            return bad(c, "%s: each stop sequence must contain non-whitespace", name);
    }
    return true;
}

static bool field_system(struct check *c, const char *name, yyjson_val *v)
{
    if (yyjson_is_str(v))
        return true;
    if (!yyjson_is_arr(v))
        return bad(c, "%s: Input should be a valid string or list", name);
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (size_t i = 0; (block = yyjson_arr_iter_next(&it)); i++) {
        char path[64];
        snprintf(path, sizeof(path), "system.%zu", i);
        if (!str_eq(json_str(yyjson_obj_get(block, "type")), STR("text")))
            return bad(c, "%s.type: Input should be 'text'", path);
        if (!check_keys(c, path, block, "type text cache_control citations"))
            return false;
        struct str text = json_str(yyjson_obj_get(block, "text"));
        if (!text.p)
            return bad(c, "%s.text: Field required", path);
        if (!text.n)
            return bad(c, "system: text content blocks must be non-empty");
        snprintf(path, sizeof(path), "system.%zu.cache_control", i);
        if (!check_cache_control(c, path, yyjson_obj_get(block, "cache_control")))
            return false;
    }
    return true;
}

static bool field_metadata(struct check *c, const char *name, yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return bad(c, "%s: Input should be a valid dictionary", name);
    if (!check_keys(c, name, v, "user_id"))
        return false;
    struct str id = json_str(json_get(v, "user_id"));
    if (json_get(v, "user_id") && !id.p)
        return bad(c, "%s.user_id: Input should be a valid string", name);
    if (id.n > 256)
        return bad(c, "%s.user_id: String should have at most 256 characters", name);
    if (str_find(id, STR("@")) > 0)
        return bad(c, "%s.user_id: user_id appears to contain an email address", name);
    return true;
}

static bool field_service_tier(struct check *c, const char *name, yyjson_val *v)
{
    return check_choice(c, name, v, "auto standard_only");
}

static bool field_speed(struct check *c, const char *name, yyjson_val *v)
{
    return yyjson_is_null(v) || check_choice(c, name, v, "standard fast");
}

static bool field_cache_control(struct check *c, const char *name, yyjson_val *v)
{
    return check_cache_control(c, name, v);
}

static bool check_block_binding(struct check *c, const char *path, yyjson_val *thinking)
{
    char where[128];
    yyjson_val *binding = yyjson_obj_get(thinking, "block_binding");
    if (!binding || yyjson_is_null(binding))
        return true;
    if (!c->has_binding_beta)
        return bad(c, "%s.block_binding: Extra inputs are not permitted", path);
    snprintf(where, sizeof(where), "%s.block_binding", path);
    if (!yyjson_is_obj(binding))
        return bad(c, "%s: Input should be a valid dictionary", where);
    if (!check_keys(c, where, binding, "prefix_mismatch_behavior"))
        return false;
    yyjson_val *behavior = yyjson_obj_get(binding, "prefix_mismatch_behavior");
    snprintf(where, sizeof(where), "%s.block_binding.prefix_mismatch_behavior", path);
    return !behavior || yyjson_is_null(behavior) ||
           check_choice(c, where, behavior, "error drop_block");
}

static bool field_thinking(struct check *c, const char *name, yyjson_val *v)
{
    static const struct {
        const char *type, *keys;
    } forms[] = {{"adaptive", "type display block_binding"},
                 {"enabled", "type budget_tokens display block_binding"},
                 {"disabled", "type"},
                 {"between_tools", "type"}};
    if (!yyjson_is_obj(v))
        return bad(c, "%s: Input should be a valid dictionary or object to extract fields from",
                   name);
    struct str type = json_str(yyjson_obj_get(v, "type"));
    for (size_t i = 0; i < PX_ARRAY_LEN(forms); i++) {
        char path[64];
        if (!str_eq(type, str_of(forms[i].type)))
            continue;
        snprintf(path, sizeof(path), "%s.%s", name, forms[i].type);
        if (!check_keys(c, path, v, forms[i].keys) || !check_block_binding(c, path, v))
            return false;
        yyjson_val *display = json_get(v, "display");
        snprintf(path, sizeof(path), "%s.%s.display", name, forms[i].type);
        return !display ||
               check_choice(c, path, display,
                            c->has_beta ? "summarized omitted updates" : "summarized omitted");
    }
    return bad(c,
               "%s: Input tag '%.*s' found using 'type' does not match any of the expected tags: "
               "'adaptive', 'between_tools', 'disabled', 'enabled'",
               name, STR_ARG(check_key(yyjson_obj_get(v, "type"))));
}

static bool check_format(struct check *c, const char *path, yyjson_val *format)
{
    char where[64];
    snprintf(where, sizeof(where), "%s.type", path);
    if (!check_choice(c, where, yyjson_obj_get(format, "type"), "json_schema") ||
        !check_keys(c, path, format, "type schema"))
        return false;
    snprintf(where, sizeof(where), "%s.schema", path);
    yyjson_val *schema = yyjson_obj_get(format, "schema");
    if (!schema)
        return bad(c, "%s: Field required", where);
    struct schema_totals totals = {0};
    return check_schema(c, where, schema, &totals) && check_schema_totals(c, &totals);
}

/* The name of output_config.format while it was a beta. */
static bool field_output_format(struct check *c, const char *name, yyjson_val *v)
{
    return check_format(c, name, v);
}

static bool field_output_config(struct check *c, const char *name, yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return bad(c, "%s: Input should be a valid dictionary", name);
    if (!check_keys(c, name, v, c->has_beta ? "effort format task_budget" : "effort format"))
        return false;
    yyjson_val *effort = json_get(v, "effort"), *format = json_get(v, "format");
    if (effort && !check_choice(c, "output_config.effort", effort, "low medium high xhigh max"))
        return false;
    return !format || check_format(c, "output_config.format", format);
}

static bool field_tools(struct check *c, const char *name, yyjson_val *v)
{
    (void)name;
    return check_tools(c, v);
}

static bool field_any(struct check *c, const char *name, yyjson_val *v)
{
    (void)c, (void)name, (void)v;
    return true;
}

enum field_use {
    FOR_COUNT = 1, /* count_tokens takes it too */
    OLD_ONLY = 2,  /* gone with version 2026-10-21 */
    NEEDS_BETA = 4,
    REQUIRED = 8,
};

struct field {
    const char *name;
    unsigned use;
    bool (*check)(struct check *c, const char *name, yyjson_val *v);
};

static const struct field fields[] = {
    {"model", FOR_COUNT | REQUIRED, field_model},
    {"max_tokens", REQUIRED, field_max_tokens},
    {"messages", FOR_COUNT | REQUIRED, field_messages},
    {"cache_control", FOR_COUNT, field_cache_control},
    {"container", 0, field_object},
    {"diagnostics", 0, field_object},
    {"inference_geo", 0, field_string},
    {"metadata", 0, field_metadata},
    {"output_config", FOR_COUNT, field_output_config},
    {"service_tier", 0, field_service_tier},
    {"speed", FOR_COUNT, field_speed},
    {"stop_sequences", 0, field_stop_sequences},
    {"stream", 0, field_bool},
    {"system", FOR_COUNT, field_system},
    {"temperature", OLD_ONLY, field_unit},
    {"thinking", FOR_COUNT, field_thinking},
    {"tool_choice", FOR_COUNT, field_object},
    {"tools", FOR_COUNT, field_tools},
    {"top_k", OLD_ONLY, field_top_k},
    {"top_p", OLD_ONLY, field_unit},
    {"user_profile_id", FOR_COUNT, field_string},
    {"workspace_id", FOR_COUNT, field_string},
    {"context_management", FOR_COUNT | NEEDS_BETA, field_any},
    {"fallbacks", NEEDS_BETA, field_any},
    {"mcp_servers", FOR_COUNT | NEEDS_BETA, field_any},
    {"output_format", FOR_COUNT | NEEDS_BETA, field_output_format},
};

static const struct field *find_field(const struct check *c, struct str name)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        if (!str_eq(name, str_of(f->name)))
            continue;
        bool is_hidden = (c->is_count && !(f->use & FOR_COUNT)) ||
                         (c->is_2026 && (f->use & OLD_ONLY)) ||
                         (!c->has_beta && (f->use & NEEDS_BETA));
        return is_hidden ? NULL : f;
    }
    return NULL;
}

static bool check_fields(struct check *c, yyjson_val *root)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        bool is_due = (f->use & REQUIRED) && (!c->is_count || (f->use & FOR_COUNT));
        if (is_due && !yyjson_obj_get(root, f->name))
            return bad(c, "%s: Field required", f->name);
    }
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    while ((key = yyjson_obj_iter_next(&it))) {
        const struct field *f = find_field(c, json_str(key));
        if (!f)
            return bad(c, "%.*s: Extra inputs are not permitted", STR_ARG(check_key(key)));
        if (!f->check(c, f->name, yyjson_obj_iter_get_val(key)))
            return false;
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
    int64_t n, max_tokens = INT64_MAX;
    double d;
    if (!budget)
        return bad(c, "thinking.enabled.budget_tokens: Field required");
    if (!json_to_int(budget, &n))
        return bad(c, "thinking.enabled.budget_tokens: Input should be a valid integer");
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

static bool rule_cache_marks(struct check *c)
{
    return c->n_cache_marks <= CACHE_MARKS_MAX ||
           bad(c, "A maximum of 4 blocks with cache_control may be provided. Found %zu.",
               c->n_cache_marks);
}

static bool rule_turns(struct check *c)
{
    return check_turns(c, yyjson_obj_get(c->root, "messages"));
}

bool validate_request(struct check *c, yyjson_val *root)
{
    static bool (*const rules[])(struct check *) = {
        find_model,       rule_max_tokens,  rule_sampling, rule_effort, rule_thinking,
        rule_tool_choice, rule_cache_marks, rule_turns,    bind_check,
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

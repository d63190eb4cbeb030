/*
 * One table: a name, whether a request holds it, the recorded words.
 */
#include "sim/refuse.h"

#include "sim/prefix.h"

static bool has(const struct refusal_facts *f, const char *name)
{
    return json_get(f->root, name) != NULL;
}

static struct str type_of(yyjson_val *v)
{
    return json_str(json_get(v, "type"));
}

static bool has_temperature(const struct refusal_facts *f)
{
    return has(f, "temperature") || has(f, "top_p") || has(f, "top_k");
}

static bool has_both_samplings(const struct refusal_facts *f)
{
    return has(f, "temperature") && has(f, "top_p");
}

static bool has_system_role(const struct refusal_facts *f)
{
    yyjson_val *message;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(f->root, "messages"));
    while ((message = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(json_get(message, "role")), STR("system")))
            return true;
    return false;
}

static bool has_prefill(const struct refusal_facts *f)
{
    yyjson_val *last = yyjson_arr_get_last(json_get(f->root, "messages"));
    return str_eq(json_str(json_get(last, "role")), STR("assistant"));
}

static bool has_effort(const struct refusal_facts *f)
{
    struct str effort = json_str(json_get(json_get(f->root, "output_config"), "effort"));
    return effort.p && !str_eq(effort, STR("low"));
}

static bool has_thinking(const struct refusal_facts *f)
{
    return has(f, "thinking");
}

static bool has_forced_tools(const struct refusal_facts *f)
{
    struct str type = type_of(json_get(f->root, "tool_choice"));
    return str_eq(type, STR("any")) || str_eq(type, STR("tool"));
}

static bool has_new_version(const struct refusal_facts *f)
{
    return f->is_2026;
}

static bool has_grammar(const struct refusal_facts *f)
{
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(f->root, "tools"));
    while ((tool = yyjson_arr_iter_next(&it)))
        if (yyjson_is_true(json_get(tool, "strict")))
            return true;
    return json_get(json_get(f->root, "output_config"), "format") != NULL;
}

static bool is_no_thinking(void *arg, const struct prefix_step *s)
{
    bool *found = arg;
    *found = str_eq(type_of(s->value), STR("thinking"));
    return !*found;
}

static bool has_bound_blocks(const struct refusal_facts *f)
{
    yyjson_val *binding = json_get(json_get(f->root, "thinking"), "block_binding");
    bool found = false;
    if (str_eq(json_str(json_get(binding, "prefix_mismatch_behavior")), STR("drop_block")))
        return false;
    prefix_walk(f->root, is_no_thinking, &found);
    return found;
}

static const struct {
    const char *name;
    bool (*is_held)(const struct refusal_facts *f);
    const char *text;
} refusals[] = {
    {"temperature", has_temperature, "`temperature` is deprecated for this model."},
    {"sampling_field", has_temperature, "temperature: Extra inputs are not permitted"},
    {"both_samplings", has_both_samplings,
     "`temperature` and `top_p` cannot both be specified for this model. Please use only one."},
    {"system_role", has_system_role, "role 'system' is not supported on this model"},
    {"prefill", has_prefill,
     "This model does not support assistant message prefill. The conversation must end with a user "
     "message."},
    {"effort", has_effort,
     "This model does not support effort level 'high'. Supported levels: low."},
    {"thinking", has_thinking, "\"thinking.type.adaptive\" is not supported for this model."},
    {"forced_tools", has_forced_tools,
     "tool_choice: type \"tool\" and \"any\" are not supported for this model."},
    {"version", has_new_version, "anthropic-version: \"2026-10-21\" is not a valid version"},
    {"schema", has_grammar, "Schema is too complex for compilation."},
    {"binding", has_bound_blocks,
     "messages.1.content.0: Invalid signature in thinking block. The block is bound to a different "
     "conversation. Thinking blocks must be sent back with the system prompt, tools and messages "
     "that they were created with."},
};

bool refuse_check(struct str what, const struct refusal_facts *f, struct arena *a,
                  struct sim_error *err)
{
    struct str name;
    while (str_split(&what, ',', &name)) {
        size_t i = 0;
        while (i < PX_ARRAY_LEN(refusals) && !str_eq(name, str_of(refusals[i].name)))
            i++;
        if (i == PX_ARRAY_LEN(refusals))
            return sim_error_bad(err, a, "sim: there is no `%.*s` to refuse", STR_ARG(name));
        if (f->always || refusals[i].is_held(f))
            return sim_error_bad(err, a, "%s", refusals[i].text);
    }
    return true;
}

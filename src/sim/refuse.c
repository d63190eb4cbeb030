/*
 * What can be refused, in the API's words.
 */
#include "sim/refuse.h"

#include "sim/prefix.h"
#include "sim/validate_part.h"

static bool refuse_sampling(struct check *c)
{
    static const char *const names[] = {"temperature", "top_p", "top_k"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (yyjson_obj_get(c->root, names[i]))
            return bad(c, "`%s` is deprecated for this model.", names[i]);
    return true;
}

/* The same, as the newest version says it. */
static bool refuse_sampling_fields(struct check *c)
{
    static const char *const names[] = {"temperature", "top_p", "top_k"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (yyjson_obj_get(c->root, names[i]))
            return bad(c, "%s: Extra inputs are not permitted", names[i]);
    return true;
}

static bool refuse_both(struct check *c)
{
    return !yyjson_obj_get(c->root, "temperature") || !yyjson_obj_get(c->root, "top_p") ||
           bad(c, "`temperature` and `top_p` cannot both be specified for this model. Please use "
                  "only one.");
}

static struct str role_of(yyjson_val *message)
{
    return json_str(json_get(message, "role"));
}

static bool refuse_prefill(struct check *c)
{
    yyjson_val *last = yyjson_arr_get_last(yyjson_obj_get(c->root, "messages"));
    return !str_eq(role_of(last), STR("assistant")) ||
           bad(c, "This model does not support assistant message prefill. The conversation must "
                  "end with a user message.");
}

static bool refuse_assistant_first(struct check *c)
{
    yyjson_val *first = yyjson_arr_get_first(yyjson_obj_get(c->root, "messages"));
    return !str_eq(role_of(first), STR("assistant")) ||
           bad(c, "messages: first message must use the \"user\" role");
}

static bool refuse_system_role(struct check *c)
{
    size_t i, max;
    yyjson_val *message;
    yyjson_arr_foreach(yyjson_obj_get(c->root, "messages"), i, max, message)
    {
        if (str_eq(role_of(message), STR("system")))
            return bad(c, "role 'system' is not supported on this model");
    }
    return true;
}

static bool refuse_forced_tools(struct check *c)
{
    struct str type = json_str(json_get(yyjson_obj_get(c->root, "tool_choice"), "type"));
    return !(str_eq(type, STR("any")) || str_eq(type, STR("tool"))) ||
           bad(c, "tool_choice: type \"tool\" and \"any\" are not supported for this model.");
}

static bool refuse_effort(struct check *c)
{
    struct str effort = json_str(json_get(yyjson_obj_get(c->root, "output_config"), "effort"));
    return !effort.p || str_eq(effort, STR("low")) ||
           bad(c, "This model does not support effort level '%.*s'. Supported levels: low.",
               STR_ARG(effort));
}

static bool refuse_thinking(struct check *c)
{
    struct str type = json_str(json_get(yyjson_obj_get(c->root, "thinking"), "type"));
    return !type.p ||
           bad(c, "\"thinking.type.%.*s\" is not supported for this model.", STR_ARG(type));
}

static bool refuse_schema(struct check *c)
{
    bool has_schema = json_get(yyjson_obj_get(c->root, "output_config"), "format");
    size_t i, max;
    yyjson_val *tool;
    yyjson_arr_foreach(yyjson_obj_get(c->root, "tools"), i, max, tool)
    {
        has_schema |= yyjson_is_true(json_get(tool, "strict"));
    }
    return !has_schema || bad(c, "Schema is too complex for compilation.");
}

static bool refuse_version(struct check *c)
{
    return !c->is_2026 || bad(c, "anthropic-version: \"2026-10-21\" is not a valid version");
}

static bool is_no_thinking(void *arg, const struct prefix_step *s)
{
    bool *found = arg;
    *found = str_eq(json_str(json_get(s->value, "type")), STR("thinking"));
    return !*found;
}

static bool refuse_binding(struct check *c)
{
    yyjson_val *binding = json_get(yyjson_obj_get(c->root, "thinking"), "block_binding");
    struct str behaviour = json_str(json_get(binding, "prefix_mismatch_behavior"));
    bool found = false;
    if (str_eq(behaviour, STR("drop_block")))
        return true;
    prefix_walk(c->root, is_no_thinking, &found);
    return !found ||
           bad(c, "messages.1.content.0: Invalid signature in thinking block. The block is "
                  "bound to a different conversation.");
}

static bool refuse_no_tools(struct check *c)
{
    yyjson_val *message, *block;
    size_t i, max, k, n;
    if (yyjson_arr_size(yyjson_obj_get(c->root, "tools")) > 0)
        return true;
    yyjson_arr_foreach(yyjson_obj_get(c->root, "messages"), i, max, message)
    {
        yyjson_arr_foreach(yyjson_obj_get(message, "content"), k, n, block)
        {
            struct str type = json_str(json_get(block, "type"));
            if (str_eq(type, STR("tool_use")) || str_eq(type, STR("tool_result")))
                return bad(c, "Requests which include `tool_use` or `tool_result` blocks must "
                              "define tools.");
        }
    }
    return true;
}

bool refuse_check(struct check *c, struct str names)
{
    static const struct {
        const char *name;
        bool (*check)(struct check *c);
    } refusals[] = {
        {"sampling", refuse_sampling},       {"both", refuse_both},
        {"prefill", refuse_prefill},         {"assistant_first", refuse_assistant_first},
        {"system_role", refuse_system_role}, {"forced_tools", refuse_forced_tools},
        {"effort", refuse_effort},           {"thinking", refuse_thinking},
        {"schema", refuse_schema},           {"version", refuse_version},
        {"binding", refuse_binding},         {"sampling_fields", refuse_sampling_fields},
        {"no_tools", refuse_no_tools},
    };
    struct str name;
    while (str_split(&names, ',', &name)) {
        size_t i = 0;
        while (i < PX_ARRAY_LEN(refusals) && !str_eq(name, str_of(refusals[i].name)))
            i++;
        if (i == PX_ARRAY_LEN(refusals))
            return bad(c, "sim: '%.*s' is nothing that can be refused", STR_ARG(name));
        if (!refusals[i].check(c))
            return false;
    }
    return true;
}

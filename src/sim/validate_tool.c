/*
 * tools and tool_choice.
 */
#include <stdio.h>

#include "sim/validate_part.h"

#define STRICT_TOOLS_MAX 20
#define TOOLS_MAX        2000 /* pairs of names are compared: bounds the work */

static const char custom_keys[] =
    "name input_schema description type cache_control strict defer_loading input_examples "
    "allowed_callers eager_input_streaming";

/* Tools that Anthropic defines; their types carry a date behind these words. */
static const char *const server_tools[] = {
    "web_search_", "web_fetch_", "code_execution_",   "bash_",       "text_editor_",
    "computer_",   "memory_",    "tool_search_tool_", "mcp_toolset", "advisor_",
};

static bool name_is_fine(struct str s)
{
    if (s.n < 1 || s.n > 128)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool check_input_schema(struct check *c, const char *path, yyjson_val *schema)
{
    static const char *const combinators[] = {"oneOf", "allOf", "anyOf"};
    if (!schema)
        return bad(c, "%s: Field required", path);
    if (!yyjson_is_obj(schema))
        return bad(c, "%s: Input should be a valid dictionary", path);
    yyjson_val *type = yyjson_obj_get(schema, "type");
    if (!type)
        return bad(c, "%s.type: Field required", path);
    if (!str_eq(json_str(type), STR("object")))
        return bad(c, "%s.type: Input should be 'object'", path);
    for (size_t i = 0; i < PX_ARRAY_LEN(combinators); i++)
        if (yyjson_obj_get(schema, combinators[i]))
            return bad(c,
                       "%s: input_schema does not support oneOf, allOf, or anyOf at the top level",
                       path);
    return true;
}

static bool check_custom(struct check *c, size_t i, yyjson_val *tool, struct schema_totals *totals)
{
    char path[64];
    snprintf(path, sizeof(path), "tools.%zu.custom", i);
    struct str name = json_str(yyjson_obj_get(tool, "name"));
    yyjson_val *description = yyjson_obj_get(tool, "description");
    if (!yyjson_obj_get(tool, "name"))
        return bad(c, "%s.name: Field required", path);
    if (!name.p)
        return bad(c, "%s.name: Input should be a valid string", path);
    if (!name_is_fine(name))
        return bad(c, "%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", path);
    if (description && !yyjson_is_str(description))
        return bad(c, "%s.description: Input should be a valid string", path);
    if (!check_keys(c, path, tool, custom_keys))
        return false;
    char schema_path[96];
    snprintf(schema_path, sizeof(schema_path), "%s.input_schema", path);
    yyjson_val *schema = yyjson_obj_get(tool, "input_schema");
    if (!check_input_schema(c, schema_path, schema))
        return false;
    if (yyjson_is_true(yyjson_obj_get(tool, "strict")) && !check_schema(c, path, schema, totals))
        return false;
    snprintf(schema_path, sizeof(schema_path), "%s.cache_control", path);
    return check_cache_control(c, schema_path, yyjson_obj_get(tool, "cache_control"));
}

static bool is_server_tool(struct str type)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(server_tools); i++)
        if (str_starts(type, str_of(server_tools[i])))
            return true;
    return false;
}

static bool check_tool(struct check *c, size_t i, yyjson_val *tool, struct schema_totals *totals)
{
    if (!yyjson_is_obj(tool))
        return bad(c, "tools.%zu: Input should be a valid dictionary", i);
    yyjson_val *type = json_get(tool, "type");
    if (!type || str_eq(json_str(type), STR("custom")))
        return check_custom(c, i, tool, totals);
    if (!is_server_tool(json_str(type)))
        return bad(
            c,
            "tools.%zu: Input tag '%.*s' found using 'type' does not match any of the expected "
            "tags: 'bash_20250124', 'custom', 'text_editor_20250728', 'web_search_20250305'",
            i, STR_ARG(check_key(type)));
    return true;
}

static bool names_are_unique(yyjson_val *tools, size_t i, struct str name)
{
    yyjson_val *other;
    yyjson_arr_iter it = yyjson_arr_iter_with(tools);
    for (size_t k = 0; k < i && (other = yyjson_arr_iter_next(&it)); k++)
        if (name.n && str_eq(json_str(yyjson_obj_get(other, "name")), name))
            return false;
    return true;
}

bool check_tools(struct check *c, yyjson_val *tools)
{
    if (!yyjson_is_arr(tools))
        return bad(c, "tools: Input should be a valid list");
    if (yyjson_arr_size(tools) > TOOLS_MAX)
        return bad(c, "tools: List should have at most %d items", TOOLS_MAX);
    struct schema_totals totals = {0};
    size_t n_strict = 0, i = 0;
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(tools);
    for (; (tool = yyjson_arr_iter_next(&it)); i++) {
        if (!check_tool(c, i, tool, &totals))
            return false;
        if (!names_are_unique(tools, i, json_str(yyjson_obj_get(tool, "name"))))
            return bad(c, "tools: Tool names must be unique.");
        n_strict += yyjson_is_true(yyjson_obj_get(tool, "strict"));
    }
    if (n_strict > STRICT_TOOLS_MAX)
        return bad(
            c, "Too many strict tools (%zu). The maximum number of strict tools supported is 20.",
            n_strict);
    return check_schema_totals(c, &totals);
}

static bool has_tool(yyjson_val *tools, struct str name)
{
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(tools);
    while ((tool = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(yyjson_obj_get(tool, "name")), name))
            return true;
    return false;
}

static bool check_forced(struct check *c, yyjson_val *choice, struct str type)
{
    if (!c->model->cls->takes_forced_tools)
        return bad(c, "tool_choice: type \"tool\" and \"any\" are not supported for this model.");
    struct str thinking = json_str(json_get(json_get(c->root, "thinking"), "type"));
    if (str_eq(thinking, STR("enabled")))
        return bad(c, "Thinking may not be enabled when tool_choice forces tool use.");
    if (!str_eq(type, STR("tool")))
        return true;
    yyjson_val *name = yyjson_obj_get(choice, "name");
    if (!name)
        return bad(c, "tool_choice.tool.name: Field required");
    if (!has_tool(json_get(c->root, "tools"), json_str(name)))
        return bad(c, "tool_choice: Tool '%.*s' not found in provided tools",
                   STR_ARG(check_key(name)));
    return true;
}

bool check_tool_choice(struct check *c, yyjson_val *choice)
{
    static const struct {
        const char *type, *keys;
    } forms[] = {{"auto", "type disable_parallel_tool_use"},
                 {"any", "type disable_parallel_tool_use"},
                 {"tool", "type name disable_parallel_tool_use"},
                 {"none", "type"}};
    if (!yyjson_is_obj(choice))
        return bad(
            c, "tool_choice: Input should be a valid dictionary or object to extract fields from");
    struct str type = json_str(yyjson_obj_get(choice, "type"));
    if (!type.p)
        return bad(c, "tool_choice: Unable to extract tag using discriminator 'type'");
    size_t i = 0;
    while (i < PX_ARRAY_LEN(forms) && !str_eq(type, str_of(forms[i].type)))
        i++;
    if (i == PX_ARRAY_LEN(forms))
        return bad(
            c,
            "tool_choice: Input tag '%.*s' found using 'type' does not match any of the expected "
            "tags: 'any', 'auto', 'none', 'tool'",
            STR_ARG(check_key(yyjson_obj_get(choice, "type"))));
    char path[32];
    snprintf(path, sizeof(path), "tool_choice.%s", forms[i].type);
    if (!check_keys(c, path, choice, forms[i].keys))
        return false;
    if (yyjson_arr_size(json_get(c->root, "tools")) == 0 && !str_eq(type, STR("none")))
        return bad(c, "tool_choice: tool_choice may only be specified while providing tools.");
    bool is_forced = str_eq(type, STR("any")) || str_eq(type, STR("tool"));
    return !is_forced || check_forced(c, choice, type);
}

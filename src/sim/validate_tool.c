/*
 * tools and tool_choice: what their shapes (wire.h) do not say.
 */
#include <stdio.h>

#include "sim/validate_part.h"

#define STRICT_TOOLS_MAX 20
#define TOOLS_MAX        2000 /* pairs of names are compared: bounds the work */

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

static bool check_custom(struct check *c, size_t i, yyjson_val *tool, struct schema_totals *totals)
{
    static const char *const combinators[] = {"oneOf", "allOf", "anyOf"};
    char path[64];
    snprintf(path, sizeof(path), "tools.%zu.custom", i);
    yyjson_val *schema = yyjson_obj_get(tool, "input_schema");
    if (!name_is_fine(json_str(yyjson_obj_get(tool, "name"))))
        return bad(c, "%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", path);
    for (size_t k = 0; k < PX_ARRAY_LEN(combinators); k++)
        if (yyjson_obj_get(schema, combinators[k]))
            return bad(c,
                       "%s.input_schema: input_schema does not support oneOf, allOf, or anyOf at "
                       "the top level",
                       path);
    return !yyjson_is_true(yyjson_obj_get(tool, "strict")) || check_schema(c, path, schema, totals);
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
    if (yyjson_arr_size(tools) > TOOLS_MAX)
        return bad(c, "tools: List should have at most %d items", TOOLS_MAX);
    struct schema_totals totals = {0};
    size_t n_strict = 0, i = 0;
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(tools);
    for (; (tool = yyjson_arr_iter_next(&it)); i++) {
        if (yyjson_obj_get(tool, "input_schema") && !check_custom(c, i, tool, &totals))
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
    if (!has_tool(json_get(c->root, "tools"), json_str(name)))
        return bad(c, "tool_choice: Tool '%.*s' not found in provided tools",
                   STR_ARG(check_key(name)));
    return true;
}

bool check_tool_choice(struct check *c, yyjson_val *choice)
{
    struct str type = json_str(yyjson_obj_get(choice, "type"));
    if (yyjson_arr_size(json_get(c->root, "tools")) == 0 && !str_eq(type, STR("none")))
        return bad(c, "tool_choice: tool_choice may only be specified while providing tools.");
    return !is_in_list("any tool", type) || check_forced(c, choice, type);
}

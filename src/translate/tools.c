/*
 * Reads the definitions of tools. Real clients send OpenAI's form, the flat one of its Responses
 * API, Anthropic's own, legacy functions, custom tools and tools that a provider runs itself.
 */
#include "translate/tools.h"

#include "translate/fields.h"

#define WEB_SEARCH_NAME "web_search"

const char *tool_path(struct translation *t, const struct tool *tool, const char *member)
{
    if (tool->kind == TOOL_WEB_SEARCH && tool->outer == t->field[FIELD_web_search_options])
        return path_of(t, "web_search_options%s", member);
    return path_of(t, "%s[%zu]%s%s", t->tools->list, tool->index, tool->inner, member);
}

struct tool *tool_find(const struct tools *tools, struct str client_name)
{
    struct tool *tool = tools->first;
    while (tool && !(tool->client_name.p && str_eq(tool->client_name, client_name)))
        tool = tool->next;
    return tool;
}

struct tool *tool_find_type(const struct tools *tools, struct str type)
{
    struct tool *tool = tools->first;
    while (tool && !((tool->kind == TOOL_UPSTREAM || tool->kind == TOOL_WEB_SEARCH) &&
                     str_eq(json_str(json_get(tool->outer, "type")), type)))
        tool = tool->next;
    return tool;
}

bool tools_are_forced(const struct translation *t)
{
    const struct tool_choice *choice = t->tools ? &t->tools->choice : NULL;
    return choice && !choice->is_emulated &&
           (choice->kind == CHOICE_ANY || choice->kind == CHOICE_TOOL);
}

bool tools_are_sent(const struct translation *t)
{
    for (const struct tool *tool = t->tools ? t->tools->first : NULL; tool; tool = tool->next)
        if (!tool->is_withheld)
            return true;
    return false;
}

/* "bash_20250124": the upstream's own tools carry the date of their version. */
static bool is_upstream_type(struct str type)
{
    if (str_eq(type, STR("mcp_toolset")))
        return true;
    if (type.n < 10 || type.p[type.n - 9] != '_')
        return false;
    for (size_t i = type.n - 8; i < type.n; i++)
        if (type.p[i] < '0' || type.p[i] > '9')
            return false;
    return true;
}

static bool is_web_search_type(struct str type)
{
    return str_eq(type, STR("web_search")) || str_starts(type, STR("web_search_preview")) ||
           str_eq(type, STR("openrouter:web_search"));
}

static bool set_inner(struct translation *t, struct tool *tool, enum tool_kind kind,
                      const char *inner)
{
    yyjson_val *def = json_get(tool->outer, inner + 1);
    tool->kind = kind;
    tool->inner = inner;
    tool->def = def;
    return yyjson_is_obj(def) || refuse_type(t, tool_path(t, tool, ""), "an object", def);
}

/* Which of the shapes an element has. *ret_is_ignored: it is none that can be served. */
static bool find_shape(struct translation *t, struct tool *tool, bool *ret_is_ignored)
{
    yyjson_val *v = tool->outer, *type_val = json_get(v, "type");
    struct str type = json_str(type_val);
    if (type_val && !yyjson_is_str(type_val))
        return refuse_type(t, tool_path(t, tool, ".type"), "a string", type_val);
    if (t->tools->list[0] == 'f') /* functions */
        return true;
    if (!type_val || str_eq(type, STR("function"))) {
        if (json_get(v, "function"))
            return set_inner(t, tool, TOOL_FUNCTION, ".function");
        return type_val || !json_get(v, "custom") || set_inner(t, tool, TOOL_CUSTOM, ".custom");
    }
    if (str_eq(type, STR("custom"))) {
        if (json_get(v, "custom"))
            return set_inner(t, tool, TOOL_CUSTOM, ".custom");
        tool->kind = json_get(v, "input_schema") ? TOOL_FUNCTION : TOOL_CUSTOM;
        return true;
    }
    tool->kind = is_web_search_type(type) ? TOOL_WEB_SEARCH : TOOL_UPSTREAM;
    if (tool->kind == TOOL_WEB_SEARCH || is_upstream_type(type))
        return true;
    /* Extras of another gateway that a client adds for all models. */
    if (str_starts(type, STR("openrouter:"))) {
        *ret_is_ignored = true;
        return ignore_at(t, tool_path(t, tool, ".type"), STR("tools.type"));
    }
    const char *path = tool_path(t, tool, ".type");
    return refuse(t, "invalid_value", path,
                  "Invalid value: '%.*s'. Supported values of '%s' are: 'function', 'custom', "
                  "'web_search' and Anthropic's own tools.",
                  STR_ARG(type), path);
}

static bool is_one_of(struct str s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, str_of(words[i])))
            return true;
    return false;
}

/* Lists members that nothing reads. */
static bool report_members(struct translation *t, const struct tool *tool, yyjson_val *obj)
{
    static const char *const known[] = {
        "type",          "name",           "description",     "parameters",
        "input_schema",  "strict",         "cache_control",   "prompt_cache_breakpoint",
        "defer_loading", "input_examples", "allowed_callers", "eager_input_streaming"};
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        struct str name = json_str(key);
        bool is_shape =
            obj == tool->outer && tool->inner[0] && str_eq(name, str_of(tool->inner + 1));
        bool is_format = tool->kind == TOOL_CUSTOM && str_eq(name, STR("format"));
        if (yyjson_is_null(v) || is_shape || is_format ||
            is_one_of(name, known, PX_ARRAY_LEN(known)))
            continue;
        const char *path = t->policy->strict ? tool_path(t, tool, "") : "";
        if (!ignore_member(t, t->tools->list, path, name))
            return false;
    }
    return true;
}

/* Anthropic's own members, which may stand at either level. */
static bool check_extensions(struct translation *t, const struct tool *tool, yyjson_val *obj)
{
    static const char *const switches[] = {"defer_loading", "eager_input_streaming"};
    static const char *const lists[] = {"input_examples", "allowed_callers"};
    bool is_on;
    for (size_t i = 0; i < PX_ARRAY_LEN(switches); i++) {
        yyjson_val *v = json_get(obj, switches[i]);
        if (v && !want_bool(t, tool_path(t, tool, path_of(t, ".%s", switches[i])), v, &is_on))
            return false;
    }
    for (size_t i = 0; i < PX_ARRAY_LEN(lists); i++) {
        yyjson_val *v = json_get(obj, lists[i]);
        if (v && !want_array(t, tool_path(t, tool, path_of(t, ".%s", lists[i])), v))
            return false;
    }
    return true;
}

static bool read_name(struct translation *t, struct tool *tool)
{
    yyjson_val *name = json_get(tool->def, "name");
    tool->client_name = json_str(name);
    if (tool->client_name.n)
        return true;
    const char *path = tool_path(t, tool, ".name");
    if (!name)
        return refuse_missing(t, path);
    if (!yyjson_is_str(name))
        return refuse_type(t, path, "a string", name);
    return refuse(t, "empty_string", path,
                  "Invalid '%s': empty string. Expected a string with minimum length 1, but got "
                  "an empty string instead.",
                  path);
}

static bool read_schema(struct translation *t, struct tool *tool)
{
    const char *member = json_get(tool->def, "parameters") ? "parameters" : "input_schema";
    yyjson_val *strict = json_get(tool->def, "strict");
    tool->schema = json_get(tool->def, member);
    if (!strict)
        strict = json_get(tool->outer, "strict");
    if (strict && !want_bool(t, tool_path(t, tool, ".strict"), strict, &tool->wants_strict))
        return false;
    if (tool->schema && !yyjson_is_obj(tool->schema))
        return refuse_type(t, tool_path(t, tool, path_of(t, ".%s", member)), "an object",
                           tool->schema);
    return !tool->schema || tool_schema_check(t, tool);
}

/* A grammar is told to the model: nothing holds it to it. */
static bool check_format(struct translation *t, const struct tool *tool)
{
    yyjson_val *format = json_get(tool->def, "format");
    if (!format)
        return true;
    if (!want_object(t, tool_path(t, tool, ".format"), format))
        return false;
    struct str type = json_str(json_get(format, "type"));
    if (str_eq(type, STR("text")))
        return true;
    const char *path = tool_path(t, tool, ".format.type");
    if (!str_eq(type, STR("grammar")))
        return refuse(t, "invalid_value", path,
                      "Invalid value for '%s': expected \"text\" or \"grammar\".", path);
    return modify_param(t, "unsupported_value", path, "tools.custom.format(description)");
}

static bool read_function(struct translation *t, struct tool *tool)
{
    yyjson_val *description = json_get(tool->def, "description");
    if (!read_name(t, tool) || !report_members(t, tool, tool->def) ||
        !check_extensions(t, tool, tool->def))
        return false;
    if (tool->def != tool->outer &&
        (!report_members(t, tool, tool->outer) || !check_extensions(t, tool, tool->outer)))
        return false;
    if (description && !yyjson_is_str(description))
        return refuse_type(t, tool_path(t, tool, ".description"), "a string", description);
    return tool->kind == TOOL_CUSTOM ? check_format(t, tool) : read_schema(t, tool);
}

/* The upstream knows these types with a beta feature only (its SDK's types). */
static bool add_beta(struct translation *t, const struct tool *tool)
{
    static const struct {
        const char *type, *beta;
    } betas[] = {
        {"advisor_20260301", "advisor-tool-2026-03-01"},
        {"bash_20241022", "computer-use-2024-10-22"},
        {"computer_20241022", "computer-use-2024-10-22"},
        {"computer_20250124", "computer-use-2025-01-24"},
        {"computer_20251124", "computer-use-2025-11-24"},
        {"text_editor_20241022", "computer-use-2024-10-22"},
    };
    const struct str type = json_str(json_get(tool->def, "type"));
    for (size_t i = 0; i < PX_ARRAY_LEN(betas); i++)
        if (str_eq(type, str_of(betas[i].type)))
            return fields_add_beta(t, tool_path(t, tool, ".type"), str_of(betas[i].beta));
    return true;
}

/* Tools that the upstream runs: their names are not the client's to give. */
static bool read_upstream(struct translation *t, struct tool *tool)
{
    t->out->may_pause = true;
    if (!add_beta(t, tool))
        return false;
    if (tool->kind == TOOL_WEB_SEARCH && !web_search_check(t, tool))
        return false;
    tool->name = tool->kind == TOOL_WEB_SEARCH ? STR(WEB_SEARCH_NAME)
                                               : json_str(json_get(tool->def, "name"));
    return true;
}

static bool read_marker(struct translation *t, struct tool *tool)
{
    yyjson_val *holder = cache_has_marker(tool->outer) ? tool->outer : tool->def;
    if (cache_has_marker(holder) &&
        !cache_read_marker(t, tool_path(t, tool, ""), holder, &tool->marker.cache))
        return false;
    struct blocks one = {&tool->marker, &tool->marker};
    blocks_move(&t->tool_markers, &one);
    return true;
}

static bool add_tool(struct translation *t, struct tool one)
{
    struct tools *tools = t->tools;
    struct tool *tool = arena_alloc(t->arena, sizeof(*tool));
    if (!tool)
        return refuse_memory(t);
    *tool = one;
    if (tools->last)
        tools->last->next = tool;
    else
        tools->first = tool;
    tools->last = tool;
    return read_marker(t, tool);
}

static bool read_tool(struct translation *t, size_t index, yyjson_val *v)
{
    struct tool tool = {.index = index, .outer = v, .def = v, .inner = ""};
    bool is_ignored = false;
    if (!yyjson_is_obj(v))
        return refuse_type(t, tool_path(t, &tool, ""), "an object", v);
    if (!find_shape(t, &tool, &is_ignored))
        return false;
    if (is_ignored)
        return true;
    bool is_function = tool.kind == TOOL_FUNCTION || tool.kind == TOOL_CUSTOM;
    return (is_function ? read_function(t, &tool) : read_upstream(t, &tool)) && add_tool(t, tool);
}

static bool refuse_twice(struct translation *t, const struct tool *tool, struct str name)
{
    return refuse(t, "invalid_value", t->tools->list,
                  "Invalid value for '%s': more than one tool is named '%.*s' (the second is "
                  "number %zu).",
                  t->tools->list, STR_ARG(name), tool->index);
}

/*
 * Of the upstream's own tools these are run by the client: they are called as its functions are,
 * and calls of earlier turns keep the name.
 */
static bool is_run_by_client(const struct tool *tool)
{
    static const char *const families[] = {"bash_", "computer_", "memory_", "text_editor_"};
    struct str type = json_str(json_get(tool->def, "type"));
    for (size_t i = 0; tool->kind == TOOL_UPSTREAM && i < PX_ARRAY_LEN(families); i++)
        if (str_starts(type, str_of(families[i])))
            return true;
    return false;
}

static bool keep_name(struct translation *t, const struct tool *tool)
{
    if (is_run_by_client(tool))
        return tool_name_upstream(t, tool->name).p != NULL;
    return tool_name_reserve(t, tool->name);
}

/* Names that must stay come first: the upstream's own tools', then those that are fine. */
static bool name_tools(struct translation *t)
{
    struct tool *tool;
    for (tool = t->tools->first; tool; tool = tool->next) {
        if (tool->client_name.p || !tool->name.p)
            continue;
        if (!tool_name_is_free(t->tool_names, tool->name))
            return refuse_twice(t, tool, tool->name);
        if (!keep_name(t, tool))
            return false;
    }
    for (unsigned pass = 0; pass < 2; pass++)
        for (tool = t->tools->first; tool; tool = tool->next) {
            if (!tool->client_name.p || tool_name_is_fine(tool->client_name) != (pass == 0))
                continue;
            if (tool_name_is_known(t->tool_names, tool->client_name))
                return refuse_twice(t, tool, tool->client_name);
            tool->name = tool_name_upstream(t, tool->client_name);
            if (!tool->name.p)
                return false;
            if (tool->kind == TOOL_CUSTOM)
                tool_name_set_custom(t->tool_names, tool->name);
        }
    return true;
}

static bool find_list(struct translation *t, yyjson_val **ret)
{
    yyjson_val *tools = t->field[FIELD_tools], *functions = t->field[FIELD_functions];
    if ((tools && !want_array(t, "tools", tools)) ||
        (functions && !want_array(t, "functions", functions)))
        return false;
    *ret = tools;
    if (yyjson_arr_size(functions) == 0)
        return true;
    if (yyjson_arr_size(tools) > 0)
        return refuse(t, "invalid_value", "functions",
                      "Invalid value for 'functions': it cannot be used together with 'tools'.");
    *ret = functions;
    t->tools->list = "functions";
    t->tools->is_single = true; /* the answer has room for one function_call */
    t->out->is_function_call = true;
    return true;
}

static bool read_web_search_options(struct translation *t)
{
    yyjson_val *v = t->field[FIELD_web_search_options];
    if (!v)
        return true;
    if (!want_object(t, "web_search_options", v))
        return false;
    for (const struct tool *tool = t->tools->first; tool; tool = tool->next)
        if (!tool->client_name.p && str_eq(tool->name, STR(WEB_SEARCH_NAME)))
            return true; /* it is asked for already */
    struct tool tool = {.kind = TOOL_WEB_SEARCH, .outer = v, .def = v, .inner = ""};
    return read_upstream(t, &tool) && add_tool(t, tool);
}

bool tools_read(struct translation *t)
{
    yyjson_val *list, *v;
    size_t i, max;
    t->tools = arena_alloc(t->arena, sizeof(*t->tools));
    if (!t->tools)
        return refuse_memory(t);
    t->tools->list = "tools";
    if (!find_list(t, &list))
        return false;
    yyjson_arr_foreach(list, i, max, v)
    {
        if (!read_tool(t, i, v))
            return false;
    }
    yyjson_val *parallel = t->field[FIELD_parallel_tool_calls];
    if (parallel && yyjson_is_false(parallel))
        t->tools->is_single = true;
    return read_web_search_options(t) && name_tools(t) && tool_choice_read(t) &&
           tool_strict_settle(t);
}

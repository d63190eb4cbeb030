/*
 * Web search as OpenAI asks for it (web_search_options, or a tool of that type) -> the upstream's
 * own tool. The oldest version of that is the plain one: newer ones bring code execution along.
 */
#include "translate/tools.h"

static const char *const places[] = {"city", "country", "region", "timezone"};

/* A search is more or less thorough by how often it may be made. */
static const struct {
    const char *word;
    int uses;
} sizes[] = {{"low", 1}, {"medium", 5}, {"high", 10}};

/* OpenAI has two forms: the place itself, or in a member "approximate". */
static yyjson_val *place_of(const struct tool *tool)
{
    yyjson_val *location = json_get(tool->outer, "user_location");
    yyjson_val *inner = json_get(location, "approximate");
    return inner ? inner : location;
}

static bool check_place(struct translation *t, const struct tool *tool)
{
    yyjson_val *location = json_get(tool->outer, "user_location"), *place = place_of(tool);
    struct str text;
    if (!location)
        return true;
    if (!want_object(t, tool_path(t, tool, ".user_location"), location) ||
        !want_object(t, tool_path(t, tool, ".user_location.approximate"), place))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        yyjson_val *v = json_get(place, places[i]);
        const char *path = path_of(t, ".user_location.%s", places[i]);
        if (v && !want_string(t, tool_path(t, tool, path), v, &text))
            return false;
    }
    return true;
}

static int uses_of(const struct tool *tool)
{
    struct str word = json_str(json_get(tool->outer, "search_context_size"));
    for (size_t i = 0; i < PX_ARRAY_LEN(sizes); i++)
        if (str_eq(word, str_of(sizes[i].word)))
            return sizes[i].uses;
    return 0;
}

static bool check_size(struct translation *t, const struct tool *tool)
{
    if (!json_get(tool->outer, "search_context_size"))
        return true;
    const char *path = tool_path(t, tool, ".search_context_size");
    int uses = uses_of(tool);
    if (uses == 0)
        return refuse(t, "invalid_value", path,
                      "Invalid value for '%s': expected one of low, medium, high.", path);
    return modify_param(t, "unsupported_value", path, "search_context_size=%d(max_uses)", uses);
}

static bool check_domains(struct translation *t, const struct tool *tool)
{
    yyjson_val *filters = json_get(tool->outer, "filters");
    yyjson_val *domains = json_get(filters, "allowed_domains"), *v;
    size_t i, max;
    struct str text;
    if (filters && !want_object(t, tool_path(t, tool, ".filters"), filters))
        return false;
    if (domains && !want_array(t, tool_path(t, tool, ".filters.allowed_domains"), domains))
        return false;
    yyjson_arr_foreach(domains, i, max, v)
    {
        if (!want_string(t, tool_path(t, tool, ".filters.allowed_domains"), v, &text))
            return false;
    }
    return true;
}

static bool report_others(struct translation *t, const struct tool *tool)
{
    static const char *const known[] = {"type",    "user_location", "search_context_size",
                                        "filters", "cache_control", "prompt_cache_breakpoint"};
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(tool->outer, i, max, key, v)
    {
        bool is_known = yyjson_is_null(v);
        for (size_t k = 0; k < PX_ARRAY_LEN(known) && !is_known; k++)
            is_known = str_eq(json_str(key), str_of(known[k]));
        const char *path = t->policy->strict ? tool_path(t, tool, "") : "";
        if (!is_known && !ignore_member(t, "web_search", path, json_str(key)))
            return false;
    }
    return true;
}

bool web_search_check(struct translation *t, const struct tool *tool)
{
    return check_place(t, tool) && check_size(t, tool) && check_domains(t, tool) &&
           report_others(t, tool);
}

void web_search_write(const struct tool *tool, struct buf *b)
{
    int uses = uses_of(tool);
    yyjson_val *domains = json_get(json_get(tool->outer, "filters"), "allowed_domains");
    buf_append_z(b, "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"");
    if (uses)
        buf_printf(b, ",\"max_uses\":%d", uses);
    if (yyjson_arr_size(domains) > 0) {
        buf_append_z(b, ",\"allowed_domains\":");
        json_write_value(b, domains);
    }
    if (!json_get(tool->outer, "user_location"))
        return;
    buf_append_z(b, ",\"user_location\":{\"type\":\"approximate\"");
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        yyjson_val *v = json_get(place_of(tool), places[i]);
        if (!v)
            continue;
        buf_printf(b, ",\"%s\":", places[i]);
        json_write_value(b, v);
    }
    buf_append_char(b, '}');
}

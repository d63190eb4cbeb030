/*
 * Writes definitions of tools in the upstream's form. They are the first part of the prompt, so
 * the same tools give the same bytes in every turn of a conversation.
 */
#include "translate/block.h"
#include "translate/tools.h"

#define CUSTOM_TEXT "Put the raw input text in `input`."
#define CUSTOM_SCHEMA                                                                              \
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"                       \
    "\"required\":[\"input\"],\"additionalProperties\":false}"

static yyjson_val *member_of(const struct tool *tool, const char *name)
{
    yyjson_val *v = json_get(tool->def, name);
    return v ? v : json_get(tool->outer, name);
}

static void write_passed(const struct translation *t, const struct tool *tool, struct buf *b)
{
    static const char *const names[] = {"defer_loading", "input_examples", "allowed_callers"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++) {
        yyjson_val *v = member_of(tool, names[i]);
        if (!v)
            continue;
        buf_printf(b, ",\"%s\":", names[i]);
        json_write_value(b, v);
    }
    yyjson_val *eager = member_of(tool, "eager_input_streaming");
    if (eager ? yyjson_get_bool(eager) : t->policy->eager_tool_input)
        buf_append_z(b, ",\"eager_input_streaming\":true");
    else if (eager)
        buf_append_z(b, ",\"eager_input_streaming\":false");
}

static void write_head(const struct tool *tool, struct buf *b)
{
    buf_append_z(b, "{\"name\":");
    json_write_string(b, tool->name);
}

static void write_function(const struct translation *t, const struct tool *tool, struct buf *b)
{
    yyjson_val *description = json_get(tool->def, "description");
    write_head(tool, b);
    if (description) {
        buf_append_z(b, ",\"description\":");
        json_write_value(b, description);
    }
    buf_append_z(b, ",\"input_schema\":");
    if (tool->is_strict) {
        if (!tool_strict_write(tool, b))
            b->failed = true; /* it could be written once already: there is no room for it */
        buf_append_z(b, ",\"strict\":true");
    } else {
        tool_schema_write(tool, b);
    }
    write_passed(t, tool, b);
}

static void write_custom(const struct translation *t, const struct tool *tool, struct buf *b)
{
    struct buf text;
    yyjson_val *format = json_get(tool->def, "format"), *grammar = json_get(format, "grammar");
    if (!grammar) /* the flat form */
        grammar = format;
    struct str description = json_str(json_get(tool->def, "description"));
    struct str definition = json_str(json_get(grammar, "definition"));
    buf_init(&text, b->max);
    buf_append_str(&text, description);
    buf_append_z(&text, description.n ? "\n" CUSTOM_TEXT : CUSTOM_TEXT);
    if (definition.n) {
        struct str syntax = json_str(json_get(grammar, "syntax"));
        buf_append_z(&text, "\nIt must conform to this ");
        buf_append_str(&text, syntax);
        buf_append_z(&text, syntax.n ? " grammar:\n" : "grammar:\n");
        buf_append_str(&text, definition);
    }
    write_head(tool, b);
    buf_append_z(b, ",\"description\":");
    json_write_string(b, buf_str(&text));
    buf_append_z(b, ",\"input_schema\":" CUSTOM_SCHEMA);
    if (tool->is_strict)
        buf_append_z(b, ",\"strict\":true");
    write_passed(t, tool, b);
    b->failed |= text.failed;
    buf_done(&text);
}

/* As it is, but for the cache mark, which may have moved or gone; and of a type that is given twice
 * there is the one that made it the upstream's. */
static void write_upstream(const struct tool *tool, struct buf *b)
{
    size_t i, max;
    yyjson_val *key, *v;
    buf_append_z(b, "{\"type\":");
    json_write_value(b, json_get(tool->outer, "type"));
    yyjson_obj_foreach(tool->outer, i, max, key, v)
    {
        struct str name = json_str(key);
        if (str_eq(name, STR("type")) || str_eq(name, STR("cache_control")) ||
            str_eq(name, STR("prompt_cache_breakpoint")))
            continue;
        buf_append_char(b, ',');
        json_write_string(b, name);
        buf_append_char(b, ':');
        json_write_value(b, v);
    }
}

static void write_tool(const struct translation *t, const struct tool *tool, struct buf *b)
{
    switch (tool->kind) {
    case TOOL_FUNCTION:
        write_function(t, tool, b);
        break;
    case TOOL_CUSTOM:
        write_custom(t, tool, b);
        break;
    case TOOL_WEB_SEARCH:
        web_search_write(tool, b);
        break;
    case TOOL_UPSTREAM:
        write_upstream(tool, b);
        break;
    }
    cache_write(b, tool->marker.cache);
    buf_append_char(b, '}');
}

/* In the order in which the history calls them: it only grows at its end. */
static void write_stand_ins(const struct translation *t, struct buf *b)
{
    const char *opening = ",\"tools\":[";
    bool has_any = false;
    for (const struct turn *turn = t->turns; turn; turn = turn->next)
        for (const struct block *it = turn->blocks.first; it; it = it->next) {
            if (it->kind != BLOCK_TOOL_USE || !tool_name_is_new(t->tool_names, it->tool_use->name))
                continue;
            buf_append_z(b, opening);
            buf_append_z(b, "{\"name\":");
            json_write_string(b, it->tool_use->name);
            buf_append_z(b, ",\"input_schema\":{\"type\":\"object\"}}");
            opening = ",";
            has_any = true;
        }
    if (has_any)
        buf_append_z(b, "],\"tool_choice\":{\"type\":\"none\"}");
}

void tools_write(struct translation *t, struct buf *b)
{
    size_t from = b->len;
    if (!tools_are_sent(t)) {
        if (t->policy->amend.refuses & TR_REFUSES_NO_TOOLS)
            write_stand_ins(t, b);
        return;
    }
    const char *opening = ",\"tools\":[";
    for (const struct tool *tool = t->tools->first; tool; tool = tool->next) {
        if (tool->is_withheld)
            continue;
        buf_append_z(b, opening);
        write_tool(t, tool, b);
        opening = ",";
    }
    buf_append_char(b, ']');
    tool_choice_write(t, b);
    t->tools_bytes = b->len - from;
}

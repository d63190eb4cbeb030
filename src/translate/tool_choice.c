/*
 * tool_choice: which tool must, may or must not be called. Models that cannot be forced are told
 * instead, at the very end of the conversation.
 */
#include "translate/tools.h"

#define ALLOWED_MAX 2048 /* as many tools as a request may have */

static struct tool_choice *choice_of(struct translation *t)
{
    return &t->tools->choice;
}

static bool refuse_choice(struct translation *t, const char *expected)
{
    const char *param = choice_of(t)->param;
    return refuse(t, "invalid_value", param, "Invalid value for '%s': expected %s.", param,
                  expected);
}

static bool set_kind(struct translation *t, struct str word)
{
    static const struct {
        const char *word;
        enum choice_kind kind;
    } kinds[] = {{"auto", CHOICE_AUTO},
                 {"none", CHOICE_NONE},
                 {"required", CHOICE_ANY},
                 {"any", CHOICE_ANY}};
    for (size_t i = 0; i < PX_ARRAY_LEN(kinds); i++)
        if (str_eq(word, str_of(kinds[i].word))) {
            choice_of(t)->kind = kinds[i].kind;
            return true;
        }
    return refuse_choice(t, "one of none, auto, required, or an object that names a tool");
}

/* The name in {"function":{"name"}}, {"custom":{"name"}} or {"name"}; NULL when there is none. */
static yyjson_val *name_in(yyjson_val *v)
{
    static const char *const inner[] = {"function", "custom"};
    for (size_t i = 0; i < PX_ARRAY_LEN(inner); i++)
        if (json_get(v, inner[i]))
            return json_get(json_get(v, inner[i]), "name");
    return json_get(v, "name");
}

/* A tool named by the client's name, or by the type of a tool that the upstream runs. */
static bool find_named(struct translation *t, const char *path, yyjson_val *v, struct tool **ret)
{
    yyjson_val *name = name_in(v);
    struct str text = json_str(json_get(v, "type"));
    *ret = name ? NULL : tool_find_type(t->tools, text);
    if (*ret)
        return true;
    if (!name)
        return refuse_missing(t, path_of(t, "%s.function.name", path));
    if (!want_string(t, path_of(t, "%s.function.name", path), name, &text))
        return false;
    *ret = tool_find(t->tools, text);
    for (struct tool *tool = t->tools->first; tool && !*ret; tool = tool->next)
        if (!tool->client_name.p && str_eq(tool->name, text))
            *ret = tool;
    return *ret || refuse(t, "invalid_value", path,
                          "Invalid value for '%s': no tool named '%.*s' was specified in '%s'.",
                          path, STR_ARG(text), t->tools->list);
}

static bool mark_allowed(struct translation *t, yyjson_val *list)
{
    size_t i, max;
    yyjson_val *v;
    struct tool *tool;
    yyjson_arr_foreach(list, i, max, v)
    {
        const char *path = path_of(t, "tool_choice.allowed_tools.tools[%zu]", i);
        if (!want_object(t, path, v) || !find_named(t, path, v, &tool))
            return false;
        tool->is_allowed = true;
    }
    return true;
}

/* The others are not sent: the upstream knows no other way to forbid them. */
static void withhold(struct translation *t)
{
    struct tool *only = NULL;
    size_t n = 0;
    for (struct tool *tool = t->tools->first; tool; tool = tool->next) {
        if (tool->is_allowed) {
            only = tool;
            n++;
            continue;
        }
        tool->is_withheld = true;
        tool->marker.cache = CACHE_NONE;
    }
    if (n == 1 && choice_of(t)->kind == CHOICE_ANY) {
        choice_of(t)->kind = CHOICE_TOOL;
        choice_of(t)->tool = only;
    }
}

static bool read_allowed(struct translation *t, yyjson_val *v)
{
    yyjson_val *inner = json_get(v, "allowed_tools");
    if (!inner)
        inner = v;
    yyjson_val *mode = json_get(inner, "mode"), *list = json_get(inner, "tools");
    struct str word = mode ? json_str(mode) : STR("auto");
    if (!str_eq(word, STR("auto")) && !str_eq(word, STR("required")))
        return refuse(t, "invalid_value", "tool_choice.allowed_tools.mode",
                      "Invalid value for 'tool_choice.allowed_tools.mode': expected \"auto\" or "
                      "\"required\".");
    if (!list)
        return refuse_missing(t, "tool_choice.allowed_tools.tools");
    if (!want_array(t, "tool_choice.allowed_tools.tools", list))
        return false;
    if (yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > ALLOWED_MAX)
        return refuse(t, "invalid_value", "tool_choice.allowed_tools.tools",
                      "Invalid value for 'tool_choice.allowed_tools.tools': expected 1 to %d "
                      "tools.",
                      ALLOWED_MAX);
    if (!set_kind(t, word) || !mark_allowed(t, list))
        return false;
    withhold(t);
    return true;
}

static bool read_object(struct translation *t, yyjson_val *v)
{
    yyjson_val *type = json_get(v, "type");
    struct str word = json_str(type);
    struct tool *tool;
    if (type && !yyjson_is_str(type))
        return refuse_type(t, path_of(t, "%s.type", choice_of(t)->param), "a string", type);
    if (str_eq(word, STR("allowed_tools")))
        return read_allowed(t, v);
    bool is_named = !type || str_eq(word, STR("function")) || str_eq(word, STR("tool")) ||
                    str_eq(word, STR("custom")) || tool_find_type(t->tools, word);
    if (!is_named)
        return set_kind(t, word);
    if (!find_named(t, choice_of(t)->param, v, &tool))
        return false;
    choice_of(t)->kind = CHOICE_TOOL;
    choice_of(t)->tool = tool;
    return true;
}

/* Anthropic's own form says there whether calls may be parallel. */
static bool read_parallel(struct translation *t, yyjson_val *v)
{
    yyjson_val *off = json_get(v, "disable_parallel_tool_use");
    bool is_off = false;
    if (off && !want_bool(t, path_of(t, "%s.disable_parallel_tool_use", choice_of(t)->param), off,
                          &is_off))
        return false;
    t->tools->is_single |= is_off;
    return true;
}

/* "none" and "auto" say nothing where there is nothing to call. */
static bool read_without_tools(struct translation *t, yyjson_val *v)
{
    struct str word = json_str(yyjson_is_obj(v) ? json_get(v, "type") : v);
    if (str_eq(word, STR("none")) || str_eq(word, STR("auto")))
        return true;
    const char *param = choice_of(t)->param;
    return refuse(t, "invalid_value", param,
                  "Invalid value for '%s': it is only allowed when 'tools' are specified.", param);
}

static bool emulate(struct translation *t)
{
    struct tool_choice *choice = choice_of(t);
    bool is_forced = choice->kind == CHOICE_ANY || choice->kind == CHOICE_TOOL;
    if (!is_forced || t->model.takes_forced_tools)
        return true;
    choice->is_emulated = true;
    t->out->is_tool_choice_emulated = true;
    return modify_param(t, "unsupported_value", choice->param, "%s=auto(model)", choice->param);
}

bool tool_choice_read(struct translation *t)
{
    yyjson_val *v = t->field[FIELD_tool_choice], *old = t->field[FIELD_function_call];
    choice_of(t)->param = v || !old ? "tool_choice" : "function_call";
    if (!v)
        v = old;
    if (!v)
        return true;
    if (!t->tools->first)
        return read_without_tools(t, v);
    if (v != old && old && !ignore_param(t, STR("function_call")))
        return false;
    if (yyjson_is_str(v))
        return set_kind(t, json_str(v)) && emulate(t);
    if (!yyjson_is_obj(v))
        return refuse_type(t, choice_of(t)->param, "a string or an object", v);
    return read_object(t, v) && read_parallel(t, v) && emulate(t);
}

void tool_choice_write(const struct translation *t, struct buf *b)
{
    const struct tool_choice *choice = &t->tools->choice;
    static const char *const types[] = {[CHOICE_ABSENT] = "auto",
                                        [CHOICE_AUTO] = "auto",
                                        [CHOICE_NONE] = "none",
                                        [CHOICE_ANY] = "any",
                                        [CHOICE_TOOL] = "tool"};
    bool is_single = t->tools->is_single && choice->kind != CHOICE_NONE;
    if (choice->kind == CHOICE_ABSENT && !is_single)
        return;
    buf_printf(b, ",\"tool_choice\":{\"type\":\"%s\"",
               choice->is_emulated ? "auto" : types[choice->kind]);
    if (choice->kind == CHOICE_TOOL && !choice->is_emulated) {
        buf_append_z(b, ",\"name\":");
        json_write_string(b, choice->tool->name);
    }
    buf_append_z(b, is_single ? ",\"disable_parallel_tool_use\":true}" : "}");
}

/* Behind what was said last: as the system where the model knows that role, else as the user. */
static bool add_last(struct translation *t, struct str text)
{
    enum turn_role role = t->model.takes_system_role ? TURN_SYSTEM : TURN_USER;
    struct turn *last = t->last_turn;
    if (!last || last->role == TURN_ASSISTANT)
        role = TURN_USER; /* system texts stand behind the user's only */
    if (!last || last->role != role) {
        struct turn *turn = arena_alloc(t->arena, sizeof(*turn));
        if (!turn)
            return refuse_memory(t);
        turn->role = role;
        if (last)
            last->next = turn;
        else
            t->turns = turn;
        t->last_turn = last = turn;
    }
    t->is_prefill = false;
    return blocks_add(t, &last->blocks, text, CACHE_NONE);
}

bool tool_choice_settle(struct translation *t)
{
    const struct tool_choice *choice = choice_of(t);
    if (!choice->is_emulated)
        return true;
    if (choice->kind == CHOICE_ANY)
        return add_last(t, STR("You must call one of the available tools now."));
    struct str text =
        arena_printf(t->arena, "You must call the tool \"%.*s\" now.", STR_ARG(choice->tool->name));
    return text.p ? add_last(t, text) : refuse_memory(t);
}

/*
 * Walks the request and writes each step in one canonical form.
 */
#include "sim/prefix.h"

static bool walk_list(yyjson_val *list, struct prefix_step *s,
                      bool (*visit)(void *arg, const struct prefix_step *s), void *arg)
{
    if (yyjson_is_str(list)) {
        s->block = 0;
        s->value = list;
        return yyjson_get_len(list) == 0 || visit(arg, s);
    }
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (s->block = 0; (one = yyjson_arr_iter_next(&it)); s->block++) {
        s->value = one;
        if (!visit(arg, s))
            return false;
    }
    return true;
}

void prefix_walk(yyjson_val *root, bool (*visit)(void *arg, const struct prefix_step *s), void *arg)
{
    struct prefix_step s = {.part = PREFIX_TOOLS, .role = STR("")};
    if (!walk_list(json_get(root, "tools"), &s, visit, arg))
        return;
    s.part = PREFIX_SYSTEM;
    if (!walk_list(json_get(root, "system"), &s, visit, arg))
        return;
    s.part = PREFIX_MESSAGES;
    yyjson_val *message;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(root, "messages"));
    for (; (message = yyjson_arr_iter_next(&it)); s.message++) {
        s.role = json_str(json_get(message, "role"));
        if (!walk_list(json_get(message, "content"), &s, visit, arg))
            return;
    }
}

/* A field that is written or left out without any difference. */
static bool says_nothing(struct str key, yyjson_val *value)
{
    if (str_eq(key, STR("cache_control")))
        return true;
    if (str_eq(key, STR("citations")))
        return yyjson_is_null(value) || (yyjson_is_arr(value) && yyjson_arr_size(value) == 0);
    return str_eq(key, STR("caller")) && str_eq(json_str(json_get(value, "type")), STR("direct"));
}

static void write_canonical(struct buf *b, yyjson_val *v);

static void write_object(struct buf *b, yyjson_val *v)
{
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    buf_append_char(b, '{');
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct str name = json_str(key);
        if (says_nothing(name, value))
            continue;
        json_write_string(b, name);
        buf_append_char(b, ':');
        if (str_eq(name, STR("input")) || str_eq(name, STR("input_schema")))
            json_write_value(b, value); /* the caller's own keys: every one counts */
        else
            write_canonical(b, value);
        buf_append_char(b, ',');
    }
    buf_append_char(b, '}');
}

static void write_canonical(struct buf *b, yyjson_val *v)
{
    if (yyjson_is_obj(v)) {
        write_object(b, v);
    } else if (yyjson_is_arr(v)) {
        yyjson_val *one;
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        buf_append_char(b, '[');
        while ((one = yyjson_arr_iter_next(&it))) {
            write_canonical(b, one);
            buf_append_char(b, ',');
        }
        buf_append_char(b, ']');
    } else {
        json_write_value(b, v);
    }
}

struct digest prefix_add(struct digest before, const struct prefix_step *s, struct buf *scratch)
{
    buf_reset(scratch);
    buf_append(scratch, &before, sizeof(before));
    buf_append_char(scratch, (char)('0' + s->part));
    buf_append_str(scratch, s->role);
    if (yyjson_is_str(s->value)) {
        buf_append_z(scratch, "{\"type\":\"text\",\"text\":");
        json_write_value(scratch, s->value);
        buf_append_z(scratch, ",}"); /* as write_object ends one */
    } else {
        write_canonical(scratch, s->value);
    }
    return siphash(scratch->data, scratch->len);
}

yyjson_val *prefix_mark(const struct prefix_step *s)
{
    yyjson_val *mark = json_get(s->value, "cache_control");
    return yyjson_is_obj(mark) ? mark : NULL;
}

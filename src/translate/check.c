/*
 * Refusals and losses, worded once; type checks; lists of blocks.
 */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/translation.h"

#define TYPE_ERROR "invalid_request_error"

bool refuse(struct translation *t, const char *code, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    api_error_set_v(t->err, 400, TYPE_ERROR, code, param, format, args);
    va_end(args);
    return false;
}

static const char *type_word(yyjson_val *v)
{
    if (yyjson_is_str(v))
        return "a string";
    if (yyjson_is_arr(v))
        return "an array";
    if (yyjson_is_obj(v))
        return "an object";
    if (yyjson_is_bool(v))
        return "a boolean";
    return json_is_number(v) ? "a number" : "null";
}

bool refuse_type(struct translation *t, const char *param, const char *expected, yyjson_val *got)
{
    return refuse(t, "invalid_type", param,
                  "Invalid type for '%s': expected %s, but got %s instead.", param, expected,
                  type_word(got));
}

bool refuse_missing(struct translation *t, const char *param)
{
    return refuse(t, "missing_required_parameter", param, "Missing required parameter: '%s'.",
                  param);
}

bool refuse_memory(struct translation *t)
{
    api_error_set(t->err, 413, TYPE_ERROR, "request_too_large", NULL,
                  "The request needs more memory than this server gives to one request.");
    return false;
}

static const char *keep_path(struct translation *t, const char *format, va_list args)
{
    char text[sizeof(t->err->param) * 2];
    vsnprintf(text, sizeof(text), format, args);
    struct str path = arena_strdup(t->arena, utf8_cut(str_of(text), sizeof(t->err->param) - 1));
    return path.p ? path.p : "";
}

const char *path_of(struct translation *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *path = keep_path(t, format, args);
    va_end(args);
    return path;
}

const char *repair_path(struct translation *t, const char *format, ...)
{
    if (!t->policy->strict)
        return "";
    va_list args;
    va_start(args, format);
    const char *path = keep_path(t, format, args);
    va_end(args);
    return path;
}

bool ignore_at(struct translation *t, const char *path, struct str name)
{
    if (t->policy->strict)
        return refuse(t, "unsupported_parameter", path,
                      "Unsupported parameter: '%s' cannot be honoured by model '%.*s', and this "
                      "server is set to refuse what it would ignore.",
                      path, STR_ARG(t->out->model));
    return report_add(t->arena, &t->report.ignored, name) || refuse_memory(t);
}

bool ignore_param(struct translation *t, struct str param)
{
    const char *path = t->policy->strict ? path_of(t, "%.*s", STR_ARG(param)) : "";
    return ignore_at(t, path, param);
}

bool ignore_member(struct translation *t, const char *parent, const char *parent_path,
                   struct str member)
{
    if (t->policy->strict)
        return ignore_at(t, path_of(t, "%s.%.*s", parent_path, STR_ARG(member)), member);
    /* On the stack: there may be a million of them, of which a few are listed. */
    char name[REPORT_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof(name), "%s.%.*s", parent, STR_ARG(member));
    return ignore_at(t, "", str_of(name));
}

bool modify_param(struct translation *t, const char *code, const char *param, const char *format,
                  ...)
{
    char what[REPORT_NAME_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (t->policy->strict)
        return refuse(t, code, param,
                      "Unsupported value: '%s' cannot be honoured as sent (it would become %s), "
                      "and this server is set to refuse what it would change.",
                      param, what);
    return report_add_own(t->arena, &t->report.modified, str_of(what)) || refuse_memory(t);
}

bool repair(struct translation *t, const char *what, const char *path)
{
    return modify_param(t, "invalid_value", path, "messages(%s)", what);
}

struct block *blocks_add_kind(struct translation *t, struct blocks *to, enum block_kind kind)
{
    struct block *b = arena_alloc(t->arena, sizeof(*b));
    if (!b) {
        refuse_memory(t);
        return NULL;
    }
    b->kind = kind;
    b->origin = t->origin;
    struct blocks one = {b, b};
    blocks_move(to, &one);
    return b;
}

bool blocks_add(struct translation *t, struct blocks *to, struct str text, enum cache_ttl cache)
{
    struct block *b = blocks_add_kind(t, to, BLOCK_TEXT);
    if (!b)
        return false;
    b->text = text;
    b->cache = cache;
    return true;
}

void blocks_move(struct blocks *to, struct blocks *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    *from = (struct blocks){0};
}

bool want_string(struct translation *t, const char *param, yyjson_val *v, struct str *ret)
{
    if (!yyjson_is_str(v))
        return refuse_type(t, param, "a string", v);
    *ret = json_str(v);
    return true;
}

bool want_bool(struct translation *t, const char *param, yyjson_val *v, bool *ret)
{
    if (!yyjson_is_bool(v))
        return refuse_type(t, param, "a boolean", v);
    *ret = yyjson_get_bool(v);
    return true;
}

bool want_int(struct translation *t, const char *param, yyjson_val *v, int64_t *ret)
{
    if (!json_to_int(v, ret))
        return refuse_type(t, param, "an integer", v);
    return true;
}

bool want_number(struct translation *t, const char *param, yyjson_val *v, double *ret)
{
    if (!json_to_double(v, ret))
        return refuse_type(t, param, "a number", v);
    return true;
}

bool want_object(struct translation *t, const char *param, yyjson_val *v)
{
    return yyjson_is_obj(v) || refuse_type(t, param, "an object", v);
}

bool want_array(struct translation *t, const char *param, yyjson_val *v)
{
    return yyjson_is_arr(v) || refuse_type(t, param, "an array", v);
}

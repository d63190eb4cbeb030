/*
 * Fills and writes the error object that OpenAI clients read.
 */
#include "translate/api_error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "json/json.h"

static void copy_cut(char *to, size_t size, const char *from)
{
    struct str s = utf8_cut(str_of(from), size - 1);
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

void api_error_set_v(struct api_error *e, int status, const char *type, const char *code,
                     const char *param, const char *format, va_list args)
{
    e->status = status;
    e->type = type;
    copy_cut(e->code, sizeof(e->code), code);
    copy_cut(e->param, sizeof(e->param), param);
    /* Longer than the field, so that what vsnprintf cuts through is cut off again below. */
    char text[sizeof(e->message) * 2];
    vsnprintf(text, sizeof(text), format, args);
    copy_cut(e->message, sizeof(e->message), text);
}

void api_error_set(struct api_error *e, int status, const char *type, const char *code,
                   const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    api_error_set_v(e, status, type, code, param, format, args);
    va_end(args);
}

static void write_or_null(struct buf *out, const char *z)
{
    if (z[0])
        json_write_string(out, str_of(z));
    else
        buf_append_z(out, "null");
}

void api_error_write_members(const struct api_error *e, struct buf *out)
{
    buf_append_z(out, "{\"error\":{\"message\":");
    json_write_string(out, str_of(e->message));
    buf_append_z(out, ",\"type\":");
    json_write_string(out, str_of(e->type));
    buf_append_z(out, ",\"param\":");
    write_or_null(out, e->param);
    buf_append_z(out, ",\"code\":");
    write_or_null(out, e->code);
}

bool api_error_write(const struct api_error *e, struct buf *out)
{
    api_error_write_members(e, out);
    buf_append_z(out, "}}");
    return !out->failed;
}

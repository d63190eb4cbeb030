/*
 * The table of documented errors and the two shapes they are written in.
 */
#include "sim/sim_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "json/json.h"

struct known_error {
    int status;
    const char *type;
    const char *text;
};

static const struct known_error known_errors[] = {
    {400, "invalid_request_error", "Error"},
    {401, "authentication_error", "invalid x-api-key"},
    {402, "billing_error", "There is an issue with your billing or payment information."},
    {403, "permission_error",
     "Your API key does not have permission to use the specified resource."},
    {404, "not_found_error", "Not found"},
    {408, "timeout_error", "Request timed out"},
    {409, "conflict_error", "The resource was changed by another request."},
    {413, "request_too_large", "Request exceeds the maximum size"},
    {429, "rate_limit_error",
     "This request would exceed your organization's rate limit. Please try again later."},
    {500, "api_error", "Internal server error"},
    {503, "api_error", "Service unavailable"},
    {504, "timeout_error", "Request timed out"},
    {529, "overloaded_error", "Overloaded"},
};

static const struct known_error *find(int status)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(known_errors); i++)
        if (known_errors[i].status == status)
            return &known_errors[i];
    return NULL;
}

struct str sim_error_type(int status)
{
    const struct known_error *k = find(status);
    if (k)
        return str_of(k->type);
    return status < 500 ? STR("invalid_request_error") : STR("api_error");
}

struct str sim_error_text(int status)
{
    const struct known_error *k = find(status);
    return k ? str_of(k->text) : STR("Error");
}

static void fill(struct sim_error *e, struct arena *a, int status, const char *format, va_list args)
{
    char text[1024]; /* longer messages are cut: they quote what the client sent */
    int n = vsnprintf(text, sizeof(text), format, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    *e = (struct sim_error){
        .status = status,
        .type = sim_error_type(status),
        .message = arena_strdup(a, (struct str){text, len}),
    };
    if (!e->message.p)
        e->message = STR("Error");
}

bool sim_error_bad(struct sim_error *e, struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(e, a, 400, format, args);
    va_end(args);
    return false;
}

bool sim_error_set(struct sim_error *e, struct arena *a, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(e, a, status, format, args);
    va_end(args);
    return false;
}

void sim_error_write(struct buf *b, const struct sim_error *e, struct str request_id)
{
    bool is_edge = e->status == 413;
    buf_append_z(b, is_edge ? "{\"error\":{\"type\":" : "{\"type\":\"error\",\"error\":{\"type\":");
    json_write_string(b, e->type);
    buf_append_z(b, ",\"message\":");
    json_write_string(b, e->message);
    if (e->details.n) {
        buf_append_z(b, ",\"details\":{\"error_code\":");
        json_write_string(b, e->details);
        buf_append_char(b, '}');
    }
    buf_append_char(b, '}');
    if (!is_edge && request_id.n) {
        buf_append_z(b, ",\"request_id\":");
        json_write_string(b, request_id);
    }
    buf_append_char(b, '}');
}

void sim_error_write_event(struct buf *b, const struct sim_error *e, struct str request_id)
{
    buf_append_z(b, "{\"type\":\"error\",\"error\":{\"details\":");
    if (e->details.n) {
        buf_append_z(b, "{\"error_code\":");
        json_write_string(b, e->details);
        buf_append_char(b, '}');
    } else {
        buf_append_z(b, "null");
    }
    buf_append_z(b, ",\"type\":");
    json_write_string(b, e->type);
    buf_append_z(b, ",\"message\":");
    json_write_string(b, e->message);
    buf_append_char(b, '}');
    if (request_id.n) {
        buf_append_z(b, ",\"request_id\":");
        json_write_string(b, request_id);
    }
    buf_append_char(b, '}');
}

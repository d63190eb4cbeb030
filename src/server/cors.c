/*
 * The headers of the Fetch standard's CORS protocol.
 */
#include "server/cors.h"

#define ASKED_HEADERS_MAX 1024

/* What a script may read of an answer beside its body. */
static const char exposed_headers[] =
    "x-request-id, request-id, openai-processing-ms, openai-version, retry-after, retry-after-ms, "
    "x-should-retry, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, "
    "x-ratelimit-reset-tokens, x-anthropic-status, x-ignored-params, x-modified-params, "
    "x-response-format, x-response-format-unmet, x-tool-choice-unmet, "
    "x-claude-proxy-demo";

/* The value of access-control-allow-origin, empty when it may not. */
static struct str allowed_origin(struct str allowed, struct str origin)
{
    struct str rest = allowed, part, found = {0};
    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (str_eq(part, STR("*")))
            return STR("*"); /* whatever asks: a cache may keep the answer for everybody */
        if (part.n && str_eq_nocase(part, origin))
            found = origin;
    }
    return found;
}

void cors_write(struct str allowed, struct str origin, struct buf *out)
{
    if (allowed.n == 0)
        return;
    struct str allow = allowed_origin(allowed, origin);
    if (!str_eq(allow, STR("*")))
        buf_append_z(out, "vary: Origin\r\n");
    if (allow.n == 0)
        return;
    buf_printf(out, "access-control-allow-origin: %.*s\r\n", STR_ARG(allow));
    buf_printf(out, "access-control-expose-headers: %s\r\n", exposed_headers);
}

static bool is_name_list(struct str s)
{
    if (s.n == 0 || s.n > ASKED_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == ',' || c == ' ';
        if (!fine)
            return false;
    }
    return true;
}

void cors_write_preflight(struct str allowed, struct str origin, struct str asked_headers,
                          struct buf *out)
{
    cors_write(allowed, origin, out);
    if (allowed_origin(allowed, origin).n == 0)
        return;
    buf_append_z(out, "access-control-allow-methods: GET, HEAD, POST, OPTIONS\r\n");
    if (is_name_list(asked_headers))
        buf_printf(out, "access-control-allow-headers: %.*s\r\n", STR_ARG(asked_headers));
    buf_append_z(out, "access-control-max-age: 86400\r\n");
}

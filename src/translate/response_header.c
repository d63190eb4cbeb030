/*
 * Anthropic's response headers -> OpenAI's. Only what is listed here reaches the client: the rest
 * is about the operator's account, or about the one hop between us and the upstream.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "translate/instant.h"
#include "translate/upstream_error.h"

#define NAME_BYTES_MAX  128
#define VALUE_BYTES_MAX 512
/* OpenAI's SDKs ignore longer waits, and would come back after seconds. */
#define RETRY_AFTER_MAX_S 60

/* Printable ASCII only: a value can hold no line end, so no header of its own. */
static bool is_value(struct str s)
{
    return str_is_printable(s) && s.n > 0 && s.n <= VALUE_BYTES_MAX;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
            return false;
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

/* Most headers of an answer are not for the client: a look at the name is enough for those. */
static bool may_pass(struct str name)
{
    return str_starts(name, STR("anthropic-")) || str_eq(name, STR("request-id")) ||
           str_eq(name, STR("retry-after")) || str_eq(name, STR("x-should-retry"));
}

static bool is_count(struct str s)
{
    uint64_t v;
    return str_to_u64(s, &v);
}

/* The line of header `name` among those in `out`; {NULL, 0} when there is none. */
static struct str find_line(const struct buf *out, struct str name)
{
    struct str rest = buf_str(out), line;
    while (str_split(&rest, '\n', &line))
        if (str_starts(line, name) && line.n > name.n && line.p[name.n] == ':')
            return (struct str){line.p, line.n + 1};
    return (struct str){0};
}

static void append(struct buf *out, struct str name, struct str value)
{
    size_t at = out->len;
    buf_append_str(out, name);
    buf_append_str(out, STR(": "));
    buf_append_str(out, value);
    if (!buf_append_str(out, STR("\r\n")))
        out->len = at;
}

static void replace(struct buf *out, struct str name, struct str value)
{
    struct str line = find_line(out, name);
    if (line.p) {
        size_t at = (size_t)(line.p - out->data), behind = at + line.n;
        memmove(out->data + at, out->data + behind, out->len - behind);
        out->len -= line.n;
    }
    append(out, name, value);
}

static void append_once(struct buf *out, struct str name, struct str value)
{
    if (!find_line(out, name).p)
        append(out, name, value);
}

static void retry_after(int status, struct str value, struct buf *out)
{
    uint64_t seconds;
    if (status != 429 && status < 500) /* the API sends it on successes too */
        return;
    append(out, STR("retry-after"), value);
    if (str_to_u64(value, &seconds) && seconds > RETRY_AFTER_MAX_S)
        replace(out, STR("x-should-retry"), STR("false"));
}

/* "false" wins, whoever says it. */
static void should_retry(struct str value, struct buf *out)
{
    if (str_eq(value, STR("false")))
        replace(out, STR("x-should-retry"), value);
    else if (str_eq(value, STR("true")))
        append_once(out, STR("x-should-retry"), value);
}

/*
 * A count or an instant of the family "requests" or "tokens". Some answers have only the limit on
 * input tokens: it then stands for "tokens", as long as that does not come itself.
 */
static void rate_limit(struct str what, struct str family, struct str value, bool is_stand_in,
                       int64_t now_unix_ms, struct buf *out)
{
    struct buf line; /* name and value, without what stands between */
    buf_init(&line, 128);
    buf_printf(&line, "x-ratelimit-%.*s-%.*s", STR_ARG(what), STR_ARG(family));
    const size_t name_n = line.len;
    int64_t at_ms;
    if (!str_eq(what, STR("reset"))) {
        if (is_count(value))
            buf_append_str(&line, value);
    } else if (instant_parse(value, &at_ms)) {
        tr_write_duration(&line, at_ms - now_unix_ms);
    }
    if (line.len > name_n && !line.failed) {
        struct str name = {line.data, name_n}, text = {line.data + name_n, line.len - name_n};
        if (is_stand_in)
            append_once(out, name, text);
        else
            replace(out, name, text);
    }
    buf_done(&line);
}

/* "requests-limit" -> "requests" and "limit". */
static bool split_family(struct str s, struct str *ret_family, struct str *ret_what)
{
    static const char whats[][16] = {"limit", "remaining", "reset"};
    for (size_t i = 0; i < PX_ARRAY_LEN(whats); i++) {
        struct str what = str_of(whats[i]);
        if (s.n <= what.n + 1 || !str_ends(s, what) || s.p[s.n - what.n - 1] != '-')
            continue;
        *ret_family = (struct str){s.p, s.n - what.n - 1};
        *ret_what = what;
        return true;
    }
    return false;
}

static void rate_limit_header(struct str name, struct str rest, struct str value,
                              int64_t now_unix_ms, struct buf *out)
{
    struct str family, what;
    if (!split_family(rest, &family, &what))
        return;
    if (str_eq(family, STR("requests")) || str_eq(family, STR("tokens"))) {
        rate_limit(what, family, value, false, now_unix_ms, out);
        return;
    }
    if (str_eq(family, STR("input-tokens")))
        rate_limit(what, STR("tokens"), value, true, now_unix_ms, out);
    if (str_eq(family, STR("input-tokens")) || str_eq(family, STR("output-tokens")))
        append(out, name, value);
}

void tr_response_header(int status, struct str name, struct str value, int64_t now_unix_ms,
                        struct buf *out)
{
    static const char limits[] = "anthropic-ratelimit-", priority[] = "anthropic-priority-";
    if (!may_pass(name))
        return;
    value = str_trim(value);
    if (!is_value(value))
        return;
    if (str_eq(name, STR("request-id"))) {
        append(out, STR("x-request-id"), value);
        append(out, name, value);
    } else if (str_eq(name, STR("retry-after"))) {
        retry_after(status, value, out);
    } else if (str_eq(name, STR("x-should-retry"))) {
        should_retry(value, out);
    } else if (str_starts(name, str_of(limits))) {
        size_t n = sizeof(limits) - 1;
        rate_limit_header(name, (struct str){name.p + n, name.n - n}, value, now_unix_ms, out);
    } else if (str_starts(name, str_of(priority)) && is_name(name)) {
        append(out, name, value);
    }
}

void tr_write_duration(struct buf *out, int64_t ms)
{
    if (ms <= 0) {
        buf_append_str(out, STR("0s"));
        return;
    }
    if (ms < 1000) {
        buf_printf(out, "%" PRId64 "ms", ms);
        return;
    }
    int64_t minutes = ms / 60000, rest_ms = ms % 60000;
    if (minutes >= 60)
        buf_printf(out, "%" PRId64 "h", minutes / 60);
    if (minutes > 0)
        buf_printf(out, "%" PRId64 "m", minutes % 60);
    buf_printf(out, "%" PRId64, rest_ms / 1000);
    if (rest_ms % 1000) {
        char digits[8];
        int n = snprintf(digits, sizeof(digits), ".%03" PRId64, rest_ms % 1000);
        while (n > 0 && digits[n - 1] == '0')
            n--;
        buf_append(out, digits, (size_t)n);
    }
    buf_append_char(out, 's');
}

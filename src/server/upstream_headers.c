/*
 * Headers to and from the upstream.
 */
#include "server/upstream_headers.h"

/* A day: longer pauses are all the same. */
#define RETRY_AFTER_MAX_MS INT64_C(86400000)

size_t upstream_headers_common(const struct upstream_keys *keys, size_t key,
                               struct upstream_header to[UPSTREAM_HEADERS_MAX])
{
    size_t n = 0;
    if (key < keys->n)
        to[n++] = (struct upstream_header){keys->header, keys->all[key].value};
    to[n++] = (struct upstream_header){STR("user-agent"), STR("claude-proxy/" PX_VERSION)};
    /* Offered gzip, the upstream compresses even event streams. */
    to[n++] = (struct upstream_header){STR("accept-encoding"), STR("identity")};
    return n;
}

static struct str find(const struct upstream_header *headers, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(headers[i].name, name))
            return str_trim(headers[i].value);
    return (struct str){0};
}

enum says_retry upstream_says_retry(const struct upstream_header *headers, size_t n)
{
    const struct str value = find(headers, n, STR("x-should-retry"));
    if (str_eq(value, STR("true")))
        return SAYS_YES;
    return str_eq(value, STR("false")) ? SAYS_NO : SAYS_NOTHING;
}

/* Whole seconds or milliseconds; a fraction is rounded up. */
static int64_t number_of(struct str text)
{
    int64_t number = 0;
    size_t i = 0;
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        if (number > RETRY_AFTER_MAX_MS)
            return RETRY_AFTER_MAX_MS;
        number = number * 10 + (text.p[i] - '0');
    }
    const bool is_fraction = i > 0 && i < text.n && text.p[i] == '.';
    return i == text.n ? number : is_fraction ? number + 1 : 0;
}

int64_t upstream_retry_after_ms(const struct upstream_header *headers, size_t n)
{
    const struct str ms = find(headers, n, STR("retry-after-ms"));
    if (ms.n)
        return number_of(ms);
    const int64_t seconds = number_of(find(headers, n, STR("retry-after")));
    return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : seconds * 1000;
}

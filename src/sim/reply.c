/*
 * Which headers go with which status.
 */
#include "sim/reply.h"

#include <stdio.h>
#include <time.h>

#define RETRY_AFTER_EVERY 10 /* so many 200s: the API sends retry-after on some of them */

static void add(struct reply_head *h, struct str name, struct str value)
{
    if (h->n < REPLY_HEADERS_MAX)
        h->headers[h->n++] = (struct exchange_header){name, value};
}

static void add_rate_limits(struct reply_head *h, const struct directives *d, time_t now)
{
    static const struct {
        struct str limit_name, limit, remaining_name, remaining, reset_name;
    } families[] = {
#define FAMILY(name, value, left)                                                                  \
    {                                                                                              \
        {"anthropic-ratelimit-" name "-limit", sizeof("anthropic-ratelimit-" name "-limit") - 1},  \
            {value, sizeof(value) - 1},                                                            \
            {"anthropic-ratelimit-" name "-remaining",                                             \
             sizeof("anthropic-ratelimit-" name "-remaining") - 1},                                \
            {left, sizeof(left) - 1},                                                              \
        {                                                                                          \
            "anthropic-ratelimit-" name "-reset", sizeof("anthropic-ratelimit-" name "-reset") - 1 \
        }                                                                                          \
    }
        FAMILY("input-tokens", "2000000", "2000000"),
        FAMILY("output-tokens", "400000", "400000"),
        FAMILY("requests", "4000", "3999"),
        FAMILY("tokens", "2400000", "2400000"),
    };
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(h->reset, sizeof(h->reset), "%Y-%m-%dT%H:%M:%SZ", &tm);
    int n = d->remaining >= 0
                ? snprintf(h->remaining, sizeof(h->remaining), "%lld", (long long)d->remaining)
                : 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(families); i++) {
        add(h, families[i].limit_name, families[i].limit);
        add(h, families[i].remaining_name,
            n > 0 ? (struct str){h->remaining, (size_t)n} : families[i].remaining);
        add(h, families[i].reset_name, str_of(h->reset));
    }
}

static void add_retry_after(struct reply_head *h, int status, const struct directives *d,
                            int64_t now_us)
{
    int64_t seconds = d->retry_after;
    if (seconds < 0 && status == 429 && !d->details.n)
        seconds = 1;
    if (seconds < 0 && status == 200 && now_us % RETRY_AFTER_EVERY == 0)
        seconds = 1 + now_us / RETRY_AFTER_EVERY % 63;
    if (seconds < 0)
        return;
    int n = snprintf(h->retry_after, sizeof(h->retry_after), "%lld", (long long)seconds);
    add(h, STR("retry-after"), (struct str){h->retry_after, (size_t)n});
}

void reply_head_build(struct reply_head *h, enum reply_kind kind, int status, struct str request_id,
                      bool counts_requests, const struct directives *d, int64_t now_us)
{
    static const struct str types[] = {
        {"application/json", 16},
        {"text/event-stream; charset=utf-8", 32},
        {"text/html", 9},
    };
    time_t now = (time_t)(now_us / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    size_t n = strftime(h->date, sizeof(h->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    h->n = 0;
    add(h, STR("date"), (struct str){h->date, n});
    add(h, STR("content-type"), types[kind]);
    if (kind == REPLY_STREAM)
        add(h, STR("cache-control"), STR("no-cache"));
    bool is_limit = status == 429, is_edge = status == 413 || kind == REPLY_HTML;
    if (counts_requests && (status == 200 || is_limit) && !d->no_rate_limits)
        add_rate_limits(h, d, now);
    if (counts_requests)
        add_retry_after(h, status, d, now_us);
    if (status >= 400 && !is_edge) {
        bool is_worth_it = status == 408 || status == 409 || status == 429 || status >= 500;
        add(h, STR("x-should-retry"), is_worth_it && !d->details.n ? STR("true") : STR("false"));
    }
    if (!is_edge && request_id.n && !d->no_request_id)
        add(h, STR("request-id"), request_id);
    if (!is_edge) {
        add(h, STR("anthropic-organization-id"), STR("00000000-0000-4000-8000-000000000000"));
        add(h, STR("strict-transport-security"),
            STR("max-age=31536000; includeSubDomains; preload"));
    }
    add(h, STR("server"), STR("claude-proxy-sim"));
    add(h, STR("vary"), STR("Accept-Encoding"));
    add(h, STR("x-robots-tag"), STR("none"));
}

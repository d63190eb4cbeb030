/*
 * Two token buckets and their headers.
 */
#include "server/admit.h"

#include "translate/upstream_error.h"

void admit_init(struct admit *a, int64_t requests_per_minute, int64_t tokens_per_minute)
{
    bucket_init(&a->requests, requests_per_minute);
    bucket_init(&a->tokens, tokens_per_minute);
}

void admit_resize(struct admit *a, int64_t now_us, int64_t requests_per_minute,
                  int64_t tokens_per_minute)
{
    bucket_resize(&a->requests, now_us, requests_per_minute);
    bucket_resize(&a->tokens, now_us, tokens_per_minute);
}

static enum admit_result take(struct bucket *b, int64_t now_us, int64_t n, int64_t *ret_wait_ms)
{
    if (bucket_take(b, now_us, n, ret_wait_ms))
        return ADMIT_OK;
    return *ret_wait_ms < 0 ? ADMIT_TOO_LARGE : ADMIT_WAIT;
}

void admit_undo(struct admit *a, int64_t now_us, struct admit_ticket *t)
{
    bucket_settle(&a->requests, now_us, -t->requests);
    bucket_settle(&a->tokens, now_us, -t->tokens);
    *t = (struct admit_ticket){0};
}

enum admit_result admit_requests(struct admit *a, int64_t now_us, int64_t n, struct admit_ticket *t,
                                 int64_t *ret_wait_ms)
{
    enum admit_result result = take(&a->requests, now_us, n, ret_wait_ms);
    if (result == ADMIT_OK)
        t->requests += n;
    else
        admit_undo(a, now_us, t);
    return result;
}

enum admit_result admit_tokens(struct admit *a, int64_t now_us, int64_t estimate,
                               struct admit_ticket *t, int64_t *ret_wait_ms)
{
    enum admit_result result = take(&a->tokens, now_us, estimate, ret_wait_ms);
    if (result == ADMIT_OK)
        t->tokens = estimate;
    else
        admit_undo(a, now_us, t);
    return result;
}

void admit_settle(struct admit *a, int64_t now_us, struct admit_ticket *t, int64_t used)
{
    if (t->requests == 0)
        return;
    bucket_settle(&a->tokens, now_us, used - t->tokens);
    *t = (struct admit_ticket){0};
}

static void write_level(const struct bucket *b, int64_t now_us, struct str what, struct buf *out)
{
    struct bucket_level level = bucket_level(b, now_us);
    if (level.limit == 0)
        return;
    buf_append_z(out, "x-ratelimit-limit-");
    buf_append_str(out, what);
    buf_append_z(out, ": ");
    buf_append_i64(out, level.limit);
    buf_append_z(out, "\r\nx-ratelimit-remaining-");
    buf_append_str(out, what);
    buf_append_z(out, ": ");
    buf_append_i64(out, level.remaining);
    buf_append_z(out, "\r\nx-ratelimit-reset-");
    buf_append_str(out, what);
    buf_append_z(out, ": ");
    tr_write_duration(out, level.reset_ms);
    buf_append_z(out, "\r\n");
}

void admit_write_levels(const struct admit *a, int64_t now_us, struct buf *out)
{
    write_level(&a->requests, now_us, STR("requests"), out);
    write_level(&a->tokens, now_us, STR("tokens"), out);
}

void admit_write_wait(int64_t wait_ms, struct buf *out)
{
    buf_printf(out, "retry-after: %lld\r\nretry-after-ms: %lld\r\n",
               (long long)((wait_ms + 999) / 1000), (long long)wait_ms);
}

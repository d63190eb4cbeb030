/*
 * A loop of its own, run until the one call has ended.
 */
#include "cli/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/loop.h"
#include "net/resolver.h"
#include "server/upstream_config.h"
#include "server/upstream_keys.h"

#define BODY_BYTES_MAX (4u << 20)

struct fetcher {
    const struct config *config;
    struct loop *loop;
    struct resolver *resolver;
    struct upstream_settings settings;
    struct upstream_keys keys;
    struct upstream *upstream;
    struct fetch *current;
};

static void on_head(void *arg, int status, const struct upstream_header *headers, size_t n)
{
    (void)headers, (void)n;
    struct fetcher *f = arg;
    f->current->status = status;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct fetcher *f = arg;
    buf_append(&f->current->body, p, n);
}

static void on_end(void *arg)
{
    struct fetcher *f = arg;
    f->current->has_answer = true;
    loop_stop(f->loop);
}

static void on_fail(void *arg, enum upstream_failure why, const char *detail)
{
    struct fetcher *f = arg;
    f->current->failure = why;
    snprintf(f->current->detail, sizeof(f->current->detail), "%s", detail);
    loop_stop(f->loop);
}

static bool open_pool(struct fetcher *f, char *why, size_t why_size)
{
    const struct config *c = f->config;
    struct upstream_settings *settings = &f->settings;
    *settings = (struct upstream_settings){
        .ping_after_ms = 30 * 1000,
        .max_connections = 1,
        .stream_window_bytes = BODY_BYTES_MAX,
        .idle_close_ms = 30 * 1000,
    };
    if (!upstream_of_config(c, settings, why, why_size))
        return false;
    snprintf(why, why_size, "out of memory");
    f->loop = loop_create();
    f->resolver = f->loop ? resolver_create() : NULL;
    if (!f->resolver)
        return false;
    settings->resolver = f->resolver;
    f->upstream = upstream_create(f->loop, settings);
    return f->upstream != NULL;
}

struct fetcher *fetcher_create(const struct config *c, char *why, size_t why_size)
{
    struct fetcher *f = calloc(1, sizeof(*f));
    if (!f) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    f->config = c;
    if (upstream_keys_init(&f->keys, c->anthropic_api_key, c->anthropic_auth == 1, why, why_size) &&
        open_pool(f, why, why_size))
        return f;
    fetcher_destroy(f);
    return NULL;
}

void fetcher_destroy(struct fetcher *f)
{
    if (!f)
        return;
    if (f->upstream)
        upstream_destroy(f->upstream);
    if (f->loop)
        loop_destroy(f->loop); /* runs what upstream_destroy put off, which needs the rest */
    if (f->resolver)
        resolver_destroy(f->resolver);
    upstream_of_config_done(&f->settings);
    upstream_keys_done(&f->keys);
    free(f);
}

size_t fetcher_keys(const struct fetcher *f)
{
    return f->keys.n;
}

void fetcher_get(struct fetcher *f, size_t key, const char *path, struct fetch *ret)
{
    static const struct upstream_callbacks callbacks = {on_head, on_data, on_end, on_fail};
    const struct config *c = f->config;
    bool is_newer = c->anthropic_version == 2; /* pinned; both versions have the list of models */
    const struct upstream_header headers[] = {
        {f->keys.header, f->keys.all[key].value},
        {STR("anthropic-version"), is_newer ? STR("2026-10-21") : STR("2023-06-01")},
        {STR("accept"), STR("application/json")},
        {STR("user-agent"), STR("claude-proxy/" CLI_VERSION)},
    };
    const struct upstream_request request = {
        .method = STR("GET"),
        .path = str_of(path),
        .headers = headers,
        .n_headers = PX_ARRAY_LEN(headers),
        .idle_timeout_ms = c->request_timeout_s * 1000,
    };
    *ret = (struct fetch){.failure = UPSTREAM_CLOSING};
    buf_init(&ret->body, BODY_BYTES_MAX);
    f->current = ret;
    if (upstream_start(f->upstream, &request, &callbacks, f))
        loop_run(f->loop);
    else
        snprintf(ret->detail, sizeof(ret->detail), "out of memory");
    f->current = NULL;
}

void fetch_done(struct fetch *f)
{
    buf_done(&f->body);
}

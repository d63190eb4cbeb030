/*
 * The shared parts of the tests of upstream/; see test_support.h.
 */
#include "upstream/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PATIENCE_MS   20000
#define BODY_KEPT_MAX (1024 * 1024)
#define PEER_OUT_MAX  (256 * 1024 * 1024)
#define PEER_IN_MAX   (64 * 1024 * 1024)

/* The loop ------------------------------------------------------------------------------- */

void world_init(struct world *w)
{
    *w = (struct world){.loop = loop_create(), .resolver = resolver_create()};
    assert_non_null(w->loop);
    assert_non_null(w->resolver);
    w->settings = (struct upstream_settings){.resolver = w->resolver,
                                             .connect_timeout_ms = 2000,
                                             .ping_after_ms = 5000,
                                             .max_connections = 64,
                                             .stream_window_bytes = 65536,
                                             .idle_close_ms = 5000};
}

void world_aim(struct world *w, const char *url_format, int port)
{
    char url[256], why[128];
    snprintf(url, sizeof(url), "%s:%d%s", url_format, port, "/pre/fix");
    assert_true(upstream_origin_parse(str_of(url), &w->settings.origin, why, sizeof(why)));
}

void world_connect(struct world *w)
{
    w->upstream = upstream_create(w->loop, &w->settings);
    assert_non_null(w->upstream);
}

void world_done(struct world *w)
{
    upstream_destroy(w->upstream);
    run_for(w, 1);
    loop_destroy(w->loop);
    resolver_destroy(w->resolver);
}

struct waiting {
    struct loop *loop;
    struct timer tick;
    bool (*is_true)(void *arg);
    void *arg;
    int64_t until_us;
    bool has_come;
};

static void on_tick(void *arg)
{
    struct waiting *w = arg;
    w->has_come = w->is_true && w->is_true(w->arg);
    if (w->has_come || loop_now_us(w->loop) >= w->until_us)
        loop_stop(w->loop);
    else
        timer_start(&w->tick, 1);
}

static bool wait_in_loop(struct world *world, bool (*is_true)(void *arg), void *arg, int64_t ms)
{
    struct waiting w = {.loop = world->loop, .is_true = is_true, .arg = arg};
    timer_init(&w.tick, world->loop, on_tick, &w);
    timer_start(&w.tick, 1);
    w.until_us = w.tick.due_us + ms * 1000;
    loop_run(world->loop);
    timer_done(&w.tick);
    return w.has_come;
}

void run_until(struct world *w, bool (*is_true)(void *arg), void *arg)
{
    if (!wait_in_loop(w, is_true, arg, PATIENCE_MS))
        fail_msg("waited too long");
}

void run_for(struct world *w, int64_t ms)
{
    wait_in_loop(w, NULL, NULL, ms);
}

/* One call ------------------------------------------------------------------------------- */

static void on_head(void *arg, int status, const struct upstream_header *headers, size_t n)
{
    struct probe *p = arg;
    assert_int_equal(p->n_heads + p->n_ends + p->n_fails, 0);
    p->n_heads++;
    p->status = status;
    size_t at = 0;
    for (size_t i = 0; i < n && at < sizeof(p->headers); i++)
        at += (size_t)snprintf(p->headers + at, sizeof(p->headers) - at, "%.*s: %.*s\n",
                               STR_ARG(headers[i].name), STR_ARG(headers[i].value));
    if (p->in_head)
        p->in_head(p);
}

static void on_data(void *arg, const char *data, size_t n)
{
    struct probe *p = arg;
    assert_int_equal(p->n_heads, 1);
    assert_int_equal(p->n_ends + p->n_fails, 0);
    p->n_data++;
    p->body_bytes += n;
    if (p->body.len + n <= BODY_KEPT_MAX)
        buf_append(&p->body, data, n);
    if (p->in_data)
        p->in_data(p);
}

static void on_end(void *arg)
{
    struct probe *p = arg;
    p->n_ends++;
    p->call = NULL;
    p->ended_us = loop_now_us(p->world->loop);
    if (p->in_end)
        p->in_end(p);
}

static void on_fail(void *arg, enum upstream_failure why, const char *detail)
{
    struct probe *p = arg;
    p->n_fails++;
    p->call = NULL;
    p->why = why;
    p->ended_us = loop_now_us(p->world->loop);
    snprintf(p->detail, sizeof(p->detail), "%s", detail);
    if (p->in_end)
        p->in_end(p);
}

static const struct upstream_callbacks probe_callbacks = {on_head, on_data, on_end, on_fail};

void probe_start_with(struct probe *p, struct world *w, const struct upstream_request *r)
{
    p->world = w;
    buf_init(&p->body, BODY_KEPT_MAX);
    p->call = upstream_start(w->upstream, r, &probe_callbacks, p);
    assert_non_null(p->call);
    assert_int_equal(p->n_heads + p->n_ends + p->n_fails, 0);
}

void probe_start(struct probe *p, struct world *w, const char *path, struct str body)
{
    static const struct upstream_header headers[] = {
        {{"content-type", 12}, {"application/json", 16}},
        {{"x-api-key", 9}, {"test-key", 8}},
    };
    struct upstream_request r = {.method = body.n ? STR("POST") : STR("GET"),
                                 .path = str_of(path),
                                 .headers = headers,
                                 .n_headers = PX_ARRAY_LEN(headers),
                                 .body.own = body,
                                 .idle_timeout_ms = 3000};
    probe_start_with(p, w, &r);
}

void call_once(struct world *w, struct probe *p)
{
    *p = (struct probe){0};
    probe_start(p, w, "/v1/messages", STR("{}"));
    run_until(w, probe_is_over, p);
}

bool probe_has_data(void *arg)
{
    const struct probe *p = arg;
    return p->n_data > 0;
}

void pause_there(struct probe *p)
{
    upstream_pause(p->call);
}

void cancel_there(struct probe *p)
{
    upstream_cancel(p->call);
    p->call = NULL;
}

void destroy_there(struct probe *p)
{
    struct upstream *u = p->world->upstream;
    p->world->upstream = NULL;
    if (u)
        upstream_destroy(u);
}

bool probe_is_over(void *arg)
{
    const struct probe *p = arg;
    return p->n_ends + p->n_fails > 0;
}

bool probes_are_over(void *arg)
{
    const struct probes *all = arg;
    for (size_t i = 0; i < all->n; i++)
        if (!probe_is_over(&all->p[i]))
            return false;
    return true;
}

void probe_done(struct probe *p)
{
    assert_true(p->n_ends + p->n_fails <= 1);
    buf_done(&p->body);
}

void assert_answer(const struct probe *p, int status, const char *body)
{
    if (p->n_fails)
        fail_msg("failed: %d %s", (int)p->why, p->detail);
    assert_int_equal(p->n_ends, 1);
    assert_int_equal(p->n_heads, 1);
    assert_int_equal(p->status, status);
    assert_int_equal(p->body_bytes, strlen(body));
    assert_memory_equal(p->body.len ? p->body.data : "", body, strlen(body));
}

void assert_failure(const struct probe *p, enum upstream_failure why, const char *detail_part)
{
    assert_int_equal(p->n_ends, 0);
    assert_int_equal(p->n_fails, 1);
    if (p->why != why || !strstr(p->detail, detail_part))
        fail_msg("expected %d \"%s\", got %d \"%s\"", (int)why, detail_part, (int)p->why,
                 p->detail);
}

/* A server ------------------------------------------------------------------------------- */

static size_t open_peers(const struct h1_server *s)
{
    size_t n = 0;
    for (const struct h1_peer *p = s->peers; p; p = p->next)
        n += !p->is_closed;
    return n;
}

static size_t declared_length(struct str head)
{
    ptrdiff_t at = str_find(head, STR("content-length: "));
    return at < 0 ? 0 : (size_t)strtoull(head.p + at + 16, NULL, 10);
}

static void on_peer_data(void *arg, const char *data, size_t n)
{
    struct h1_peer *p = arg;
    assert_true(buf_append(&p->in, data, n));
    while (!p->is_closed) {
        struct str all = buf_str(&p->in);
        ptrdiff_t end = str_find(all, STR("\r\n\r\n"));
        if (end < 0)
            return;
        size_t head_n = (size_t)end + 4;
        size_t whole = head_n + declared_length((struct str){all.p, head_n});
        if (p->server->answers_heads ? p->n_requests > 0 : all.n < whole)
            return;
        p->n_requests++;
        p->server->n_requests++;
        p->server->on_request(p, (struct str){all.p, whole < all.n ? whole : all.n});
        if (p->server->answers_heads)
            return;
        buf_consume(&p->in, whole);
    }
}

static void on_peer_end(void *arg, enum channel_end why)
{
    (void)why;
    struct h1_peer *p = arg;
    p->is_gone = true;
    p->gone_us = loop_now_us(p->channel.loop);
    peer_close(p);
}

static const struct channel_callbacks peer_callbacks = {.on_data = on_peer_data,
                                                        .on_end = on_peer_end};

static void on_accept(void *arg, int fd)
{
    struct h1_server *s = arg;
    struct h1_peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->server = s;
    p->next = s->peers;
    s->peers = p;
    s->n_peers++;
    buf_init(&p->in, PEER_IN_MAX);
    channel_open(&p->channel, s->world->loop, fd, NULL, PEER_OUT_MAX, &peer_callbacks, p);
    size_t n = open_peers(s);
    if (n > s->max_open)
        s->max_open = n;
}

void h1_server_start(struct h1_server *s, struct world *w,
                     void (*on_request)(struct h1_peer *p, struct str text))
{
    char why[128];
    *s = (struct h1_server){.world = w, .on_request = on_request};
    s->listener = listener_open(w->loop, "127.0.0.1", 0, on_accept, s, why, sizeof(why));
    assert_non_null(s->listener);
    world_aim(w, "http://127.0.0.1", listener_port(s->listener));
}

int h1_server_port(const struct h1_server *s)
{
    return listener_port(s->listener);
}

/* Between two runs of the loop only: peers are freed at once. */
void h1_server_stop(struct h1_server *s)
{
    listener_close(s->listener);
    for (struct h1_peer *p = s->peers; p; p = p->next)
        peer_close(p);
    run_for(s->world, 1);
    while (s->peers) {
        struct h1_peer *p = s->peers;
        s->peers = p->next;
        buf_done(&p->in);
        free(p);
    }
}

void h1_begin(struct h1_fixture *f, void (*on_request)(struct h1_peer *p, struct str text))
{
    world_init(&f->world);
    h1_server_start(&f->server, &f->world, on_request);
}

void h1_finish(struct h1_fixture *f)
{
    upstream_destroy(f->world.upstream);
    f->world.upstream = NULL;
    run_for(&f->world, 1);
    h1_server_stop(&f->server);
    world_done(&f->world);
}

void peer_say(struct h1_peer *p, const char *text)
{
    channel_write(&p->channel, text, strlen(text));
}

void peer_close(struct h1_peer *p)
{
    if (p->is_closed)
        return;
    p->is_closed = true;
    channel_close(&p->channel);
}

void peer_reset(struct h1_peer *p)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p->channel.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    peer_close(p);
}

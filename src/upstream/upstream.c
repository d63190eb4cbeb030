/*
 * The public face of upstream/: the pool's making and end, what a request must be to be sent.
 */
#include "upstream/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "upstream/call.h"
#include "upstream/connection.h"

static void free_pool(void *arg)
{
    struct upstream *u = arg;
    if (u->scratch.data)
        explicit_bzero(u->scratch.data, u->scratch.cap); /* heads, with the key in them */
    buf_done(&u->scratch);
    explicit_bzero(&u->settings.egress, sizeof(u->settings.egress)); /* the proxy's password */
    free(u);
}

struct upstream *upstream_create(struct loop *l, const struct upstream_settings *s)
{
    if (s->origin.is_tls && !s->tls)
        return NULL;
    struct upstream *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->loop = l;
    u->settings = *s;
    if (u->settings.max_connections == 0)
        u->settings.max_connections = 1;
    u->protocol = s->origin.is_tls ? POOL_PROTOCOL_UNKNOWN : POOL_HTTP1;
    u->dial_window = POOL_DIALS_FIRST;
    list_init(&u->connections);
    list_init(&u->ready);
    list_init(&u->unflushed);
    list_init(&u->waiting);
    list_init(&u->finishing);
    u->turn_job = (struct loop_job){.run = pool_turn, .arg = u};
    u->free_job = (struct loop_job){.run = free_pool, .arg = u};
    buf_init(&u->scratch, CONNECTION_HEAD_BYTES_MAX + 2 * CONNECTION_SLICE_BYTES);
    return u;
}

static void fail_all(struct list *calls)
{
    while (!list_is_empty(calls))
        call_fail(LIST_OF(calls->next, struct upstream_call, node), UPSTREAM_CLOSING,
                  "the server is shutting down");
}

void upstream_destroy(struct upstream *u)
{
    if (!u || u->is_closing)
        return;
    u->is_closing = true;
    while (!list_is_empty(&u->connections)) {
        struct connection *c = LIST_OF(u->connections.next, struct connection, node);
        if (c->protocol && c->phase != PHASE_CLOSED)
            c->protocol->goodbye(c);
        connection_close(c, UPSTREAM_CLOSING, "the server is shutting down");
    }
    fail_all(&u->waiting);
    fail_all(&u->finishing);
    loop_defer(u->loop, &u->free_job);
}

/* A line end or NUL in a text would let it write headers of its own. */
static bool is_clean(struct str s)
{
    if (str_is_printable(s))
        return true;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' && s.p[i] != '\t')
            return false;
    return true;
}

static bool is_sendable(const struct upstream *u, const struct upstream_request *r)
{
    size_t bytes = r->method.n + r->path.n + strlen(u->settings.origin.path_prefix) +
                   strlen(u->settings.origin.authority) + 128;
    if (!is_clean(r->method) || !is_clean(r->path))
        return false;
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!is_clean(r->headers[i].name) || !is_clean(r->headers[i].value))
            return false;
        bytes += r->headers[i].name.n + r->headers[i].value.n + 4;
    }
    return bytes <= CONNECTION_HEAD_BYTES_MAX;
}

struct upstream_call *upstream_start(struct upstream *u, const struct upstream_request *r,
                                     const struct upstream_callbacks *cb, void *arg)
{
    if (u->is_closing || u->n_waiting >= POOL_WAITING_MAX || !is_sendable(u, r))
        return NULL;
    return call_create(u, r, cb, arg);
}

void upstream_cancel(struct upstream_call *c)
{
    call_cancel(c);
}

void upstream_set_idle_timeout(struct upstream_call *c, int64_t ms)
{
    call_set_idle_timeout(c, ms);
}

void upstream_pause(struct upstream_call *c)
{
    call_pause(c);
}

void upstream_resume(struct upstream_call *c)
{
    call_resume(c);
}

struct upstream_stats upstream_stats(const struct upstream *u)
{
    size_t connections = 0;
    for (size_t i = 0; i < PHASE_COUNT; i++)
        connections += u->n_in_phase[i];
    return (struct upstream_stats){
        .connections = connections, .calls = u->n_calls, .waiting_calls = u->n_waiting};
}

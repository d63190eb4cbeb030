/*
 * HTTP/2 to the upstream: many calls on a connection. Frames are gathered and written once a
 * turn. A connection that is silent while calls are open is asked with a PING whether it lives.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/h2_client.h"
#include "upstream/call.h"
#include "upstream/connection.h"

/* How long a PING may stay without any byte from the server, or ping_after_ms if that is less. */
#define PING_ANSWER_MS_MAX 10000
/* Pseudo-headers and content-length come on top of the caller's headers. */
#define FIELDS_MAX 128
#define FIELDS_OWN 5

struct h2_state {
    struct h2_client *client;
    struct list fed; /* calls with bytes of the read that is being parsed */
    bool is_pinged;  /* and nothing came since */
};

static struct upstream_call *call_of(struct h2_stream *s)
{
    return PX_CONTAINER_OF(s, struct upstream_call, stream);
}

/* Sending --------------------------------------------------------------------------------- */

static void close_with_reason(struct connection *c, enum upstream_failure why, const char *fallback)
{
    struct h2_state *h = c->state;
    const char *reason = h2_client_reason(h->client);
    char detail[128]; /* the callbacks may make the client write another one */
    snprintf(detail, sizeof(detail), "%s", *reason ? reason : fallback);
    connection_close(c, why, detail);
}

static void h2_flush(struct connection *c)
{
    struct h2_state *h = c->state;
    struct buf *out = &c->pool->scratch;
    bool is_ok = true, has_more = true;
    while (is_ok && has_more && channel_waiting(&c->channel) < CONNECTION_HIGH_WATER_BYTES) {
        buf_reset(out);
        is_ok = h2_client_pull(h->client, out, CONNECTION_SLICE_BYTES);
        has_more = out->len >= CONNECTION_SLICE_BYTES;
        channel_write(&c->channel, out->data, out->len);
    }
    if (c->phase == PHASE_CLOSED)
        return;
    if (!is_ok || h2_client_is_over(h->client))
        close_with_reason(
            c, h2_client_is_invalid(h->client) ? UPSTREAM_BAD_ANSWER : UPSTREAM_DISCONNECTED,
            "the upstream ended the connection");
    else
        connection_update(c);
}

static void ping(struct connection *c)
{
    struct h2_state *h = c->state;
    int64_t wait_ms = c->pool->settings.ping_after_ms;
    h->is_pinged = true;
    h2_client_ping(h->client);
    timer_start(&c->timer, wait_ms < PING_ANSWER_MS_MAX ? wait_ms : PING_ANSWER_MS_MAX);
    pool_flush_later(c->pool, c);
}

/* The first call after a rest: a connection that has been silent for long is doubted at once. */
static void begin_watch(struct connection *c)
{
    struct h2_state *h = c->state;
    const int64_t after_ms = c->pool->settings.ping_after_ms;
    h->is_pinged = false;
    if (after_ms <= 0)
        return;
    if (loop_now_us(c->pool->loop) - c->last_received_us >= after_ms * 1000)
        ping(c);
    else
        timer_start(&c->timer, after_ms);
}

static void h2_on_timer(struct connection *c)
{
    struct h2_state *h = c->state;
    if (h->is_pinged)
        connection_close(c, UPSTREAM_DISCONNECTED, "the upstream does not answer (HTTP/2 PING)");
    else
        ping(c);
}

/* The request as HTTP/2 has it; `path` and `length` must outlive the fields. */
static size_t make_fields(struct h2_field *f, const struct upstream *u,
                          const struct upstream_request *r, struct str path, struct str length)
{
    size_t n = 0;
    f[n++] = (struct h2_field){STR(":method"), r->method};
    f[n++] =
        (struct h2_field){STR(":scheme"), u->settings.origin.is_tls ? STR("https") : STR("http")};
    f[n++] = (struct h2_field){STR(":authority"), str_of(u->settings.origin.authority)};
    f[n++] = (struct h2_field){STR(":path"), path};
    for (size_t i = 0; i < r->n_headers; i++)
        f[n++] = (struct h2_field){r->headers[i].name, r->headers[i].value};
    if (spliced_bytes(&r->body) > 0)
        f[n++] = (struct h2_field){STR("content-length"), length};
    return n;
}

static void h2_start(struct connection *c, struct upstream_call *call)
{
    struct h2_state *h = c->state;
    struct upstream *u = c->pool;
    const struct upstream_request *r = &call->request;
    struct h2_field fields[FIELDS_MAX];
    char length[24];
    int length_n = snprintf(length, sizeof(length), "%zu", spliced_bytes(&r->body));
    buf_reset(&u->scratch);
    buf_append_z(&u->scratch, u->settings.origin.path_prefix);
    buf_append_str(&u->scratch, r->path);
    if (u->scratch.failed || r->n_headers > FIELDS_MAX - FIELDS_OWN) {
        call_fail(call, UPSTREAM_UNREACHABLE, "the request is too large");
        return;
    }
    size_t n =
        make_fields(fields, u, r, buf_str(&u->scratch), (struct str){length, (size_t)length_n});
    if (!h2_client_request(h->client, &call->stream, fields, n, &r->body)) {
        if (!h2_client_is_draining(h->client)) {
            call_fail(call, UPSTREAM_UNREACHABLE, "out of memory");
            return;
        }
        connection_set_phase(c, PHASE_DRAINING); /* out of stream numbers */
        call_detach(call);
        pool_queue(u, call, true);
        return;
    }
    if (c->n_calls == 1)
        begin_watch(c);
    pool_flush_later(u, c);
}

static void h2_drain(struct connection *c)
{
    h2_flush(c);
}

/* Receiving ------------------------------------------------------------------------------- */

static void on_head(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                    size_t n)
{
    const struct connection *c = arg;
    if (c->phase == PHASE_CLOSED) /* by an earlier callback of the same bytes; so below */
        return;
    struct upstream_header headers[H2_CLIENT_HEADERS_MAX];
    for (size_t i = 0; i < n; i++)
        headers[i] = (struct upstream_header){fields[i].name, fields[i].value};
    call_head(call_of(s), status, headers, n);
}

/*
 * What one read brings for a call is given to it at once: a proxy that is behind finds several
 * events of a stream in a read, and the client gets them with one write.
 */
static void give(struct upstream_call *call)
{
    if (call->fed.n == 0)
        return;
    struct buf pieces = call->held;
    const struct str bytes = pieces.len > 0 ? buf_str(&pieces) : call->fed;
    buf_init(&call->held, pieces.max);
    call->fed = (struct str){0};
    list_remove(&call->fed_node);
    call_data(call, bytes.p, bytes.n);
    buf_done(&pieces);
}

static void give_all(struct connection *c)
{
    struct h2_state *h = c->state;
    while (!list_is_empty(&h->fed))
        give(LIST_OF(h->fed.next, struct upstream_call, fed_node));
}

/* `p` points into what h2_receive was given. */
static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    const struct connection *c = arg;
    struct h2_state *h = c->state;
    struct upstream_call *call = call_of(s);
    if (c->phase == PHASE_CLOSED)
        return;
    if (call->fed.n > 0) {
        const bool is_second = call->held.len == 0;
        if ((is_second && !buf_append_str(&call->held, call->fed)) ||
            !buf_append(&call->held, p, n))
            call_fail(call, UPSTREAM_BAD_ANSWER, "more came than the window allows");
    } else if (call->held.len > 0) {
        call_data(call, p, n); /* its owner was paused: it waits behind the rest */
    } else {
        call->fed = (struct str){p, n};
        list_append(&h->fed, &call->fed_node);
    }
}

static void on_end(void *arg, struct h2_stream *s)
{
    struct connection *c = arg;
    struct upstream_call *call = call_of(s);
    if (c->phase == PHASE_CLOSED)
        return;
    give(call);
    if (call->state != CALL_SENT) /* that was enough for its owner */
        return;
    call_detach(call);
    c->n_served++;
    call_complete(call);
}

/* Sent again on another connection, unless the limit was not yet known here. */
static void retry_refused(struct connection *c, struct upstream_call *call)
{
    if (!call->stream.is_early && c->phase == PHASE_OPEN)
        connection_set_phase(c, PHASE_DRAINING);
    call_detach(call);
    pool_queue(c->pool, call, true);
}

static void on_broken(void *arg, struct h2_stream *s, enum h2_break how, const char *detail)
{
    struct connection *c = arg;
    struct upstream_call *call = call_of(s);
    if (c->phase == PHASE_CLOSED)
        return;
    give(call);
    if (call->state != CALL_SENT)
        return;
    switch (how) {
    case H2_REFUSED:
        if (call->tries < POOL_TRIES_MAX && !c->pool->is_closing)
            retry_refused(c, call);
        else
            call_fail(call, UPSTREAM_DISCONNECTED, detail);
        return;
    case H2_RESET:
        call_fail(call, UPSTREAM_DISCONNECTED, detail);
        return;
    case H2_INVALID:
        call_fail(call, UPSTREAM_BAD_ANSWER, detail);
        return;
    }
}

/* A peer that takes a body is alive; what went out with the head proves nothing. */
static void on_upload(void *arg, struct h2_stream *s)
{
    struct connection *c = arg;
    struct upstream_call *call = call_of(s);
    if (c->phase != PHASE_CLOSED && loop_now_us(c->pool->loop) != call->sent_at_us)
        call_sign_of_life(call);
}

static const struct h2_client_callbacks client_callbacks = {.on_head = on_head,
                                                            .on_data = on_data,
                                                            .on_end = on_end,
                                                            .on_broken = on_broken,
                                                            .on_upload = on_upload};

static void update_phase(struct connection *c)
{
    struct h2_state *h = c->state;
    if (c->phase == PHASE_SETTLING && h2_client_is_settled(h->client)) {
        connection_set_phase(c, PHASE_OPEN);
        pool_wake(c->pool); /* the calls that wait may need one more */
    }
    if (c->phase != PHASE_DRAINING && h2_client_is_draining(h->client)) {
        connection_set_phase(c, PHASE_DRAINING);
        pool_wake(c->pool);
    }
}

static void h2_receive(struct connection *c, const char *p, size_t n)
{
    struct h2_state *h = c->state;
    h->is_pinged = false;
    if (c->n_calls > 0 && c->pool->settings.ping_after_ms > 0)
        timer_start(&c->timer, c->pool->settings.ping_after_ms);
    const bool is_ok = h2_client_feed(h->client, p, n);
    give_all(c);
    if (c->phase == PHASE_CLOSED)
        return;
    if (!is_ok) {
        close_with_reason(c, UPSTREAM_BAD_ANSWER, "");
        return;
    }
    update_phase(c);
    connection_update(c); /* streams that ended made room: before anybody dials for want of it */
    pool_flush_later(c->pool, c);
}

/* The rest ---------------------------------------------------------------------------------- */

static bool h2_open(struct connection *c)
{
    struct h2_state *h = calloc(1, sizeof(*h));
    if (!h)
        return false;
    h->client = h2_client_create(c->pool->settings.stream_window_bytes, &client_callbacks, c);
    if (!h->client) {
        free(h);
        return false;
    }
    list_init(&h->fed);
    c->state = h;
    pool_flush_later(c->pool, c);
    return true;
}

static void h2_destroy_state(struct connection *c)
{
    struct h2_state *h = c->state;
    h2_client_destroy(h->client);
    free(h);
}

static void h2_on_eof(struct connection *c)
{
    close_with_reason(c, UPSTREAM_DISCONNECTED, "the upstream closed the connection");
}

static void h2_abandon(struct connection *c, struct upstream_call *call)
{
    struct h2_state *h = c->state;
    h2_client_forget(h->client, &call->stream);
    pool_flush_later(c->pool, c);
}

/* What the window allows still comes and is held; the rest the server keeps. */
static void ignore_call(struct connection *c, struct upstream_call *call)
{
    (void)c;
    (void)call;
}

static void h2_taken(struct connection *c, struct upstream_call *call, size_t n)
{
    struct h2_state *h = c->state;
    h2_client_taken(h->client, &call->stream, n);
    pool_flush_later(c->pool, c);
}

static void h2_goodbye(struct connection *c)
{
    struct h2_state *h = c->state;
    struct buf out; /* not the pool's: this may run while that is in use */
    buf_init(&out, 2 * CONNECTION_SLICE_BYTES);
    h2_client_goodbye(h->client);
    if (h2_client_pull(h->client, &out, CONNECTION_SLICE_BYTES))
        channel_write(&c->channel, out.data, out.len);
    buf_done(&out);
}

static size_t h2_room(const struct connection *c)
{
    const struct h2_state *h = c->state;
    return h2_client_room(h->client);
}

const struct protocol h2_protocol = {
    .open = h2_open,
    .start = h2_start,
    .receive = h2_receive,
    .drain = h2_drain,
    .eof = h2_on_eof,
    .abandon = h2_abandon,
    .pause = ignore_call,
    .resume = ignore_call,
    .taken = h2_taken,
    .on_timer = h2_on_timer,
    .flush = h2_flush,
    .goodbye = h2_goodbye,
    .room = h2_room,
    .destroy = h2_destroy_state,
};

/*
 * Client connections.
 *
 *   HANDSHAKE (with TLS) --> IDLE, or HTTP2 where ALPN says so
 *   IDLE --first byte--> HEAD --head read--> BODY --message complete--> ANSWERING --over--> IDLE
 *                          \___ refused, or the answer says close ________/ --> CLOSING --> CLOSED
 *
 * Reading never stops, so that a client that leaves is noticed at once; what it sends ahead while
 * an answer is under way is kept, up to a limit.
 */
#include "server/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "http/h1.h"
#include "net/channel.h"
#include "server/connection_h2.h"
#include "server/connection_kind.h"
#include "server/relay.h"
#include "server/request.h"
#include "server/worker.h"

/* Requests sent ahead while one is being answered. */
#define PIPELINED_BYTES_MAX 65536
/* The rest of a refused body that is read for the sake of keeping the connection. */
#define DISCARDED_BYTES_MAX 65536
/* Answer bytes that may wait for a client: one whole answer, or a stream above its high-water
 * mark by what one read from the upstream gives. */
#define OUT_BYTES_MAX (96u << 20)
/* With more than this waiting for the client its next request is not begun: requests sent ahead
 * by one that never reads must not pile up answers. */
#define ANSWERS_WAITING_MAX 262144
/* How often it is looked at whether a client takes what waits for it, and how long a closed
 * connection may linger. */
#define WRITE_CHECK_MS 2000
/* A draining server hears an idle connection for so long: a request may be on its way. */
#define DRAIN_IDLE_MS 500
/* Connections above the maximum that are still told so. */
#define SURPLUS_MAX 64

enum connection_state {
    CONN_HANDSHAKE, /* agreeing on TLS */
    CONN_IDLE,      /* between requests */
    CONN_HEAD,      /* the first bytes of a request are in */
    CONN_BODY,      /* its head is read; the message is not complete */
    CONN_ANSWERING, /* the message is complete */
    CONN_HTTP2,     /* connection_h2.c sees to everything */
    CONN_CLOSING,   /* our side is ended; the client reads the rest */
    CONN_CLOSED     /* freed at the end of the turn */
};

/* A client's socket, and its HTTP/1.1 where it speaks that. */
struct client {
    struct connection base; /* what its requests know */
    struct worker *worker;
    struct list node; /* in worker->connections */
    enum connection_state state;
    struct channel channel;
    struct h1_parser *parser;
    struct connection_h2 *h2; /* NULL unless HTTP/2 is spoken */
    struct request *request;  /* the one being read or answered */
    struct buf pending;       /* sent ahead */
    struct timer timer;       /* what it means depends on the state */
    struct loop_job next_job, free_job;
    bool is_surplus;       /* above the maximum: answers 503 and closes */
    bool is_broken;        /* no further request can be read */
    bool asks_keep_alive;  /* the client's head */
    bool can_discard_body; /* small and certain to come */
    bool is_message_complete;
    int64_t body_started_us;
    uint64_t body_bytes;
    uint64_t written_bytes; /* handed to the channel */
    uint64_t taken_bytes;   /* of them, by the client, when last looked at */
    int64_t taken_at_us;
};

static struct client *client_of(struct connection *base)
{
    return (struct client *)base; /* its first member */
}

static const struct config *config_of(const struct client *c)
{
    return &c->worker->settings.current->config;
}

/* Something waits for the client: looks from time to time whether it takes it. */
static void watch_progress(struct client *c)
{
    c->taken_at_us = loop_now_us(c->worker->loop);
    timer_start(&c->timer, WRITE_CHECK_MS);
}

/* The state, and the time it may take. */
static void set_state(struct client *c, enum connection_state state)
{
    c->state = state;
    switch (state) {
    case CONN_HANDSHAKE: /* the whole of it, however its bytes come */
        timer_start(&c->timer, config_of(c)->head_timeout_s * 1000);
        break;
    case CONN_IDLE:
        timer_start(&c->timer, atomic_load(&c->worker->shared->is_draining)
                                   ? DRAIN_IDLE_MS
                                   : config_of(c)->idle_timeout_s * 1000);
        break;
    case CONN_HEAD:
        timer_start(&c->timer, config_of(c)->head_timeout_s * 1000);
        break;
    case CONN_BODY:
        c->body_started_us = loop_now_us(c->worker->loop);
        c->body_bytes = 0;
        timer_start(&c->timer, config_of(c)->body_timeout_s * 1000);
        break;
    case CONN_ANSWERING:
    case CONN_HTTP2:
        timer_stop(&c->timer);
        break;
    case CONN_CLOSING:
        watch_progress(c);
        break;
    case CONN_CLOSED:
        timer_done(&c->timer);
        break;
    }
}

/* Ends --------------------------------------------------------------------------------------- */

static void free_connection(void *arg)
{
    struct client *c = arg;
    struct worker *w = c->worker;
    h1_destroy(c->parser);
    connection_h2_destroy(c->h2);
    buf_done(&c->pending);
    free(c);
    worker_may_stop(w);
}

static void close_now(struct client *c, enum end_reason why)
{
    if (c->state == CONN_CLOSED)
        return;
    set_state(c, CONN_CLOSED);
    channel_close(&c->channel);
    list_remove(&c->node);
    atomic_fetch_sub(&c->worker->shared->n_connections, 1);
    struct request *r = c->request;
    c->request = NULL;
    if (r)
        request_client_left(r, why);
    if (c->h2)
        connection_h2_gone(c->h2, why);
    loop_defer(c->worker->loop, &c->free_job);
}

static void drop(struct client *c)
{
    close_now(c, END_CLIENT_GONE);
}

static void close_when_flushed(struct client *c)
{
    if (c->state == CONN_CLOSING || c->state == CONN_CLOSED)
        return;
    /* A socket that is closed with bytes unread, or yet to come, resets the peer, which may then
     * lose the answer: only then linger. */
    if (c->is_message_complete && !c->is_broken && c->pending.len == 0 &&
        channel_waiting(&c->channel) == 0) {
        drop(c);
        return;
    }
    set_state(c, CONN_CLOSING);
    channel_close_after_flush(&c->channel);
}

/* Answers a request that could not be read. The rest of the connection's bytes mean nothing. */
static void refuse(struct client *c, enum end_reason why, const char *message)
{
    c->is_broken = true;
    if (c->request)
        request_end_from_outside(c->request, why, message);
    else if (c->state == CONN_HEAD || c->state == CONN_IDLE)
        request_refuse(&c->base, c->worker, why, message);
    else
        close_when_flushed(c); /* the rest of a body whose request has been answered */
}

/* Requests ----------------------------------------------------------------------------------- */

static bool on_head(void *arg, const struct h1_head *head)
{
    struct client *c = arg;
    set_state(c, CONN_BODY);
    c->is_message_complete = false;
    c->asks_keep_alive = head->keep_alive;
    c->can_discard_body = !head->is_chunked && head->content_length <= DISCARDED_BYTES_MAX &&
                          (head->content_length <= 0 || !head->expects_continue);
    if (c->is_surplus) {
        c->is_broken = true;
        request_refuse(&c->base, c->worker, END_TOO_MANY_CONNECTIONS, NULL);
        return false;
    }
    c->request = request_begin(&c->base, c->worker, head);
    if (!c->request) {
        drop(c);
        return false;
    }
    request_drive(c->request);
    return c->state == CONN_BODY;
}

static bool on_body(void *arg, const char *p, size_t n)
{
    struct client *c = arg;
    c->body_bytes += n;
    if (c->request)
        request_body(c->request, p, n);
    return c->state == CONN_BODY;
}

static void on_message_complete(struct client *c)
{
    c->is_message_complete = true;
    h1_forget_head(c->parser);
    set_state(c, CONN_ANSWERING);
    if (c->request)
        request_body_end(c->request);
    else
        loop_defer(c->worker->loop, &c->next_job); /* it was answered before its body came */
}

static void on_bad_message(struct client *c, enum h1_result result)
{
    char message[160];
    snprintf(message, sizeof(message), "The request is not valid HTTP: %s.", h1_reason(c->parser));
    bool is_size = result == H1_HEAD_TOO_LARGE || result == H1_TOO_MANY_HEADERS;
    refuse(c, is_size ? END_HEAD_TOO_LARGE : END_BAD_HTTP, message);
}

/* Hands bytes to the parser up to the end of one message; keeps what lies behind it. */
static void feed(struct client *c, const char *p, size_t n)
{
    if (c->state == CONN_IDLE)
        set_state(c, CONN_HEAD);
    size_t taken = 0;
    enum h1_result result = h1_feed(c->parser, p, n, &taken);
    switch (result) {
    case H1_MORE:
        return;
    case H1_STOPPED:
        return; /* on_head or on_body has seen to it */
    case H1_COMPLETE:
        on_message_complete(c);
        if (taken < n && c->state == CONN_ANSWERING &&
            !buf_append(&c->pending, p + taken, n - taken))
            drop(c);
        return;
    case H1_UPGRADE_REFUSED:
    case H1_HEAD_TOO_LARGE:
    case H1_TOO_MANY_HEADERS:
    case H1_BAD:
        on_bad_message(c, result);
        return;
    }
}

/* The next request, at the end of the turn in which one was over. */
static void next_request(void *arg)
{
    struct client *c = arg;
    if (c->state != CONN_ANSWERING || c->request)
        return;
    if (channel_waiting(&c->channel) > ANSWERS_WAITING_MAX) {
        if (!timer_is_running(&c->timer))
            watch_progress(c);
        return; /* on_drain comes back to it */
    }
    set_state(c, CONN_IDLE);
    struct buf bytes = c->pending;
    buf_init(&c->pending, PIPELINED_BYTES_MAX);
    if (bytes.len > 0)
        feed(c, bytes.data, bytes.len);
    buf_done(&bytes);
}

static bool is_body_too_slow(const struct client *c)
{
    return connection_body_is_too_slow(
        config_of(c), loop_now_us(c->worker->loop) - c->body_started_us, c->body_bytes);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct client *c = arg;
    switch (c->state) {
    case CONN_BODY:
        if (is_body_too_slow(c)) {
            refuse(c, END_BODY_TIMEOUT, NULL);
            return;
        }
        timer_start(&c->timer, config_of(c)->body_timeout_s * 1000);
        feed(c, p, n);
        return;
    case CONN_IDLE:
    case CONN_HEAD:
        feed(c, p, n);
        return;
    case CONN_ANSWERING:
        if (!buf_append(&c->pending, p, n))
            drop(c);
        return;
    case CONN_HTTP2:
        connection_h2_data(c->h2, p, n);
        return;
    case CONN_HANDSHAKE: /* nothing comes before on_open */
    case CONN_CLOSING:
    case CONN_CLOSED:
        return;
    }
}

/* Time --------------------------------------------------------------------------------------- */

/* Something waits for the client: drops it when it has taken nothing for too long. */
static void check_progress(struct client *c)
{
    const int64_t now_us = loop_now_us(c->worker->loop);
    const uint64_t taken = c->written_bytes - channel_waiting(&c->channel);
    if (taken != c->taken_bytes) {
        c->taken_bytes = taken;
        c->taken_at_us = now_us;
    } else if (now_us - c->taken_at_us > config_of(c)->stall_timeout_s * 1000000) {
        close_now(c, END_CLIENT_STALLED);
        return;
    }
    timer_start(&c->timer, WRITE_CHECK_MS);
}

static void on_timer(void *arg)
{
    struct client *c = arg;
    switch (c->state) {
    case CONN_HANDSHAKE:
        log_line(LOG_DEBUG, "TLS with a client failed", LOG_Z("reason", "timed out"));
        drop(c);
        return;
    case CONN_IDLE:
    case CONN_CLOSING:
        if (channel_waiting(&c->channel) > 0)
            check_progress(c);
        else
            drop(c);
        return;
    case CONN_HEAD:
        if (h1_is_in_head(c->parser))
            refuse(c, END_HEAD_TIMEOUT, NULL);
        else
            drop(c); /* blank lines only */
        return;
    case CONN_BODY:
        refuse(c, END_BODY_TIMEOUT, NULL);
        return;
    case CONN_ANSWERING:
        if (channel_waiting(&c->channel) > 0)
            check_progress(c);
        return;
    case CONN_HTTP2:
    case CONN_CLOSED:
        return;
    }
}

static void on_drain(void *arg)
{
    struct client *c = arg;
    if (c->h2)
        connection_h2_drained(c->h2);
    else if (c->request)
        relay_client_drained(c->request);
    else if (c->state == CONN_ANSWERING)
        loop_defer(c->worker->loop, &c->next_job);
}

static void close_http2(void *arg, bool is_orderly)
{
    struct client *c = arg;
    if (!is_orderly) {
        drop(c);
        return;
    }
    c->is_broken = true; /* it may still be sending: linger */
    close_when_flushed(c);
}

static void begin_http2(struct client *c)
{
    const struct connection_h2_host host = {c->worker, &c->channel, close_http2, c};
    h1_destroy(c->parser);
    c->parser = NULL;
    c->h2 = c->is_surplus ? NULL : connection_h2_create(&host);
    if (c->h2)
        set_state(c, CONN_HTTP2);
    else
        drop(c);
}

static void drain(struct client *c, bool now)
{
    if (c->h2)
        connection_h2_drain(c->h2, now);
    if (now && c->request)
        request_end_from_outside(c->request, END_SHUTDOWN, NULL);
    if (now)
        drop(c);
    else if (c->state == CONN_IDLE || c->state == CONN_HANDSHAKE)
        timer_start(&c->timer, DRAIN_IDLE_MS);
}

static void on_open(void *arg)
{
    struct client *c = arg;
    if (c->state != CONN_HANDSHAKE)
        return;
    if (str_eq(channel_alpn(&c->channel), STR("h2")))
        begin_http2(c);
    else
        set_state(c, CONN_IDLE);
    if (atomic_load(&c->worker->shared->is_draining))
        drain(c, false);
}

/* Said to a client that speaks HTTP to a port for HTTPS, outside of TLS: it would understand
 * nothing else. */
static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\n"
    "content-type: application/json\r\n"
    "connection: close\r\n\r\n"
    "{\"error\":{\"message\":\"This port speaks HTTPS: use https:// in the URL.\","
    "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"https_required\"}}";

static void on_end(void *arg, enum channel_end why)
{
    struct client *c = arg;
    if (why == CHANNEL_TLS_ERROR) {
        log_line(LOG_DEBUG, "TLS with a client failed",
                 LOG_Z("reason", channel_tls_reason(&c->channel)));
        if (channel_is_plain_http(&c->channel))
            channel_write_plain(&c->channel, str_of(plain_answer));
    }
    drop(c);
}

/* For requests ------------------------------------------------------------------------------- */

static void h1_write(struct connection *base, struct str bytes)
{
    struct client *c = client_of(base);
    if (bytes.n == 0)
        return;
    c->written_bytes += bytes.n;
    channel_write(&c->channel, bytes.p, bytes.n);
    if (c->state == CONN_ANSWERING && !timer_is_running(&c->timer) &&
        channel_waiting(&c->channel) > 0)
        watch_progress(c);
}

static size_t h1_waiting(const struct connection *base)
{
    return channel_waiting(&((const struct client *)base)->channel);
}

static const char *h1_tls_version(const struct connection *base)
{
    return channel_tls_version(&((const struct client *)base)->channel);
}

static bool h1_keeps_alive(const struct connection *base)
{
    const struct client *c = (const struct client *)base;
    return c->asks_keep_alive && !c->is_broken && (c->is_message_complete || c->can_discard_body) &&
           !atomic_load(&c->worker->shared->is_draining);
}

static void h1_request_over(struct connection *base, enum connection_rest rest)
{
    struct client *c = client_of(base);
    c->request = NULL;
    switch (rest) {
    case CONNECTION_STAYS:
        if (c->state == CONN_ANSWERING)
            loop_defer(c->worker->loop, &c->next_job);
        return; /* else the rest of its body comes first */
    case CONNECTION_CLOSES:
        close_when_flushed(c);
        return;
    case CONNECTION_BREAKS:
        drop(c);
        return;
    }
}

static void h1_drop(struct connection *base)
{
    drop(client_of(base));
}

static const struct connection_kind h1_kind = {
    h1_write, h1_waiting, h1_keeps_alive, h1_request_over, h1_drop, h1_tls_version,
};

/* Birth, and the worker's drain -------------------------------------------------------------- */

static struct client *create(struct worker *w)
{
    static const struct h1_callbacks callbacks = {on_head, on_body};
    struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->parser = h1_create(H1_REQUEST, &callbacks, c);
    if (!c->parser) {
        free(c);
        return NULL;
    }
    c->base.kind = &h1_kind;
    c->worker = w;
    buf_init(&c->pending, PIPELINED_BYTES_MAX);
    c->next_job = (struct loop_job){.run = next_request, .arg = c};
    c->free_job = (struct loop_job){.run = free_connection, .arg = c};
    timer_init(&c->timer, w->loop, on_timer, c);
    return c;
}

/* One that was never opened. Accepts NULL. */
static void discard(struct client *c)
{
    if (!c)
        return;
    timer_done(&c->timer);
    h1_destroy(c->parser);
    free(c);
}

static void accept_client(struct worker *w, int fd, bool is_for_metrics)
{
    static const struct channel_callbacks callbacks = {on_open, on_data, on_drain, on_end};
    struct certificate *certificate = &w->shared->certificate;
    const bool has_tls = certificate_is_set(certificate) && !is_for_metrics;
    const int64_t max = w->settings.current->config.max_connections;
    const int64_t n = atomic_fetch_add(&w->shared->n_connections, 1) + 1;
    struct client *c = n <= max + SURPLUS_MAX ? create(w) : NULL;
    struct tls *tls = c && has_tls ? certificate_session(certificate) : NULL;
    if (!c || (has_tls && !tls)) {
        discard(c);
        close(fd);
        atomic_fetch_sub(&w->shared->n_connections, 1);
        return;
    }
    c->base.is_for_metrics = is_for_metrics;
    c->is_surplus = n > max && !is_for_metrics; /* full is when they are wanted */
    list_append(&w->connections, &c->node);
    channel_open(&c->channel, w->loop, fd, tls, OUT_BYTES_MAX, &callbacks, c);
    set_state(c, has_tls ? CONN_HANDSHAKE : CONN_IDLE);
    if (atomic_load(&w->shared->is_draining))
        timer_start(&c->timer, DRAIN_IDLE_MS);
}

void connection_accept(void *worker, int fd)
{
    accept_client(worker, fd, false);
}

void connection_accept_metrics(void *worker, int fd)
{
    accept_client(worker, fd, true);
}

void connection_drain(struct connection *c, bool now)
{
    drain(client_of(c), now);
}

struct connection *connection_of_node(struct list *node)
{
    return &LIST_OF(node, struct client, node)->base;
}

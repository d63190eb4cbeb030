/*
 * A connection's life: dialling, TLS, open, draining, closed. What is said on it is the
 * protocol's affair.
 */
#include "upstream/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "upstream/call.h"

/* More than what is ever written ahead: high water, a slice, and frames that cannot wait. */
#define OUT_BYTES_MAX (4 * 1024 * 1024)

#define DETAIL_BYTES_MAX 160

static void free_connection(void *arg)
{
    struct connection *c = arg;
    if (c->protocol)
        c->protocol->destroy(c);
    free(c);
}

/* The last one that became ready is used first: the others may grow old and be closed. */
static void update_ready(struct connection *c)
{
    const bool is_ready =
        (c->phase == PHASE_OPEN || c->phase == PHASE_SETTLING) && c->protocol->room(c) > 0;
    if (is_ready == !list_is_empty(&c->ready_node))
        return;
    list_remove(&c->ready_node);
    if (!is_ready)
        return;
    list_append(c->pool->ready.next, &c->ready_node); /* before the first */
    if (c->pool->n_waiting > 0)
        pool_wake(c->pool);
}

void connection_set_phase(struct connection *c, enum connection_phase phase)
{
    c->pool->n_in_phase[c->phase]--;
    c->phase = phase;
    if (phase != PHASE_CLOSED) /* counted no more */
        c->pool->n_in_phase[phase]++;
    update_ready(c);
}

/* The end: nothing more comes from the network. */
static void shut(struct connection *c)
{
    connection_set_phase(c, PHASE_CLOSED);
    list_remove(&c->unflushed_node);
    timer_done(&c->timer);
    if (c->dial)
        egress_cancel(c->dial);
    c->dial = NULL;
    channel_close(&c->channel);
}

/* Whether the server cannot have seen the call: an idle connection that was closed under it. */
static bool may_retry(const struct connection *c, const struct upstream_call *call)
{
    return c->has_peer_left && call->is_on_reused && c->received_bytes == call->received_before &&
           call->tries < POOL_TRIES_MAX && !c->pool->is_closing;
}

void connection_close(struct connection *c, enum upstream_failure why, const char *detail)
{
    struct upstream *u = c->pool;
    if (c->phase != PHASE_CLOSED)
        shut(c);
    bool has_retried = false;
    while (!list_is_empty(&c->calls)) {
        struct upstream_call *call = LIST_OF(c->calls.next, struct upstream_call, node);
        if (may_retry(c, call)) {
            call_detach(call);
            pool_queue(u, call, true);
            has_retried = true;
        } else {
            call_fail(call, why, detail);
        }
    }
    list_remove(&c->node);
    loop_defer(u->loop, &c->free_job);
    if (has_retried)
        pool_drop_idle(u);
    pool_wake(u);
}

/* Dialling -------------------------------------------------------------------------------- */

static void fail_dial(struct connection *c, const char *detail)
{
    char kept[DETAIL_BYTES_MAX]; /* it may live in the channel */
    snprintf(kept, sizeof(kept), "%s", detail);
    struct upstream *u = c->pool;
    connection_close(c, UPSTREAM_UNREACHABLE, kept);
    pool_dial_failed(u, kept);
}

static void on_open(void *arg)
{
    struct connection *c = arg;
    const bool is_h2 = str_eq(channel_alpn(&c->channel), STR("h2"));
    timer_stop(&c->timer);
    const struct protocol *protocol = is_h2 ? &h2_protocol : &h1_protocol;
    if (!protocol->open(c)) {
        fail_dial(c, "out of memory");
        return;
    }
    c->protocol = protocol;
    c->last_received_us = loop_now_us(c->pool->loop);
    connection_set_phase(c, is_h2 ? PHASE_SETTLING : PHASE_OPEN);
    connection_update(c);
    pool_opened(c->pool, c, is_h2 ? POOL_HTTP2 : POOL_HTTP1);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct connection *c = arg;
    c->received_bytes += n;
    c->last_received_us = loop_now_us(c->pool->loop);
    c->protocol->receive(c, p, n);
}

static void on_drain(void *arg)
{
    struct connection *c = arg;
    if (c->protocol)
        c->protocol->drain(c);
}

static const char *end_text(const struct connection *c, enum channel_end why)
{
    switch (why) {
    case CHANNEL_EOF:
        return "the upstream closed the connection";
    case CHANNEL_RESET:
        return "the connection was reset";
    case CHANNEL_TLS_ERROR:
        return channel_tls_reason(&c->channel);
    case CHANNEL_OVERFLOW:
        return "the upstream takes no more bytes";
    }
    return "";
}

static void on_end(void *arg, enum channel_end why)
{
    struct connection *c = arg;
    if (c->phase == PHASE_DIALING) {
        fail_dial(c, end_text(c, why));
        return;
    }
    c->has_peer_left = why == CHANNEL_EOF || why == CHANNEL_RESET;
    if (why == CHANNEL_EOF)
        c->protocol->eof(c);
    char detail[DETAIL_BYTES_MAX];
    snprintf(detail, sizeof(detail), "%s", end_text(c, why));
    connection_close(c, UPSTREAM_DISCONNECTED, detail);
}

static const struct channel_callbacks channel_callbacks = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end};

static void on_dialed(void *arg, int fd, const char *error)
{
    struct connection *c = arg;
    struct upstream *u = c->pool;
    c->dial = NULL;
    if (fd < 0) {
        fail_dial(c, error);
        return;
    }
    struct tls *tls = NULL;
    if (u->settings.origin.is_tls) {
        tls = tls_client(u->settings.tls, u->settings.origin.host, true);
        if (!tls) {
            close(fd);
            fail_dial(c, "out of memory");
            return;
        }
        const int64_t left_ms = (c->give_up_us - loop_now_us(u->loop)) / 1000;
        timer_start(&c->timer, left_ms > 1 ? left_ms : 1);
    }
    channel_open(&c->channel, u->loop, fd, tls, OUT_BYTES_MAX, &channel_callbacks, c);
}

static void on_timer(void *arg)
{
    struct connection *c = arg;
    if (c->phase == PHASE_DIALING) {
        fail_dial(c, "the TLS handshake timed out");
        return;
    }
    if (c->n_calls > 0) {
        c->protocol->on_timer(c);
        return;
    }
    c->protocol->goodbye(c);
    connection_close(c, UPSTREAM_DISCONNECTED, "idle");
}

bool connection_dial(struct upstream *u)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return false;
    c->pool = u;
    c->phase = PHASE_DIALING;
    c->free_job = (struct loop_job){.run = free_connection, .arg = c};
    c->give_up_us = loop_now_us(u->loop) + u->settings.connect_timeout_ms * 1000;
    c->dial =
        egress_start(u->loop, u->settings.resolver, &u->settings.egress, u->settings.origin.host,
                     u->settings.origin.port, u->settings.connect_timeout_ms, on_dialed, c);
    if (!c->dial) {
        free(c);
        return false;
    }
    list_init(&c->ready_node);
    list_init(&c->unflushed_node);
    list_init(&c->calls);
    timer_init(&c->timer, u->loop, on_timer, c);
    list_append(&u->connections, &c->node);
    u->n_in_phase[PHASE_DIALING]++;
    return true;
}

/* Calls ----------------------------------------------------------------------------------- */

void connection_take(struct connection *c, struct upstream_call *call)
{
    call_detach(call);
    call->state = CALL_SENT;
    call->connection = c;
    call->tries++;
    call->is_on_reused = c->n_served > 0;
    call->received_before = c->received_bytes;
    call->sent_at_us = loop_now_us(c->pool->loop);
    list_append(&c->calls, &call->node);
    c->n_calls++;
    if (c->is_idle)
        timer_stop(&c->timer);
    c->is_idle = false;
    c->protocol->start(c, call);
    connection_update(c);
}

void connection_update(struct connection *c)
{
    if (c->phase == PHASE_CLOSED)
        return;
    if (c->phase == PHASE_DRAINING && c->n_calls == 0) {
        c->protocol->goodbye(c);
        connection_close(c, UPSTREAM_DISCONNECTED, "draining");
        return;
    }
    update_ready(c);
    if (c->n_calls == 0 && !c->is_idle) {
        c->is_idle = true;
        timer_start(&c->timer, c->pool->settings.idle_close_ms);
    }
}

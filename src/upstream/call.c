/*
 * One call's way from the queue to its end. A call is in exactly one list at a time, which
 * call_detach takes it out of; whatever ends a call detaches it first, so that a callback may
 * cancel any call, or end the pool.
 */
#include "upstream/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "upstream/connection.h"

/* HTTP/1.1: one read of the channel may still arrive behind a pause, whatever its size. */
#define HELD_SLACK_BYTES (256 * 1024)
/* HTTP/2's window before the peer has seen our settings. */
#define HTTP2_FIRST_WINDOW_BYTES 65535

static void on_silence(void *arg)
{
    struct upstream_call *call = arg;
    char detail[64];
    snprintf(detail, sizeof(detail), "nothing came for %lld ms",
             (long long)call->request.idle_timeout_ms);
    call_fail(call, UPSTREAM_TIMED_OUT, detail);
}

/* Gives the owner what was held back, and then lets the transport go on. */
static void deliver_held(struct upstream_call *call)
{
    struct buf held = call->held;
    buf_init(&call->held, held.max);
    const size_t n = held.len;
    if (n > 0)
        call->cb->on_data(call->arg, held.data, n);
    buf_done(&held);
    if (call->state == CALL_OVER)
        return;
    struct connection *c = call->connection;
    if (c && n > 0)
        c->protocol->taken(c, call, n);
    if (call->is_paused)
        return;
    if (c)
        c->protocol->resume(c, call);
    else if (call->state == CALL_FINISHING)
        call_complete(call);
}

static void run_job(void *arg)
{
    struct upstream_call *call = arg;
    if (call->state == CALL_OVER) {
        buf_done(&call->held);
        free(call);
        return;
    }
    if (!call->is_paused)
        deliver_held(call);
}

struct upstream_call *call_create(struct upstream *u, const struct upstream_request *r,
                                  const struct upstream_callbacks *cb, void *arg)
{
    struct upstream_call *call = malloc(sizeof(*call));
    if (!call)
        return NULL;
    *call = (struct upstream_call){
        .pool = u,
        .request = *r,
        .cb = cb,
        .arg = arg,
        .job = {.run = run_job, .arg = call},
    };
    size_t window = u->settings.stream_window_bytes;
    if (window < HTTP2_FIRST_WINDOW_BYTES)
        window = HTTP2_FIRST_WINDOW_BYTES;
    buf_init(&call->held, window + HELD_SLACK_BYTES);
    list_init(&call->fed_node);
    timer_init(&call->silence, u->loop, on_silence, call);
    if (r->idle_timeout_ms > 0)
        timer_start(&call->silence, r->idle_timeout_ms);
    list_init(&call->node);
    u->n_calls++;
    pool_queue(u, call, false);
    return call;
}

void call_detach(struct upstream_call *call)
{
    list_remove(&call->node);
    list_remove(&call->fed_node);
    call->fed = (struct str){0};
    if (call->state == CALL_WAITING)
        call->pool->n_waiting--;
    if (call->connection)
        call->connection->n_calls--;
    call->connection = NULL;
}

/* The last word about a detached call: no callback comes after this. */
static void end(struct upstream_call *call)
{
    call->state = CALL_OVER;
    call->pool->n_calls--;
    timer_done(&call->silence);
    loop_defer(call->pool->loop, &call->job);
}

/* Takes the call from wherever it is; a connection that was busy with it learns of it. */
static void withdraw(struct upstream_call *call)
{
    struct connection *c = call->connection;
    call_detach(call);
    if (c && c->phase != PHASE_CLOSED) {
        c->protocol->abandon(c, call);
        connection_update(c);
    }
}

void call_sign_of_life(struct upstream_call *call)
{
    if (!call->is_paused && call->request.idle_timeout_ms > 0)
        timer_start(&call->silence, call->request.idle_timeout_ms);
}

void call_head(struct upstream_call *call, int status, const struct upstream_header *headers,
               size_t n)
{
    call->has_head = true;
    call_sign_of_life(call);
    call->cb->on_head(call->arg, status, headers, n);
}

void call_data(struct upstream_call *call, const char *p, size_t n)
{
    call_sign_of_life(call);
    if (call->is_paused || call->held.len > 0) {
        if (!buf_append(&call->held, p, n))
            call_fail(call, UPSTREAM_BAD_ANSWER, "more came than the window allows");
        return;
    }
    call->cb->on_data(call->arg, p, n);
    if (call->connection)
        call->connection->protocol->taken(call->connection, call, n);
}

void call_complete(struct upstream_call *call)
{
    if (call->is_paused || call->held.len > 0) {
        call->state = CALL_FINISHING;
        list_append(&call->pool->finishing, &call->node);
        timer_stop(&call->silence);
        return;
    }
    call_detach(call); /* it may have been finishing */
    end(call);
    call->cb->on_end(call->arg);
}

void call_fail(struct upstream_call *call, enum upstream_failure why, const char *detail)
{
    withdraw(call);
    end(call);
    call->cb->on_fail(call->arg, why, detail);
}

void call_cancel(struct upstream_call *call)
{
    withdraw(call);
    end(call);
}

void call_set_idle_timeout(struct upstream_call *call, int64_t ms)
{
    call->request.idle_timeout_ms = ms;
    timer_stop(&call->silence);
    if (call->state != CALL_FINISHING)
        call_sign_of_life(call);
}

void call_pause(struct upstream_call *call)
{
    if (call->is_paused)
        return;
    call->is_paused = true;
    timer_stop(&call->silence);
    if (call->connection)
        call->connection->protocol->pause(call->connection, call);
}

void call_resume(struct upstream_call *call)
{
    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (call->state != CALL_FINISHING)
        call_sign_of_life(call);
    loop_defer(call->pool->loop, &call->job);
}

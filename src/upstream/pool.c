/*
 * Which call goes on which connection, and when another one is dialled.
 */
#include "upstream/pool.h"

#include "upstream/call.h"
#include "upstream/connection.h"

/* Connections that take new calls, or soon will. */
static size_t usable(const struct upstream *u)
{
    return u->n_in_phase[PHASE_DIALING] + u->n_in_phase[PHASE_SETTLING] + u->n_in_phase[PHASE_OPEN];
}

static size_t dials_wanted(const struct upstream *u)
{
    const size_t under_way = u->n_in_phase[PHASE_DIALING];
    /* Those that drain are bounded by the calls they still carry. */
    const size_t max = u->settings.max_connections;
    if (u->n_waiting == 0 || usable(u) >= max)
        return 0;
    if (u->protocol != POOL_HTTP1)
        return under_way + u->n_in_phase[PHASE_SETTLING] == 0 ? 1 : 0;
    size_t n = u->n_waiting < u->dial_window ? u->n_waiting : u->dial_window;
    n = n > under_way ? n - under_way : 0;
    return n < max - usable(u) ? n : max - usable(u);
}

static void dial(struct upstream *u)
{
    for (size_t n = dials_wanted(u); n > 0; n--) {
        if (!connection_dial(u)) {
            pool_dial_failed(u, "out of memory");
            return;
        }
    }
}

static void dispatch(struct upstream *u)
{
    while (u->n_waiting > 0 && !list_is_empty(&u->ready)) {
        struct connection *c = LIST_OF(u->ready.next, struct connection, ready_node);
        connection_take(c, LIST_OF(u->waiting.next, struct upstream_call, node));
    }
    if (!u->is_closing)
        dial(u);
}

static void flush(struct upstream *u)
{
    while (!list_is_empty(&u->unflushed)) {
        struct connection *c = LIST_OF(u->unflushed.next, struct connection, unflushed_node);
        list_remove(&c->unflushed_node);
        c->protocol->flush(c);
    }
}

void pool_turn(void *arg)
{
    struct upstream *u = arg;
    u->is_in_turn = true;
    dispatch(u);
    flush(u);
    u->is_in_turn = false;
}

void pool_wake(struct upstream *u)
{
    if (!u->is_closing)
        loop_defer(u->loop, &u->turn_job);
}

void pool_queue(struct upstream *u, struct upstream_call *call, bool is_first)
{
    call->state = CALL_WAITING;
    list_append(is_first ? u->waiting.next : &u->waiting, &call->node);
    u->n_waiting++;
    pool_wake(u);
}

void pool_opened(struct upstream *u, struct connection *c, enum pool_protocol protocol)
{
    u->protocol = protocol;
    if (protocol == POOL_HTTP1 && u->dial_window < POOL_DIALS_MAX)
        u->dial_window++;
    /* At once, not at the end of the turn: a server that closes every connection it accepts must
     * cost the calls their tries, or it would be dialled without end. */
    if (c->phase != PHASE_CLOSED && u->n_waiting > 0 && !list_is_empty(&c->ready_node))
        connection_take(c, LIST_OF(u->waiting.next, struct upstream_call, node));
    pool_wake(u);
}

void pool_dial_failed(struct upstream *u, const char *detail)
{
    u->dial_window = 1;
    /* While other connections live, one call pays for one dial; else nobody has a chance. */
    size_t n = usable(u) > 0 && u->n_waiting > 0 ? 1 : u->n_waiting;
    for (; n > 0 && u->n_waiting > 0; n--) {
        struct upstream_call *call = LIST_OF(u->waiting.next, struct upstream_call, node);
        call_fail(call, UPSTREAM_UNREACHABLE, detail);
    }
}

void pool_drop_idle(struct upstream *u)
{
    LIST_EACH(&u->ready, it, next)
    {
        struct connection *c = LIST_OF(it, struct connection, ready_node);
        if (c->n_calls == 0 && c->n_served > 0)
            connection_close(c, UPSTREAM_DISCONNECTED, "idle");
    }
}

void pool_flush_later(struct upstream *u, struct connection *c)
{
    if (!list_is_empty(&c->unflushed_node) || c->phase == PHASE_CLOSED)
        return;
    list_append(&u->unflushed, &c->unflushed_node);
    if (!u->is_in_turn)
        pool_wake(u);
}

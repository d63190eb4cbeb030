/*
 * Accepting, choosing the protocol, closing.
 */
#include "sim/conn.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 2000

static void free_conn(void *arg)
{
    struct conn *c = arg;
    conn_h1_destroy(c->h1);
    conn_h2_destroy(c->h2);
    timer_done(&c->linger);
    free(c);
}

void conn_close(struct conn *c)
{
    if (c->is_closed)
        return;
    c->is_closed = true;
    channel_close(&c->channel);
    if (c->h1)
        conn_h1_gone(c->h1);
    list_remove(&c->node);
    record_connection(c->w->sim->record, -1);
    c->free_job = (struct loop_job){.run = free_conn, .arg = c};
    loop_defer(c->w->loop, &c->free_job);
}

void conn_close_after_flush(struct conn *c)
{
    if (c->is_closed)
        return;
    channel_close_after_flush(&c->channel);
    timer_start(&c->linger, LINGER_MS);
}

static void on_linger(void *arg)
{
    conn_close(arg);
}

static void on_open(void *arg)
{
    struct conn *c = arg;
    if (str_eq(channel_alpn(&c->channel), STR("h2")))
        c->h2 = conn_h2_create(c);
    else
        c->h1 = conn_h1_create(c);
    if (!c->h1 && !c->h2)
        conn_close(c);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct conn *c = arg;
    if (c->is_closed)
        return;
    if (c->h2)
        conn_h2_data(c->h2, p, n);
    else
        conn_h1_data(c->h1, p, n);
}

static void on_drain(void *arg)
{
    struct conn *c = arg;
    if (c->is_closed)
        return;
    if (c->h2)
        conn_h2_drained(c->h2);
    else
        conn_h1_drained(c->h1);
}

static void on_end(void *arg, enum channel_end why)
{
    (void)why;
    conn_close(arg);
}

static const struct channel_callbacks callbacks = {on_open, on_data, on_drain, on_end};

/* Whether the client sits on this machine: only then it may look at what others sent. */
static bool peer_is_loopback(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    if (getpeername(fd, (struct sockaddr *)&sa, &n) != 0)
        return false;
    if (sa.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&sa)->sin_addr.s_addr) >> 24 == 127;
    if (sa.ss_family != AF_INET6)
        return false;
    const struct in6_addr *a = &((struct sockaddr_in6 *)&sa)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

void conn_accept(void *worker, int fd)
{
    struct sim_worker *w = worker;
    struct conn *c = calloc(1, sizeof(*c));
    struct tls *tls = w->sim->tls ? tls_server(w->sim->tls) : NULL;
    if (!c || (w->sim->tls && !tls)) {
        tls_destroy(tls);
        free(c);
        close(fd);
        return;
    }
    c->w = w;
    c->number = (uint64_t)w->index + 1 + (uint64_t)w->sim->n_workers * w->n_conns++;
    c->is_loopback = peer_is_loopback(fd);
    timer_init(&c->linger, w->loop, on_linger, c);
    list_append(&w->conns, &c->node);
    record_connection(w->sim->record, 1);
    channel_open(&c->channel, w->loop, fd, tls, CONN_OUT_BYTES_MAX, &callbacks, c);
}

void conn_close_all(struct sim_worker *w)
{
    LIST_EACH(&w->conns, it, next)
    conn_close(LIST_OF(it, struct conn, node));
}

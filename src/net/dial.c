/*
 * Dialling: look-up, then connection attempts that overlap (RFC 8305), the first one up wins.
 */
#include "net/dial.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_internal.h"

#define DIAL_STAGGER_MS 250

struct attempt {
    struct dial *dial;
    int fd; /* -1 = over or not begun */
    struct event event;
};

struct dial {
    struct loop *loop;
    struct resolver_query *query; /* NULL once answered */
    struct resolver_answer answer;
    struct resolver_address from; /* len 0 = the kernel's choice */
    struct attempt attempts[RESOLVER_ADDRESSES_MAX];
    size_t n_begun, n_running;
    struct timer stagger, limit;
    const char *error; /* of the last failure; static text */
    void (*done)(void *arg, int fd, const char *error);
    void *arg;
    struct loop_job free_job;
};

static void begin_next(struct dial *d);

static void free_dial(void *arg)
{
    free(arg);
}

/* Lets go of everything; the memory goes at the end of the turn. */
static void tear_down(struct dial *d)
{
    if (d->query)
        resolver_cancel(d->query);
    d->query = NULL;
    for (size_t i = 0; i < d->n_begun; i++) {
        if (d->attempts[i].fd < 0)
            continue;
        event_del(&d->attempts[i].event);
        close(d->attempts[i].fd);
        d->attempts[i].fd = -1;
    }
    timer_done(&d->stagger);
    timer_done(&d->limit);
    loop_defer(d->loop, &d->free_job);
}

static void finish(struct dial *d, int fd)
{
    const char *error = d->error ? d->error : "no address";
    tear_down(d);
    d->done(d->arg, fd, error);
}

static void fail_attempt(struct attempt *a, int error)
{
    struct dial *d = a->dial;
    if (a->fd >= 0) {
        close(a->fd);
        a->fd = -1;
        d->n_running--;
    }
    d->error = strerrordesc_np(error);
    begin_next(d);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct attempt *a = arg;
    int error = 0;
    socklen_t n = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0) {
        fail_attempt(a, error);
        return;
    }
    a->fd = -1; /* the caller's now */
    finish(a->dial, fd);
}

/* The port is picked by connect(2): then many connections may share it. */
static bool bind_to(int fd, const struct resolver_address *from)
{
    const int one = 1;
    if (from->len == 0)
        return true;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(fd, (const struct sockaddr *)&from->sa, from->len) == 0;
}

/* False, with errno, when the attempt failed at once. */
static bool begin(struct attempt *a, const struct resolver_address *to)
{
    int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    socket_tune(fd);
    const bool is_bound = bind_to(fd, &a->dial->from);
    if (!is_bound ||
        (connect(fd, (const struct sockaddr *)&to->sa, to->len) != 0 && errno != EINPROGRESS)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    event_assign(&a->event, loop_base(a->dial->loop), fd, EV_WRITE, on_connected, a);
    if (event_add(&a->event, NULL) != 0) {
        close(fd);
        errno = ENOMEM;
        return false;
    }
    a->fd = fd;
    a->dial->n_running++;
    return true;
}

/* False when no address is left. */
static bool begin_one(struct dial *d)
{
    while (d->n_begun < d->answer.n) {
        struct attempt *a = &d->attempts[d->n_begun];
        *a = (struct attempt){.dial = d, .fd = -1};
        if (begin(a, &d->answer.address[d->n_begun++])) {
            if (d->n_begun < d->answer.n)
                timer_start(&d->stagger, DIAL_STAGGER_MS);
            return true;
        }
        d->error = strerrordesc_np(errno);
    }
    return false;
}

static void begin_next(struct dial *d)
{
    if (!begin_one(d) && d->n_running == 0)
        finish(d, -1);
}

static void on_stagger(void *arg)
{
    begin_next(arg);
}

static void on_limit(void *arg)
{
    struct dial *d = arg;
    d->error = "connection timed out";
    finish(d, -1);
}

/* From an IPv4 address no IPv6 one is reached, and the other way round. */
static void drop_other_families(struct dial *d)
{
    size_t n = 0;
    if (d->from.len == 0 || d->answer.n == 0)
        return;
    for (size_t i = 0; i < d->answer.n; i++)
        if (d->answer.address[i].sa.ss_family == d->from.sa.ss_family)
            d->answer.address[n++] = d->answer.address[i];
    d->answer.n = n;
    if (n == 0)
        d->error = "no address of the local address's family";
}

static void on_resolved(void *arg, const struct resolver_answer *answer)
{
    struct dial *d = arg;
    d->query = NULL;
    d->answer = *answer;
    d->error = answer->error;
    drop_other_families(d);
    begin_next(d);
}

static void begin_at_once(struct dial *d)
{
    drop_other_families(d);
    if (!begin_one(d))
        timer_start(&d->stagger, 0); /* told from the loop */
}

struct dial *dial_start(struct loop *l, struct resolver *r, const struct dial_target *target,
                        int64_t timeout_ms, void (*done)(void *arg, int fd, const char *error),
                        void *arg)
{
    struct dial *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->loop = l;
    d->done = done;
    d->arg = arg;
    if (target->from)
        d->from = *target->from;
    d->free_job = (struct loop_job){.run = free_dial, .arg = d};
    timer_init(&d->stagger, l, on_stagger, d);
    timer_init(&d->limit, l, on_limit, d);
    if (resolver_literal(target->host, target->port, &d->answer)) {
        begin_at_once(d);
    } else {
        d->query = resolver_lookup(r, l, target->host, target->port, on_resolved, d);
        if (!d->query) {
            free(d);
            return NULL;
        }
    }
    timer_start(&d->limit, timeout_ms);
    return d;
}

void dial_cancel(struct dial *d)
{
    tear_down(d);
}

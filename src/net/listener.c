/*
 * Listening sockets: bind, accept in batches, rest for a moment when descriptors run out.
 */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_internal.h"

#define LISTEN_BACKLOG 4096
#define ACCEPTS_A_TURN 64
#define ACCEPT_REST_MS 100 /* after EMFILE: without a rest the ready socket would spin the loop */

struct listener {
    int fd, port;
    bool is_adopted;
    struct event event;
    struct timer rest;
    void (*on_accept)(void *arg, int fd);
    void *arg;
    struct loop *loop;
    struct loop_job free_job;
};

static struct addrinfo *look_up(const char *host, int port, const char **ret_error)
{
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        *ret_error = gai_strerror(rc);
        return NULL;
    }
    return list;
}

static int bind_one(const struct addrinfo *a, bool share_port)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1, zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (share_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    socket_tune(fd);              /* on Linux what is accepted inherits it */
    if (a->ai_family == AF_INET6) /* "::" takes IPv4 clients too */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The first address of `host` that can be bound. -1 with a reason. */
static int bind_host(const char *host, int port, bool share_port, char *why, size_t why_size)
{
    const char *error = "no address";
    struct addrinfo *list = look_up(host, port, &error);
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = bind_one(a, share_port);
        if (fd < 0)
            error = strerrordesc_np(errno);
    }
    if (list)
        freeaddrinfo(list);
    if (fd < 0)
        snprintf(why, why_size, "cannot listen on %s port %d: %s", host, port, error);
    return fd;
}

/* 0: it is no TCP socket. */
static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {0};
    socklen_t n = sizeof(sa);
    if (getsockname(fd, &sa.any, &n) != 0)
        return 0;
    if (sa.any.sa_family == AF_INET6)
        return ntohs(sa.v6.sin6_port);
    return sa.any.sa_family == AF_INET ? ntohs(sa.v4.sin_port) : 0;
}

bool listener_port_is_free(const char *host, int port, char *why, size_t why_size)
{
    int fd = bind_host(host, port, false, why, why_size);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static bool is_out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* -1 with errno. */
static int accept_one(const struct listener *s)
{
    const int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && s->is_adopted) /* it may have come before us, and inherited nothing */
        socket_tune(fd);
    return fd;
}

/* An accept4 for nothing costs eight times as much: it makes its socket first. */
static bool has_another(const struct listener *s)
{
    struct pollfd asked = {.fd = s->fd, .events = POLLIN};
    return s->fd >= 0 && poll(&asked, 1, 0) > 0;
}

static void on_acceptable(evutil_socket_t listening, short what, void *arg)
{
    (void)listening;
    (void)what;
    struct listener *s = arg;
    int n = 0;
    do {
        const int fd = accept_one(s);
        if (fd >= 0) {
            s->on_accept(s->arg, fd);
        } else if (is_out_of_descriptors(errno)) {
            event_del(&s->event);
            timer_start(&s->rest, ACCEPT_REST_MS);
            return;
        } /* else that client left before we came, or another process took it */
    } while (++n < ACCEPTS_A_TURN && has_another(s));
}

static void end_rest(void *arg)
{
    struct listener *s = arg;
    if (event_add(&s->event, NULL) != 0) /* the kernel has no memory for it yet */
        timer_start(&s->rest, ACCEPT_REST_MS);
}

static void free_listener(void *arg)
{
    free(arg);
}

/* Takes `fd`. NULL without memory. */
static struct listener *start(struct loop *l, int fd, void (*on_accept)(void *arg, int fd),
                              void *arg, char *why, size_t why_size)
{
    struct listener *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_size, "out of memory");
        close(fd);
        return NULL;
    }
    s->fd = fd;
    s->port = port_of(fd);
    s->on_accept = on_accept;
    s->arg = arg;
    s->loop = l;
    s->free_job = (struct loop_job){.run = free_listener, .arg = s};
    timer_init(&s->rest, l, end_rest, s);
    event_assign(&s->event, loop_base(l), s->fd, EV_READ | EV_PERSIST, on_acceptable, s);
    event_add(&s->event, NULL);
    return s;
}

struct listener *listener_open(struct loop *l, const char *host, int port,
                               void (*on_accept)(void *arg, int fd), void *arg, char *why,
                               size_t why_size)
{
    const int fd = bind_host(host, port, true, why, why_size);
    return fd < 0 ? NULL : start(l, fd, on_accept, arg, why, why_size);
}

static bool is_listening(int fd)
{
    int listens = 0;
    socklen_t n = sizeof(listens);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens;
}

struct listener *listener_adopt(struct loop *l, int fd, void (*on_accept)(void *arg, int fd),
                                void *arg, char *why, size_t why_size)
{
    if (!is_listening(fd) || port_of(fd) == 0) {
        snprintf(why, why_size, "descriptor %d is no listening TCP socket", fd);
        return NULL;
    }
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0 || fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) != 0) {
        snprintf(why, why_size, "cannot use descriptor %d: %s", fd, strerrordesc_np(errno));
        if (copy >= 0)
            close(copy);
        return NULL;
    }
    struct listener *s = start(l, copy, on_accept, arg, why, why_size);
    if (s)
        s->is_adopted = true;
    return s;
}

int listener_port(const struct listener *s)
{
    return s->port;
}

void listener_drain(struct listener *s)
{
    for (int i = 0; s && !s->is_adopted && i < LISTEN_BACKLOG; i++) {
        const int fd = accept_one(s);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || is_out_of_descriptors(errno)))
            break;
        if (fd >= 0)
            s->on_accept(s->arg, fd);
    }
    listener_close(s);
}

void listener_close(struct listener *s)
{
    if (!s || s->fd < 0)
        return;
    event_del(&s->event);
    timer_done(&s->rest);
    close(s->fd);
    s->fd = -1;
    loop_defer(s->loop, &s->free_job); /* it may be closed from inside on_accept */
}

bool listener_address(struct str text, struct authority *ret)
{
    if (str_ends(text, STR(":0"))) /* no port of a URL */
        text.n -= 2;
    return authority_parse(text, 0, ret) == AUTHORITY_OK;
}

static bool sockaddr_is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24 == 127;
    if (sa->sa_family != AF_INET6)
        return false;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

bool listener_is_loopback(const char *host)
{
    const char *error;
    struct addrinfo *list = look_up(host, 0, &error);
    bool all = list != NULL;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        all = all && sockaddr_is_loopback(a->ai_addr);
    if (list)
        freeaddrinfo(list);
    return all;
}

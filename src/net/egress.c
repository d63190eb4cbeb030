/*
 * Dialling a host or its proxy, and the CONNECT handshake on the bare socket (RFC 9110, 9.3.6).
 */
#include "net/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/dial.h"

#define REQUEST_BYTES_MAX 4096
#define ANSWER_BYTES_MAX  8192 /* the head of the proxy's answer */
#define ERROR_SIZE        96

struct egress_call {
    struct loop *loop;
    const struct egress *egress;
    const char *host;
    int port;
    struct dial *dial; /* NULL once it is over */
    int fd;            /* -1 = not connected */
    struct event event;
    struct timer limit; /* of the CONNECT; dialling has its own */
    int64_t give_up_us;
    struct buf request;
    size_t sent;
    char *answer; /* ANSWER_BYTES_MAX, while the proxy is asked */
    size_t n_answer;
    char error[ERROR_SIZE];
    void (*done)(void *arg, int fd, const char *error);
    void *arg;
    struct loop_job free_job;
};

static bool has_proxy(const struct egress_call *c)
{
    return c->egress->proxy.at.host[0] != '\0';
}

static void free_call(void *arg)
{
    struct egress_call *c = arg;
    free(c->answer);
    free(c);
}

/* The request holds the proxy's password. */
static void wipe_request(struct egress_call *c)
{
    if (c->request.data)
        explicit_bzero(c->request.data, c->request.cap);
    buf_done(&c->request);
}

/* Lets go of everything but the socket; the memory goes at the end of the turn. */
static void tear_down(struct egress_call *c)
{
    if (c->dial)
        dial_cancel(c->dial);
    c->dial = NULL;
    if (c->fd >= 0)
        event_del(&c->event);
    timer_done(&c->limit);
    wipe_request(c);
    loop_defer(c->loop, &c->free_job);
}

static void succeed(struct egress_call *c)
{
    const int fd = c->fd;
    tear_down(c);
    c->done(c->arg, fd, NULL);
}

static void fail(struct egress_call *c, const char *error)
{
    snprintf(c->error, sizeof(c->error), "%s%s", has_proxy(c) ? "proxy: " : "", error);
    tear_down(c);
    if (c->fd >= 0)
        close(c->fd);
    c->done(c->arg, -1, c->error);
}

/* The proxy's answer ---------------------------------------------------------------------- */

static void fail_with_status(struct egress_call *c, int status)
{
    char text[ERROR_SIZE];
    if (status == 407) {
        fail(c, c->egress->proxy.authorization[0] ? "refuses the user and password (407)"
                                                  : "wants a user and password (407)");
        return;
    }
    snprintf(text, sizeof(text), "answered CONNECT with status %d", status);
    fail(c, text);
}

/* 0 when it cannot be one. */
static int status_of(struct str head)
{
    const char *p = head.p;
    if (head.n < 13 || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return 0;
    for (size_t i = 9; i < 12; i++)
        if (p[i] < '0' || p[i] > '9')
            return 0;
    const bool is_over = p[12] == ' ' || p[12] == '\r';
    return is_over ? (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0') : 0;
}

static void judge(struct egress_call *c)
{
    static const char begin[] = "HTTP/1.";
    for (;;) {
        struct str answer = {c->answer, c->n_answer};
        const size_t n = answer.n < sizeof(begin) - 1 ? answer.n : sizeof(begin) - 1;
        if (memcmp(answer.p, begin, n) != 0) {
            fail(c, "its answer is not HTTP/1");
            return;
        }
        const ptrdiff_t end = str_find(answer, STR("\r\n\r\n"));
        if (end < 0 && answer.n == ANSWER_BYTES_MAX)
            fail(c, "the head of its answer is too large");
        if (end < 0)
            return;
        const size_t n_head = (size_t)end + 4;
        const int status = status_of((struct str){answer.p, n_head});
        if (status >= 100 && status < 200 && status != 101) { /* the real answer follows */
            memmove(c->answer, c->answer + n_head, c->n_answer -= n_head);
            continue;
        }
        if (status < 100)
            fail(c, "its answer is not HTTP/1");
        else if (status < 200 || status >= 300)
            fail_with_status(c, status);
        else if (n_head < answer.n)
            fail(c, "sent bytes of its own behind its answer"); /* the host speaks after us */
        else
            succeed(c);
        return;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct egress_call *c = arg;
    const ssize_t n = recv(fd, c->answer + c->n_answer, ANSWER_BYTES_MAX - c->n_answer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail(c, n == 0 ? "closed the connection" : strerrordesc_np(errno));
        return;
    }
    c->n_answer += (size_t)n;
    judge(c);
}

/* Asking ---------------------------------------------------------------------------------- */

static bool write_request(struct egress_call *c)
{
    const bool is_v6 = strchr(c->host, ':') != NULL;
    const char *open = is_v6 ? "[" : "", *close_ = is_v6 ? "]" : "";
    const char *authorization = c->egress->proxy.authorization;
    buf_printf(&c->request, "CONNECT %s%s%s:%d HTTP/1.1\r\nHost: %s%s%s:%d\r\n", open, c->host,
               close_, c->port, open, c->host, close_, c->port);
    if (authorization[0])
        buf_printf(&c->request, "Proxy-Authorization: %s\r\n", authorization);
    buf_append_z(&c->request, "\r\n");
    return !c->request.failed;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct egress_call *c = arg;
    const ssize_t n = send(fd, c->request.data + c->sent, c->request.len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(c, strerrordesc_np(errno));
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent < c->request.len)
        return;
    event_del(&c->event);
    wipe_request(c);
    event_assign(&c->event, loop_base(c->loop), fd, EV_READ | EV_PERSIST, on_readable, c);
    if (event_add(&c->event, NULL) != 0)
        fail(c, "out of memory");
}

static void on_limit(void *arg)
{
    fail(arg, "did not answer CONNECT in time");
}

static void ask_for_tunnel(struct egress_call *c)
{
    const int64_t left_ms = (c->give_up_us - loop_now_us(c->loop)) / 1000;
    event_assign(&c->event, loop_base(c->loop), c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    timer_start(&c->limit, left_ms > 1 ? left_ms : 1);
    c->answer = malloc(ANSWER_BYTES_MAX);
    if (event_add(&c->event, NULL) != 0 || !c->answer || !write_request(c))
        fail(c, "out of memory");
}

static void on_dialled(void *arg, int fd, const char *error)
{
    struct egress_call *c = arg;
    c->dial = NULL;
    if (fd < 0) {
        fail(c, error);
        return;
    }
    if (has_proxy(c) && c->egress->tunnels) {
        c->fd = fd;
        ask_for_tunnel(c);
        return;
    }
    tear_down(c);
    c->done(c->arg, fd, NULL);
}

/* The face -------------------------------------------------------------------------------- */

struct egress_call *egress_start(struct loop *l, struct resolver *r, const struct egress *e,
                                 const char *host, int port, int64_t timeout_ms,
                                 void (*done)(void *arg, int fd, const char *error), void *arg)
{
    struct egress_call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = l;
    c->egress = e;
    c->host = host;
    c->port = port;
    c->fd = -1;
    c->give_up_us = loop_now_us(l) + timeout_ms * 1000;
    c->done = done;
    c->arg = arg;
    c->free_job = (struct loop_job){.run = free_call, .arg = c};
    buf_init(&c->request, REQUEST_BYTES_MAX);
    timer_init(&c->limit, l, on_limit, c);
    const struct dial_target target = {
        .host = has_proxy(c) ? e->proxy.at.host : host,
        .port = has_proxy(c) ? e->proxy.at.port : port,
        .from = e->from.len > 0 ? &e->from : NULL,
    };
    c->dial = dial_start(l, r, &target, timeout_ms, on_dialled, c);
    if (!c->dial) {
        timer_done(&c->limit);
        free(c);
        return NULL;
    }
    return c;
}

void egress_cancel(struct egress_call *c)
{
    tear_down(c);
    if (c->fd >= 0)
        close(c->fd);
}

bool egress_parse_address(const char *text, struct resolver_address *ret, char *why,
                          size_t why_size)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    *ret = (struct resolver_address){.len = 0};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&ret->sa, &v4, sizeof(v4));
        ret->len = sizeof(v4);
    } else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
        memcpy(&ret->sa, &v6, sizeof(v6));
        ret->len = sizeof(v6);
    } else {
        snprintf(why, why_size, "is no IPv4 or IPv6 address");
        return false;
    }
    const int fd = socket(ret->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_fine = fd >= 0 && bind(fd, (const struct sockaddr *)&ret->sa, ret->len) == 0;
    if (!is_fine)
        snprintf(why, why_size, "cannot be bound: %s", strerrordesc_np(errno));
    if (fd >= 0)
        close(fd);
    return is_fine;
}

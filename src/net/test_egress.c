/*
 * The way out through a proxy that does what a script says, from a chosen local address, and
 * directly.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/channel.h"
#include "net/egress.h"
#include "net/listener.h"

#define TIMEOUT_MS 400
#define GIVE_UP_MS 10000

enum then { STAY, CLOSE, RESET };

/* What the proxy does once it has been asked. */
struct script {
    const char *answer;
    bool is_dribbled; /* a byte a millisecond */
    enum then then;
    const char *error; /* what comes of it; NULL = a tunnel */
};

struct scene {
    struct loop *loop;
    struct resolver *resolver;
    struct listener *listener;
    struct channel proxy; /* its side of the connection */
    struct sockaddr_in seen_from;
    const struct script *script;
    size_t n_said;
    char asked[2048];
    size_t n_asked;
    struct timer drip, give_up;
    struct egress egress;
    struct egress_call *call;
    bool is_over;
    int fd;
    char error[128];
};

static void on_give_up(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for %d ms", GIVE_UP_MS);
}

static void proxy_leaves(struct scene *s)
{
    struct linger hard = {.l_onoff = 1};
    if (s->script->then == RESET)
        setsockopt(s->proxy.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    if (s->script->then != STAY)
        channel_close(&s->proxy);
}

static void on_drip(void *arg)
{
    struct scene *s = arg;
    if (channel_is_closed(&s->proxy))
        return;
    if (!s->script->answer[s->n_said]) {
        proxy_leaves(s);
        return;
    }
    channel_write(&s->proxy, s->script->answer + s->n_said++, 1);
    timer_start(&s->drip, 1);
}

static void proxy_answers(struct scene *s)
{
    if (s->script->is_dribbled) {
        timer_start(&s->drip, 1);
        return;
    }
    channel_write(&s->proxy, s->script->answer, strlen(s->script->answer));
    proxy_leaves(s);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct scene *s = arg;
    assert_true(s->n_asked + n < sizeof(s->asked));
    memcpy(s->asked + s->n_asked, p, n);
    s->n_asked += n;
    if (s->n_asked >= 4 && memcmp(s->asked + s->n_asked - 4, "\r\n\r\n", 4) == 0)
        proxy_answers(s);
}

static void on_end(void *arg, enum channel_end why)
{
    (void)why;
    struct scene *s = arg;
    channel_close(&s->proxy);
}

static void on_accept(void *arg, int fd)
{
    static const struct channel_callbacks callbacks = {NULL, on_data, NULL, on_end};
    struct scene *s = arg;
    socklen_t n = sizeof(s->seen_from);
    getpeername(fd, (struct sockaddr *)&s->seen_from, &n);
    channel_open(&s->proxy, s->loop, fd, NULL, 1 << 20, &callbacks, s);
}

static void on_done(void *arg, int fd, const char *error)
{
    struct scene *s = arg;
    assert_false(s->is_over);
    s->is_over = true;
    s->fd = fd;
    snprintf(s->error, sizeof(s->error), "%s", error ? error : "");
    loop_stop(s->loop);
}

static void scene_init(struct scene *s, const struct script *script)
{
    char why[256];
    *s = (struct scene){.script = script, .fd = -1};
    s->loop = loop_create();
    s->resolver = resolver_create();
    s->listener = listener_open(s->loop, "127.0.0.1", 0, on_accept, s, why, sizeof(why));
    assert_non_null(s->listener);
    timer_init(&s->drip, s->loop, on_drip, s);
    timer_init(&s->give_up, s->loop, on_give_up, s);
    timer_start(&s->give_up, GIVE_UP_MS);
}

static void scene_use_proxy(struct scene *s, const char *user)
{
    char url[128], why[160];
    snprintf(url, sizeof(url), "http://%s127.0.0.1:%d", user, listener_port(s->listener));
    assert_true(proxy_parse(str_of(url), &s->egress.proxy, why, sizeof(why)));
    s->egress.tunnels = true;
}

static void scene_start(struct scene *s, const char *host, int port)
{
    s->call = egress_start(s->loop, s->resolver, &s->egress, host, port, TIMEOUT_MS, on_done, s);
    assert_non_null(s->call);
    assert_false(s->is_over);
}

static void scene_done(struct scene *s)
{
    if (s->fd >= 0)
        close(s->fd);
    channel_close(&s->proxy);
    timer_done(&s->drip);
    timer_done(&s->give_up);
    listener_close(s->listener);
    loop_destroy(s->loop);
    resolver_destroy(s->resolver);
}

#define FILLER_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define FILLER_1K                                                                                  \
    FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64      \
        FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64 FILLER_64
#define FILLER_8K FILLER_1K FILLER_1K FILLER_1K FILLER_1K FILLER_1K FILLER_1K FILLER_1K FILLER_1K

static const struct script scripts[] = {
    {"HTTP/1.1 200 Connection established\r\n\r\n", false, STAY, NULL},
    {"HTTP/1.0 200 OK\r\nVia: 1.0 proxy\r\nProxy-Agent: x\r\n\r\n", false, STAY, NULL},
    {"HTTP/1.1 200\r\n\r\n", false, STAY, NULL},
    {"HTTP/1.1 204 No Content\r\n\r\n", false, STAY, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, STAY, NULL}, /* has no meaning here */
    {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false, STAY, NULL},
    {"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n", true, STAY, NULL},
    {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"
     "Content-Length: 4\r\n\r\nnope",
     false, STAY, "proxy: wants a user and password (407)"},
    {"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", false, CLOSE,
     "proxy: answered CONNECT with status 502"},
    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", true, STAY, "proxy: answered CONNECT with status 502"},
    {"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n", false, STAY,
     "proxy: answered CONNECT with status 301"},
    {"HTTP/1.1 101 Switching\r\n\r\n", false, STAY, "proxy: answered CONNECT with status 101"},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"\x15\x03\x01", false, STAY, "proxy: its answer is not HTTP/1"},
    {"HTTP/2 200 OK\r\n\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"HTTP/1.1 20 OK\r\n\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"HTTP/1.1 2000 OK\r\n\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"HTTP/1.1 099 OK\r\n\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"HTTP/1.\r\n\r\n", false, STAY, "proxy: its answer is not HTTP/1"},
    {"H", false, STAY, "proxy: did not answer CONNECT in time"},
    {"", false, STAY, "proxy: did not answer CONNECT in time"},
    {"HTTP/1.1 200 OK\r\n", false, STAY, "proxy: did not answer CONNECT in time"},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, STAY, "proxy: did not answer CONNECT in time"},
    {"", false, CLOSE, "proxy: closed the connection"},
    {"HTTP/1.1 200 OK\r\nX", false, CLOSE, "proxy: closed the connection"},
    {"", false, RESET, "proxy: Connection reset by peer"},
    {"HTTP/1.1 200 OK\r\n\r\nhello", false, STAY, "proxy: sent bytes of its own behind its answer"},
    {"HTTP/1.1 200 OK\r\nX: " FILLER_8K "\r\n\r\n", false, STAY,
     "proxy: the head of its answer is too large"},
};

static bool is_fine(struct scene *s)
{
    char got[8] = "";
    channel_write(&s->proxy, "hello", 5);
    for (int i = 0; i < 100 && recv(s->fd, got, 5, MSG_PEEK) < 5; i++)
        usleep(1000);
    return s->fd >= 0 && recv(s->fd, got, 5, 0) == 5 && strcmp(got, "hello") == 0;
}

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(scripts); i++) {
        struct scene s;
        scene_init(&s, &scripts[i]);
        scene_use_proxy(&s, "");
        scene_start(&s, "upstream.example", 443);
        while (!s.is_over)
            loop_run(s.loop);
        assert_string_equal(s.asked, "CONNECT upstream.example:443 HTTP/1.1\r\n"
                                     "Host: upstream.example:443\r\n\r\n");
        if (strcmp(s.error, scripts[i].error ? scripts[i].error : "") != 0)
            fail_msg("script %zu: \"%s\"", i, s.error);
        assert_int_equal(s.fd >= 0, scripts[i].error == NULL);
        if (s.fd >= 0)
            assert_true(is_fine(&s));
        scene_done(&s);
    }
}

static void test_password(void **state)
{
    (void)state;
    static const struct script script = {"HTTP/1.1 407 No\r\n\r\n", false, STAY, NULL};
    struct scene s;
    scene_init(&s, &script);
    scene_use_proxy(&s, "user:p%40ss@");
    scene_start(&s, "2001:db8::1", 8443);
    while (!s.is_over)
        loop_run(s.loop);
    assert_string_equal(s.asked, "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\n"
                                 "Host: [2001:db8::1]:8443\r\n"
                                 "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
    assert_string_equal(s.error, "proxy: refuses the user and password (407)");
    scene_done(&s);
}

static void test_refused(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, &scripts[0]);
    scene_use_proxy(&s, "");
    listener_close(s.listener);
    s.listener = NULL;
    scene_start(&s, "upstream.example", 443);
    while (!s.is_over)
        loop_run(s.loop);
    assert_string_equal(s.error, "proxy: Connection refused");
    scene_done(&s);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* Cancelled while dialling and while the proxy is silent: nothing is called, nothing leaks. */
static void test_cancel(void **state)
{
    (void)state;
    static const struct script silence = {"", false, STAY, NULL};
    for (int ms = 0; ms <= 50; ms += 50) {
        struct scene s;
        struct timer soon;
        scene_init(&s, &silence);
        scene_use_proxy(&s, "");
        timer_init(&soon, s.loop, stop_loop, s.loop);
        scene_start(&s, "upstream.example", 443);
        if (ms > 0) {
            timer_start(&soon, ms);
            loop_run(s.loop);
            assert_true(s.n_asked > 0);
        }
        egress_cancel(s.call);
        timer_start(&soon, 50);
        loop_run(s.loop);
        assert_false(s.is_over);
        timer_done(&soon);
        scene_done(&s);
    }
}

/* Without a proxy the host itself is dialled, from the address that was asked for. */
static void test_directly_from_an_address(void **state)
{
    (void)state;
    static const struct script silence = {"", false, STAY, NULL};
    struct scene s;
    char why[128] = "";
    scene_init(&s, &silence);
    assert_true(egress_parse_address("127.0.0.7", &s.egress.from, why, sizeof(why)));
    scene_start(&s, "localhost", listener_port(s.listener)); /* ::1 is passed over */
    while (!s.is_over || channel_is_closed(&s.proxy))
        loop_run(s.loop);
    assert_true(s.fd >= 0);
    assert_string_equal(inet_ntoa(s.seen_from.sin_addr), "127.0.0.7");
    scene_done(&s);
}

static void test_other_family(void **state)
{
    (void)state;
    struct scene s;
    char why[128] = "";
    scene_init(&s, &scripts[0]);
    assert_true(egress_parse_address("127.0.0.1", &s.egress.from, why, sizeof(why)));
    scene_start(&s, "::1", listener_port(s.listener));
    while (!s.is_over)
        loop_run(s.loop);
    assert_int_equal(s.fd, -1);
    assert_string_equal(s.error, "no address of the local address's family");
    scene_done(&s);
}

static void test_addresses(void **state)
{
    (void)state;
    struct resolver_address a;
    char why[128] = "";
    assert_true(egress_parse_address("127.0.0.1", &a, why, sizeof(why)));
    assert_false(egress_parse_address("localhost", &a, why, sizeof(why)));
    assert_string_equal(why, "is no IPv4 or IPv6 address");
    assert_false(egress_parse_address("192.0.2.1", &a, why, sizeof(why))); /* TEST-NET: nobody's */
    assert_non_null(strstr(why, "cannot be bound: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_directly_from_an_address),
        cmocka_unit_test(test_other_family),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Listening sockets: their addresses, sockets that were handed over, what waits when one closes.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "net/listener.h"

static void reads_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host; /* NULL: refused */
        int port;
    } cases[] = {
        {"127.0.0.1:9090", "127.0.0.1", 9090},
        {"[::1]:0", "::1", 0},
        {"[2001:DB8::1]:65535", "2001:db8::1", 65535},
        {"LocalHost:0", "localhost", 0},
        {"metrics.example:1", "metrics.example", 1},
        {"0.0.0.0:80", "0.0.0.0", 80},
        {"localhost", "localhost", 0},
        {"", NULL, 0},
        {":9090", NULL, 0},
        {":0", NULL, 0},
        {"[]:1", NULL, 0},
        {"[::1:1", NULL, 0},
        {"[::1]1", NULL, 0},
        {"[127.0.0.1]:1", NULL, 0},
        {"::1:9090", NULL, 0},
        {"localhost:", NULL, 0},
        {"localhost:65536", NULL, 0},
        {"localhost:-1", NULL, 0},
        {"localhost:0:0", NULL, 0},
        {"local host:1", NULL, 0},
        {"http://localhost:1", NULL, 0},
        {"localhost:1/metrics", NULL, 0},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct authority at;
        const bool is_fine = listener_address(str_of(cases[i].text), &at);
        if (is_fine != (cases[i].host != NULL))
            fail_msg("\"%s\" should be %s", cases[i].text, cases[i].host ? "taken" : "refused");
        if (!is_fine)
            continue;
        assert_string_equal(at.host, cases[i].host);
        assert_int_equal(at.port, cases[i].port);
    }
}

static void knows_loopback(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1",
                                           "localhost"};
    static const char *const others[] = {
        "0.0.0.0", "::",          "192.0.2.1",           "::ffff:192.0.2.1",
        "fe80::1", "2001:db8::1", "no-such-host.invalid"};
    for (size_t i = 0; i < PX_ARRAY_LEN(loopback); i++)
        assert_true(listener_is_loopback(loopback[i]));
    for (size_t i = 0; i < PX_ARRAY_LEN(others); i++)
        assert_false(listener_is_loopback(others[i]));
}

/* A loop that ends when `n_awaited` connections were accepted. */
struct scene {
    struct loop *loop;
    int accepted[4];
    size_t n_accepted, n_awaited;
    struct timer give_up;
    bool has_given_up;
};

static void give_up(void *arg)
{
    struct scene *s = arg;
    s->has_given_up = true;
    loop_stop(s->loop);
}

static void on_accept(void *arg, int fd)
{
    struct scene *s = arg;
    assert_true(s->n_accepted < PX_ARRAY_LEN(s->accepted));
    s->accepted[s->n_accepted++] = fd;
    if (s->n_accepted == s->n_awaited)
        loop_stop(s->loop);
}

static void scene_init(struct scene *s)
{
    *s = (struct scene){.loop = loop_create()};
    assert_non_null(s->loop);
    timer_init(&s->give_up, s->loop, give_up, s);
}

static void await(struct scene *s, size_t n)
{
    s->n_awaited = n;
    timer_start(&s->give_up, 5000);
    loop_run(s->loop);
    timer_stop(&s->give_up);
    assert_false(s->has_given_up);
    assert_int_equal(s->n_accepted, n);
}

static void scene_done(struct scene *s)
{
    for (size_t i = 0; i < s->n_accepted; i++)
        close(s->accepted[i]);
    timer_done(&s->give_up);
    loop_destroy(s->loop);
}

static int connect_to(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* As a service manager hands it over: it blocks, and a child would inherit it. */
static int make_socket(bool listens)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    if (listens)
        assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static struct listener *open_own(struct scene *s)
{
    char why[128];
    struct listener *l = listener_open(s->loop, "127.0.0.1", 0, on_accept, s, why, sizeof(why));
    assert_non_null(l);
    return l;
}

static struct listener *adopt(struct scene *s, int fd)
{
    char why[128] = "";
    struct listener *l = listener_adopt(s->loop, fd, on_accept, s, why, sizeof(why));
    if (!l)
        fail_msg("%s", why);
    assert_true(listener_port(l) > 0);
    return l;
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
    return value;
}

static void assert_is_tuned(int fd)
{
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 15);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
}

static void tunes_what_it_accepts(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    struct listener *own = open_own(&s);
    const int one = connect_to(listener_port(own));
    await(&s, 1);
    const int handed_over = make_socket(true);
    struct sockaddr_in at;
    socklen_t n = sizeof(at);
    assert_int_equal(getsockname(handed_over, (struct sockaddr *)&at, &n), 0);
    const int early = connect_to(ntohs(at.sin_port)); /* what started the service, say */
    struct listener *adopted = adopt(&s, handed_over);
    await(&s, 2);
    assert_is_tuned(s.accepted[0]);
    assert_is_tuned(s.accepted[1]);
    listener_close(own);
    listener_close(adopted);
    close(one);
    close(early);
    close(handed_over);
    scene_done(&s);
}

/* Those who wait are taken in one turn, whoever they are. */
static void takes_a_burst_in_one_turn(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    struct listener *l = open_own(&s);
    int clients[3];
    for (size_t i = 0; i < PX_ARRAY_LEN(clients); i++)
        clients[i] = connect_to(listener_port(l));
    s.n_awaited = 1; /* ends the loop, but not the turn */
    timer_start(&s.give_up, 5000);
    loop_run(s.loop);
    assert_int_equal(s.n_accepted, 3);
    listener_close(l);
    for (size_t i = 0; i < PX_ARRAY_LEN(clients); i++)
        close(clients[i]);
    scene_done(&s);
}

static void serves_from_a_copy_of_what_was_handed_over(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    const int fd = make_socket(true);
    struct listener *one = adopt(&s, fd), *other = adopt(&s, fd);
    assert_int_equal(listener_port(one), listener_port(other));
    const int client = connect_to(listener_port(one));
    await(&s, 1);
    assert_true(fcntl(s.accepted[0], F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(s.accepted[0], F_GETFL) & O_NONBLOCK);
    listener_close(one);
    const int later = connect_to(listener_port(other)); /* the socket lives on */
    await(&s, 2);
    listener_close(other);
    const int last = connect_to(listener_port(other));
    for (const int *p = (const int[]){client, later, last, fd, -1}; *p >= 0; p++)
        close(*p);
    scene_done(&s);
}

static void leaves_what_waits_at_an_adopted_socket_to_its_owner(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    const int fd = make_socket(true);
    struct listener *l = adopt(&s, fd);
    const int client = connect_to(listener_port(l));
    listener_drain(l);
    assert_int_equal(s.n_accepted, 0);
    const int accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    close(fd);
    scene_done(&s);
}

static void takes_what_waits_at_its_own_socket(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    char why[128];
    struct listener *l = open_own(&s);
    const int port = listener_port(l), one = connect_to(port), other = connect_to(port);
    assert_false(listener_port_is_free("127.0.0.1", port, why, sizeof(why)));
    assert_non_null(strstr(why, "Address already in use"));
    listener_drain(l);
    listener_drain(NULL);
    listener_close(NULL);
    assert_int_equal(s.n_accepted, 2);
    close(one);
    close(other);
    scene_done(&s);
}

static void refuses_what_is_no_listening_socket(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    char why[128], path[] = "/tmp/listener-test-XXXXXX";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int silent = make_socket(false), file = mkstemp(path);
    struct sockaddr_un at = {.sun_family = AF_UNIX}; /* no path: the kernel names it */
    const int local = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(local, (const struct sockaddr *)&at, sizeof(at.sun_family)), 0);
    assert_int_equal(listen(local, 1), 0);
    const int fds[] = {silent, ends[0], file, local, -1, 9999};
    for (size_t i = 0; i < PX_ARRAY_LEN(fds); i++) {
        why[0] = '\0';
        assert_null(listener_adopt(s.loop, fds[i], on_accept, &s, why, sizeof(why)));
        assert_non_null(strstr(why, "no listening TCP socket"));
    }
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    close(ends[1]);
    unlink(path);
    scene_done(&s);
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s);
    char why[256];
    static const char *const hosts[] = {"no-such-host.invalid", "192.0.2.1"};
    for (size_t i = 0; i < PX_ARRAY_LEN(hosts); i++) {
        assert_null(listener_open(s.loop, hosts[i], 0, on_accept, &s, why, sizeof(why)));
        assert_non_null(strstr(why, hosts[i]));
    }
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(knows_loopback),
        cmocka_unit_test(tunes_what_it_accepts),
        cmocka_unit_test(takes_a_burst_in_one_turn),
        cmocka_unit_test(serves_from_a_copy_of_what_was_handed_over),
        cmocka_unit_test(leaves_what_waits_at_an_adopted_socket_to_its_owner),
        cmocka_unit_test(takes_what_waits_at_its_own_socket),
        cmocka_unit_test(refuses_what_is_no_listening_socket),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Channels over real sockets on loopback, plain and TLS: whole transfers, back-pressure, ends.
 */
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
#include "net/dial.h"
#include "net/listener.h"

#define BIG        (12u << 20)
#define GIVE_UP_MS 10000

struct side {
    struct channel channel;
    size_t got, n_reads;
    uint32_t sum;
    bool is_open, is_drained, is_ended;
    enum channel_end why;
};

struct pair {
    struct loop *loop;
    struct resolver *resolver;
    struct listener *listener;
    struct tls_context *server_tls, *client_tls;
    const char *verify_name;
    struct side server, client;
    struct timer give_up;
    size_t out_max;
    size_t stop_at; /* ends the loop when the server has got so many bytes */
};

static struct pair *current;

static void on_open(void *arg)
{
    ((struct side *)arg)->is_open = true;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct side *s = arg;
    for (size_t i = 0; i < n; i++)
        s->sum = s->sum * 31 + (unsigned char)p[i];
    s->got += n;
    s->n_reads++;
    if (current->stop_at && current->server.got >= current->stop_at)
        loop_stop(current->loop);
}

static void on_drain(void *arg)
{
    ((struct side *)arg)->is_drained = true;
}

static void on_end(void *arg, enum channel_end why)
{
    struct side *s = arg;
    s->is_ended = true;
    s->why = why;
    loop_stop(current->loop);
}

static const struct channel_callbacks callbacks = {on_open, on_data, on_drain, on_end};

static void on_accept(void *arg, int fd)
{
    struct pair *p = arg;
    struct tls *tls = p->server_tls ? tls_server(p->server_tls) : NULL;
    channel_open(&p->server.channel, p->loop, fd, tls, p->out_max, &callbacks, &p->server);
    loop_stop(p->loop);
}

static void on_dialled(void *arg, int fd, const char *error)
{
    struct pair *p = arg;
    if (fd < 0)
        fail_msg("dial: %s", error);
    struct tls *tls = p->client_tls ? tls_client(p->client_tls, p->verify_name, true) : NULL;
    channel_open(&p->client.channel, p->loop, fd, tls, p->out_max, &callbacks, &p->client);
    loop_stop(p->loop);
}

static void on_give_up(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for %d ms", GIVE_UP_MS);
}

/* Connects both ends; with `cert` over TLS. */
static void pair_init(struct pair *p, const char *cert, const char *verify_name)
{
    char why[256];
    *p = (struct pair){.verify_name = verify_name, .out_max = 16u << 20};
    current = p;
    p->loop = loop_create();
    p->resolver = resolver_create();
    timer_init(&p->give_up, p->loop, on_give_up, p);
    timer_start(&p->give_up, GIVE_UP_MS);
    if (cert) {
        const struct tls_server_options options = {
            .cert_file = cert, .key_file = cert, .offers_h2 = true};
        p->server_tls = tls_server_context(&options, why, sizeof(why));
        if (!p->server_tls)
            fail_msg("%s", why);
        p->client_tls = tls_client_context(cert, why, sizeof(why));
        assert_non_null(p->client_tls);
    }
    p->listener = listener_open(p->loop, "127.0.0.1", 0, on_accept, p, why, sizeof(why));
    assert_non_null(p->listener);
    const struct dial_target target = {"localhost", listener_port(p->listener), NULL};
    assert_non_null(dial_start(p->loop, p->resolver, &target, 5000, on_dialled, p));
    while (channel_is_closed(&p->client.channel) || channel_is_closed(&p->server.channel))
        loop_run(p->loop);
}

static void pair_done(struct pair *p)
{
    channel_close(&p->server.channel);
    channel_close(&p->client.channel);
    listener_close(p->listener);
    timer_done(&p->give_up);
    resolver_destroy(p->resolver);
    tls_context_destroy(p->server_tls);
    tls_context_destroy(p->client_tls);
    loop_destroy(p->loop);
}

/* A self-signed certificate for "localhost" with its key, made by the openssl command. */
static const char *make_cert(void)
{
    static char path[64];
    if (path[0])
        return path;
    snprintf(path, sizeof(path), "/tmp/px-test-cert-%d.pem", (int)getpid());
    char command[1024];
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s.key -out %s.crt "
             "2>/dev/null && cat %s.key %s.crt > %s && rm %s.key %s.crt",
             path, path, path, path, path, path, path);
    assert_int_equal(system(command), 0);
    return path;
}

static uint32_t sum_of(const char *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

/* 12 MB in odd pieces, while the reader is paused for a while: all of it arrives, in order. */
static void transfer(const char *cert)
{
    struct pair p;
    pair_init(&p, cert, "localhost");
    char *big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    channel_pause(&p.server.channel);
    for (size_t at = 0; at < BIG;) {
        size_t n = 1 + (at * 7919) % 60000;
        n = n > BIG - at ? BIG - at : n;
        channel_write(&p.client.channel, big + at, n);
        at += n;
    }
    assert_true(channel_waiting(&p.client.channel) > 0);
    channel_resume(&p.server.channel);
    p.stop_at = BIG;
    loop_run(p.loop);
    assert_int_equal(p.server.got, BIG);
    assert_int_equal(p.server.sum, sum_of(big, BIG));
    assert_true(p.client.is_drained);
    assert_int_equal(channel_waiting(&p.client.channel), 0);
    channel_close(&p.client.channel);
    loop_run(p.loop);
    assert_true(p.server.is_ended);
    assert_int_equal(p.server.why, CHANNEL_EOF);
    free(big);
    pair_done(&p);
}

static void test_transfer_plain(void **state)
{
    (void)state;
    transfer(NULL);
}

static void test_transfer_tls(void **state)
{
    (void)state;
    transfer(make_cert());
}

/* Who is behind finds many records: they come up together. */
static void test_small_records_are_one_read(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, make_cert(), "localhost");
    p.stop_at = 1;
    channel_write(&p.client.channel, "x", 1); /* waits for the handshake */
    loop_run(p.loop);
    assert_int_equal(p.server.n_reads, 1);
    for (int i = 0; i < 100; i++)
        channel_write(&p.client.channel, "0123456789", 10);
    p.stop_at = 1001;
    loop_run(p.loop);
    assert_int_equal(p.server.got, 1001);
    assert_int_equal(p.server.n_reads, 2);
    pair_done(&p);
}

static void test_alpn_settles_h2(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, make_cert(), "localhost");
    channel_write(&p.client.channel, "x", 1); /* before the handshake: kept */
    p.stop_at = 1;
    loop_run(p.loop);
    assert_true(str_eq(channel_alpn(&p.client.channel), STR("h2")));
    assert_true(str_eq(channel_alpn(&p.server.channel), STR("h2")));
    pair_done(&p);
}

static void test_wrong_name_is_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, make_cert(), "example.org");
    loop_run(p.loop);
    while (!p.client.is_ended)
        loop_run(p.loop);
    assert_int_equal(p.client.why, CHANNEL_TLS_ERROR);
    assert_non_null(strstr(channel_tls_reason(&p.client.channel), "hostname mismatch"));
    pair_done(&p);
}

static void test_reset_is_an_end(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, NULL);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p.client.channel.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    channel_close(&p.client.channel);
    loop_run(p.loop);
    assert_true(p.server.is_ended);
    assert_int_equal(p.server.why, CHANNEL_RESET);
    pair_done(&p);
}

static void test_overflow_is_told_later(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, NULL);
    channel_pause(&p.server.channel);
    p.client.channel.out.max = 4096;
    char *big = calloc(1, 16u << 20);
    channel_write(&p.client.channel, big, 16u << 20);
    assert_false(p.client.is_ended); /* never from inside the call */
    loop_run(p.loop);
    assert_true(p.client.is_ended);
    assert_int_equal(p.client.why, CHANNEL_OVERFLOW);
    free(big);
    pair_done(&p);
}

/* The peer reads the whole last answer although it keeps sending. */
static void test_close_after_flush(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, NULL, NULL);
    channel_write(&p.client.channel, "request", 7);
    p.stop_at = 7;
    loop_run(p.loop);
    p.stop_at = 0;
    channel_write(&p.server.channel, "answer", 6);
    channel_close_after_flush(&p.server.channel);
    channel_write(&p.client.channel, "more", 4);
    loop_run(p.loop);
    assert_true(p.client.is_ended);
    assert_int_equal(p.client.why, CHANNEL_EOF);
    assert_int_equal(p.client.got, 6);
    assert_int_equal(p.server.got, 7); /* what came after the answer was thrown away */
    channel_close(&p.client.channel);
    loop_run(p.loop);
    assert_true(p.server.is_ended);
    pair_done(&p);
}

static void on_data_echo(void *arg, const char *p, size_t n)
{
    struct side *s = arg;
    channel_write(&s->channel, p, n);
}

static void stop_loop(void *arg)
{
    loop_stop(((struct pair *)arg)->loop);
}

/* Sockets that are always ready must not keep put-off work from its turn. */
static void test_busy_sockets_starve_no_job(void **state)
{
    (void)state;
    static const struct channel_callbacks echo = {on_open, on_data_echo, on_drain, on_end};
    struct pair p;
    pair_init(&p, NULL, NULL);
    p.server.channel.cb = p.client.channel.cb = &echo;
    channel_write(&p.client.channel, "x", 1);
    struct loop_job job = {.run = stop_loop, .arg = &p};
    for (int i = 0; i < 1000; i++) {
        loop_defer(p.loop, &job);
        loop_run(p.loop);
    }
    pair_done(&p);
}

static int remove_cert(void **state)
{
    (void)state;
    return unlink(make_cert());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfer_plain),
        cmocka_unit_test(test_transfer_tls),
        cmocka_unit_test(test_small_records_are_one_read),
        cmocka_unit_test(test_alpn_settles_h2),
        cmocka_unit_test(test_wrong_name_is_refused),
        cmocka_unit_test(test_reset_is_an_end),
        cmocka_unit_test(test_overflow_is_told_later),
        cmocka_unit_test(test_close_after_flush),
        cmocka_unit_test(test_busy_sockets_starve_no_job),
    };
    return cmocka_run_group_tests(tests, NULL, remove_cert);
}

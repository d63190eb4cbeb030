/*
 * Calls over HTTP/1.1 against a server that behaves and misbehaves as each test says: answers of
 * every framing, connections lost at every moment, silence.
 */
#include "upstream/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Framing --------------------------------------------------------------------------------- */

static char last_request[2048];

static void answer_ok(struct h1_peer *p, struct str text)
{
    snprintf(last_request, sizeof(last_request), "%.*s", STR_ARG(text));
    peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Mixed-CASE: Value\r\n\r\nhello");
}

static void test_sized(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_ok);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_answer(&p, 200, "hello");
    assert_string_equal(p.headers, "content-length: 5\nx-mixed-case: Value\n");
    char expected[512];
    snprintf(expected, sizeof(expected),
             "POST /pre/fix/v1/messages HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
             "content-type: application/json\r\nx-api-key: test-key\r\ncontent-length: 2\r\n\r\n{}",
             h1_server_port(&f.server));
    assert_string_equal(last_request, expected);
    probe_done(&p);
    h1_finish(&f);
}

static void answer_by_number(struct h1_peer *p, struct str text)
{
    (void)text;
    switch (p->server->n_requests) {
    case 1:
        peer_say(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n");
        return;
    case 2:
        peer_say(p, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
                    "HTTP/1.1 204 No Content\r\n\r\n");
        return;
    case 3:
        peer_say(p, "HTTP/1.1 529 Overloaded\r\ncontent-length: 0\r\n\r\n");
        return;
    default:
        peer_say(p, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
        peer_close(p);
    }
}

static void test_framings_on_one_connection(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } expected[] = {{200, "abcde"}, {204, ""}, {529, ""}, {200, "until the end"}};
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_by_number);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(expected); i++) {
        call_once(&f.world, &p);
        assert_answer(&p, expected[i].status, expected[i].body);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    h1_finish(&f);
}

static void answer_head(struct h1_peer *p, struct str text)
{
    if (str_starts(text, STR("HEAD ")))
        peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n");
    else
        answer_ok(p, text);
}

static void test_head_request(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {0};
    h1_begin(&f, answer_head);
    world_connect(&f.world);
    struct upstream_request r = {
        .method = STR("HEAD"), .path = STR("/v1/models"), .idle_timeout_ms = 1000};
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "");
    probe_done(&p);
    call_once(&f.world, &p);
    assert_answer(&p, 200, "hello");
    assert_int_equal(f.server.n_peers, 1);
    probe_done(&p);
    h1_finish(&f);
}

/* Faults ---------------------------------------------------------------------------------- */

static void close_at_once(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_close(p);
}

static void test_fresh_connection_closed(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, close_at_once);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 1); /* never sent twice */
    probe_done(&p);
    h1_finish(&f);
}

/* Answers the first request of each connection, ends it at the second. */
static void answer_once(struct h1_peer *p, struct str text)
{
    if (p->n_requests == 1)
        answer_ok(p, text);
    else
        peer_reset(p);
}

static void test_stale_connection_is_retried(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_once);
    world_connect(&f.world);
    for (int i = 0; i < 5; i++) {
        call_once(&f.world, &p);
        assert_answer(&p, 200, "hello");
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 5);
    assert_int_equal(f.server.n_requests, 9); /* all but the first were sent twice */
    h1_finish(&f);
}

/* The first request ever is answered; after that nobody is. */
static void answer_first_only(struct h1_peer *p, struct str text)
{
    if (p->server->n_requests == 1)
        answer_ok(p, text);
    else
        peer_close(p);
}

static void test_retried_once_only(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_first_only);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 3);
    probe_done(&p);
    h1_finish(&f);
}

/* A byte of an answer came: the request was seen, it must not be sent again. */
static void answer_then_break_off(struct h1_peer *p, struct str text)
{
    if (p->n_requests == 1) {
        answer_ok(p, text);
        return;
    }
    peer_say(p, "HTTP/1.1 2");
    peer_close(p);
}

static void test_not_retried_after_a_byte(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_then_break_off);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 2);
    probe_done(&p);
    h1_finish(&f);
}

static const struct {
    const char *answer;
    bool is_reset;
    enum upstream_failure why;
    const char *detail;
    int n_heads;
} faults[] = {
    {"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", false, UPSTREAM_DISCONNECTED, "closed",
     1},
    {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", false,
     UPSTREAM_DISCONNECTED, "closed", 1},
    {"HTTP/1.1 200 OK\r\ncontent-le", false, UPSTREAM_DISCONNECTED, "closed", 0},
    {"HTTP/1.1 200 OK\r\n\r\nuntil", true, UPSTREAM_DISCONNECTED, "reset", 1},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, UPSTREAM_BAD_ANSWER, "", 0},
    {"\x15\x03\x01\x00\x02\x02\x28", false, UPSTREAM_BAD_ANSWER, "", 0},
    {"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", false,
     UPSTREAM_BAD_ANSWER, "Content-Length", 0},
    {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n", false, UPSTREAM_BAD_ANSWER,
     "chunk", 1},
    {"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", false,
     UPSTREAM_BAD_ANSWER, "", 0},
};
static size_t fault;

static void answer_fault(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, faults[fault].answer);
    /* The bytes must be on their way before the reset drops what waits. */
    if (faults[fault].is_reset)
        return;
    peer_close(p);
}

static void test_faults(void **state)
{
    (void)state;
    for (fault = 0; fault < PX_ARRAY_LEN(faults); fault++) {
        struct h1_fixture f;
        struct probe p = {0};
        h1_begin(&f, answer_fault);
        world_connect(&f.world);
        probe_start(&p, &f.world, "/v1/messages", STR("{}"));
        if (faults[fault].is_reset) {
            run_until(&f.world, probe_has_data, &p);
            peer_reset(f.server.peers);
        }
        run_until(&f.world, probe_is_over, &p);
        assert_failure(&p, faults[fault].why, faults[fault].detail);
        assert_int_equal(p.n_heads, faults[fault].n_heads);
        assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        probe_done(&p);
        h1_finish(&f);
    }
}

static void answer_huge_head(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 2000; i++)
        peer_say(p, "x-header-number: and-a-value-of-some-length\r\n");
    peer_say(p, "\r\n");
}

static void test_huge_head(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_huge_head);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_BAD_ANSWER, "too");
    probe_done(&p);
    h1_finish(&f);
}

static void test_refused(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p[3] = {{0}};
    h1_begin(&f, answer_ok);
    listener_close(f.server.listener);
    f.server.listener = NULL;
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_UNREACHABLE, "refused");
        probe_done(&p[i]);
    }
    h1_finish(&f);
}

static void test_unknown_host(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_ok);
    world_aim(&f.world, "http://no-such-host.invalid", 80);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_UNREACHABLE, "");
    assert_true(strlen(p.detail) > 3);
    probe_done(&p);
    h1_finish(&f);
}

/* Silence --------------------------------------------------------------------------------- */

static void say_nothing(struct h1_peer *p, struct str text)
{
    (void)p;
    (void)text;
}

static void begin_and_stall(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
}

static void start_impatient(struct h1_fixture *f, struct probe *p)
{
    struct upstream_request r = {.method = STR("POST"),
                                 .path = STR("/v1/messages"),
                                 .body.own = STR("{}"),
                                 .idle_timeout_ms = 100};
    *p = (struct probe){0};
    probe_start_with(p, &f->world, &r);
}

static void test_silence_times_out(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct h1_fixture f;
        struct probe p;
        h1_begin(&f, i == 0 ? say_nothing : begin_and_stall);
        world_connect(&f.world);
        int64_t start_us = loop_now_us(f.world.loop);
        start_impatient(&f, &p);
        run_until(&f.world, probe_is_over, &p);
        assert_failure(&p, UPSTREAM_TIMED_OUT, "100 ms");
        assert_in_range(p.ended_us - start_us, 95000, 2000000);
        assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        run_for(&f.world, 20);
        assert_true(f.server.peers->is_gone);
        probe_done(&p);
        h1_finish(&f);
    }
}

struct dribble {
    struct timer timer;
    struct h1_peer *peer;
    int left;
};
static struct dribble dribble;

static void on_dribble(void *arg)
{
    struct dribble *d = arg;
    peer_say(d->peer, "x");
    if (--d->left > 0)
        timer_start(&d->timer, 100);
}

static void answer_slowly(struct h1_peer *p, struct str text)
{
    (void)text;
    dribble = (struct dribble){.peer = p, .left = 8};
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n");
    timer_init(&dribble.timer, p->server->world->loop, on_dribble, &dribble);
    timer_start(&dribble.timer, 100);
}

static void test_slow_but_alive(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_slowly);
    world_connect(&f.world);
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 400};
    p = (struct probe){0};
    probe_start_with(&p, &f.world, &r); /* 8 pauses of 100 ms are more than that in all */
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "xxxxxxxx");
    timer_done(&dribble.timer);
    probe_done(&p);
    h1_finish(&f);
}

static void lose_patience(struct probe *p)
{
    upstream_set_idle_timeout(p->call, 100);
}

static void gain_patience(struct probe *p)
{
    upstream_set_idle_timeout(p->call, 400);
}

/* The patience may change on the way; the new one counts from that moment. */
static void test_another_patience(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {.in_data = lose_patience};
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 3000};
    h1_begin(&f, begin_and_stall);
    world_connect(&f.world);
    int64_t start_us = loop_now_us(f.world.loop);
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_failure(&p, UPSTREAM_TIMED_OUT, "100 ms");
    assert_in_range(p.ended_us - start_us, 95000, 2000000);
    probe_done(&p);
    h1_finish(&f);

    h1_begin(&f, answer_slowly);
    world_connect(&f.world);
    p = (struct probe){.in_head = gain_patience};
    r.idle_timeout_ms = 60; /* less than the pauses of 100 ms */
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "xxxxxxxx");
    timer_done(&dribble.timer);
    probe_done(&p);
    h1_finish(&f);
}

static void test_waiting_in_the_queue_counts(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe busy = {0}, late;
    h1_begin(&f, say_nothing);
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    probe_start(&busy, &f.world, "/", STR("{}"));
    start_impatient(&f, &late);
    run_until(&f.world, probe_is_over, &late);
    assert_failure(&late, UPSTREAM_TIMED_OUT, "");
    assert_false(probe_is_over(&busy));
    assert_int_equal(upstream_stats(f.world.upstream).waiting_calls, 0);
    assert_int_equal(upstream_stats(f.world.upstream).calls, 1);
    upstream_cancel(busy.call);
    probe_done(&busy);
    probe_done(&late);
    h1_finish(&f);
}

static void test_tls_that_never_answers(void **state)
{
    (void)state;
    char why[128];
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, say_nothing);
    world_aim(&f.world, "https://127.0.0.1", h1_server_port(&f.server));
    f.world.settings.tls = tls_client_context(NULL, why, sizeof(why));
    f.world.settings.connect_timeout_ms = 100;
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_UNREACHABLE, "timed out");
    probe_done(&p);
    struct tls_context *tls = f.world.settings.tls;
    h1_finish(&f);
    tls_context_destroy(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sized),
        cmocka_unit_test(test_framings_on_one_connection),
        cmocka_unit_test(test_head_request),
        cmocka_unit_test(test_fresh_connection_closed),
        cmocka_unit_test(test_stale_connection_is_retried),
        cmocka_unit_test(test_retried_once_only),
        cmocka_unit_test(test_not_retried_after_a_byte),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_huge_head),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown_host),
        cmocka_unit_test(test_silence_times_out),
        cmocka_unit_test(test_slow_but_alive),
        cmocka_unit_test(test_another_patience),
        cmocka_unit_test(test_waiting_in_the_queue_counts),
        cmocka_unit_test(test_tls_that_never_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

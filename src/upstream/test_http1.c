/*
 * Calls over HTTP/1.1 against a server that behaves and misbehaves as each test says: answers of
 * every framing, connections kept and lost, back-pressure both ways, cancelling, the pool's
 * bounds.
 */
#include "upstream/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/connection.h"

struct fixture {
    struct world world;
    struct h1_server server;
};

static void begin(struct fixture *f, void (*on_request)(struct h1_peer *p, struct str text))
{
    world_init(&f->world);
    h1_server_start(&f->server, &f->world, on_request);
}

static void finish(struct fixture *f)
{
    upstream_destroy(f->world.upstream);
    f->world.upstream = NULL;
    run_for(&f->world, 1);
    h1_server_stop(&f->server);
    world_done(&f->world);
}

/* Runs one POST of "{}" to its end. */
static void call_once(struct fixture *f, struct probe *p)
{
    *p = (struct probe){0};
    probe_start(p, &f->world, "/v1/messages", STR("{}"));
    run_until(&f->world, probe_is_over, p);
}

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
    struct fixture f;
    struct probe p;
    begin(&f, answer_ok);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_answer(&p, 200, "hello");
    assert_string_equal(p.headers, "content-length: 5\nx-mixed-case: Value\n");
    char expected[512];
    snprintf(expected, sizeof(expected),
             "POST /pre/fix/v1/messages HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
             "content-type: application/json\r\nx-api-key: test-key\r\ncontent-length: 2\r\n\r\n{}",
             h1_server_port(&f.server));
    assert_string_equal(last_request, expected);
    probe_done(&p);
    finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, answer_by_number);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(expected); i++) {
        call_once(&f, &p);
        assert_answer(&p, expected[i].status, expected[i].body);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    finish(&f);
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
    struct fixture f;
    struct probe p = {0};
    begin(&f, answer_head);
    world_connect(&f.world);
    struct upstream_request r = {
        .method = STR("HEAD"), .path = STR("/v1/models"), .idle_timeout_ms = 1000};
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "");
    probe_done(&p);
    call_once(&f, &p);
    assert_answer(&p, 200, "hello");
    assert_int_equal(f.server.n_peers, 1);
    probe_done(&p);
    finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, close_at_once);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 1); /* never sent twice */
    probe_done(&p);
    finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, answer_once);
    world_connect(&f.world);
    for (int i = 0; i < 5; i++) {
        call_once(&f, &p);
        assert_answer(&p, 200, "hello");
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 5);
    assert_int_equal(f.server.n_requests, 9); /* all but the first were sent twice */
    finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, answer_first_only);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 3);
    probe_done(&p);
    finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, answer_then_break_off);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "closed the connection");
    assert_int_equal(f.server.n_requests, 2);
    probe_done(&p);
    finish(&f);
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

static bool has_data(void *arg)
{
    const struct probe *p = arg;
    return p->n_data > 0;
}

static void test_faults(void **state)
{
    (void)state;
    for (fault = 0; fault < PX_ARRAY_LEN(faults); fault++) {
        struct fixture f;
        struct probe p = {0};
        begin(&f, answer_fault);
        world_connect(&f.world);
        probe_start(&p, &f.world, "/v1/messages", STR("{}"));
        if (faults[fault].is_reset) {
            run_until(&f.world, has_data, &p);
            peer_reset(f.server.peers);
        }
        run_until(&f.world, probe_is_over, &p);
        assert_failure(&p, faults[fault].why, faults[fault].detail);
        assert_int_equal(p.n_heads, faults[fault].n_heads);
        assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        probe_done(&p);
        finish(&f);
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
    struct fixture f;
    struct probe p;
    begin(&f, answer_huge_head);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_BAD_ANSWER, "too");
    probe_done(&p);
    finish(&f);
}

static void test_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[3] = {{0}};
    begin(&f, answer_ok);
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
    finish(&f);
}

static void test_unknown_host(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_ok);
    world_aim(&f.world, "http://no-such-host.invalid", 80);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_UNREACHABLE, "");
    assert_true(strlen(p.detail) > 3);
    probe_done(&p);
    finish(&f);
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

static void start_impatient(struct fixture *f, struct probe *p)
{
    struct upstream_request r = {.method = STR("POST"),
                                 .path = STR("/v1/messages"),
                                 .body = STR("{}"),
                                 .idle_timeout_ms = 100};
    *p = (struct probe){0};
    probe_start_with(p, &f->world, &r);
}

static void test_silence_times_out(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p;
        begin(&f, i == 0 ? say_nothing : begin_and_stall);
        world_connect(&f.world);
        int64_t start_us = loop_now_us(f.world.loop);
        start_impatient(&f, &p);
        run_until(&f.world, probe_is_over, &p);
        assert_failure(&p, UPSTREAM_TIMED_OUT, "100 ms");
        assert_in_range(p.ended_us - start_us, 95000, 400000);
        assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        run_for(&f.world, 20);
        assert_true(f.server.peers->is_gone);
        probe_done(&p);
        finish(&f);
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
        timer_start(&d->timer, 40);
}

static void answer_slowly(struct h1_peer *p, struct str text)
{
    (void)text;
    dribble = (struct dribble){.peer = p, .left = 8};
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n");
    timer_init(&dribble.timer, p->server->world->loop, on_dribble, &dribble);
    timer_start(&dribble.timer, 40);
}

static void test_slow_but_alive(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_slowly);
    world_connect(&f.world);
    start_impatient(&f, &p); /* 8 pauses of 40 ms are more than 100 ms in all */
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "xxxxxxxx");
    timer_done(&dribble.timer);
    probe_done(&p);
    finish(&f);
}

static void test_waiting_in_the_queue_counts(void **state)
{
    (void)state;
    struct fixture f;
    struct probe busy = {0}, late;
    begin(&f, say_nothing);
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
    finish(&f);
}

static void test_tls_that_never_answers(void **state)
{
    (void)state;
    char why[128];
    struct fixture f;
    struct probe p;
    begin(&f, say_nothing);
    world_aim(&f.world, "https://127.0.0.1", h1_server_port(&f.server));
    f.world.settings.tls = tls_client_context(NULL, why, sizeof(why));
    f.world.settings.connect_timeout_ms = 100;
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_UNREACHABLE, "timed out");
    probe_done(&p);
    struct tls_context *tls = f.world.settings.tls;
    finish(&f);
    tls_context_destroy(tls);
}

/* Keeping and sharing connections ----------------------------------------------------------- */

static void test_a_hundred_on_one_connection(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_ok);
    world_connect(&f.world);
    for (int i = 0; i < 100; i++) {
        call_once(&f, &p);
        assert_answer(&p, 200, "hello");
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.n_requests, 100);
    finish(&f);
}

static void test_bounded_connections(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[200] = {{0}};
    begin(&f, answer_ok);
    f.world.settings.max_connections = 7;
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    assert_int_equal(upstream_stats(f.world.upstream).waiting_calls, PX_ARRAY_LEN(p));
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_answer(&p[i], 200, "hello");
        assert_true(i == 0 || p[i].ended_us >= p[i - 1].ended_us - 5000); /* first come... */
        probe_done(&p[i]);
    }
    assert_in_range(f.server.max_open, 1, 7);
    assert_int_equal(f.server.n_requests, PX_ARRAY_LEN(p));
    struct upstream_stats s = upstream_stats(f.world.upstream);
    assert_int_equal(s.calls, 0);
    assert_in_range(s.connections, 1, 7);
    finish(&f);
}

static bool is_dialing_bounded = true;

static bool all_sent(void *arg)
{
    struct fixture *f = arg;
    size_t dialing = f->world.upstream->n_in_phase[PHASE_DIALING];
    is_dialing_bounded = is_dialing_bounded && dialing <= POOL_DIALS_MAX;
    return f->server.n_requests == 300;
}

/* Every call needs a connection of its own, but they are not all dialled at once. */
static void test_burst_is_no_storm(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[300] = {{0}};
    begin(&f, say_nothing);
    f.world.settings.max_connections = 1000;
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    run_until(&f.world, all_sent, &f);
    assert_true(is_dialing_bounded);
    assert_int_equal(f.world.upstream->dial_window, POOL_DIALS_MAX); /* it grew */
    assert_int_equal(f.server.n_peers, 300);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        upstream_cancel(p[i].call);
        probe_done(&p[i]);
    }
    run_for(&f.world, 30);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    for (struct h1_peer *peer = f.server.peers; peer; peer = peer->next)
        assert_true(peer->is_gone);
    finish(&f);
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_ok);
    f.world.settings.idle_close_ms = 60;
    world_connect(&f.world);
    call_once(&f, &p);
    probe_done(&p);
    run_for(&f.world, 30);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    call_once(&f, &p); /* the time begins anew */
    probe_done(&p);
    run_for(&f.world, 40);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    run_for(&f.world, 60);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    assert_true(f.server.peers->is_gone);
    finish(&f);
}

static void answer_and_more(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
}

static void answer_and_close(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
}

static void test_connections_not_to_be_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p;
        begin(&f, i == 0 ? answer_and_more : answer_and_close);
        world_connect(&f.world);
        for (int k = 1; k <= 3; k++) {
            call_once(&f, &p);
            assert_answer(&p, 200, "ok");
            probe_done(&p);
            assert_int_equal(f.server.n_peers, k);
            assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        }
        finish(&f);
    }
}

static void test_bytes_nobody_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_ok);
    world_connect(&f.world);
    call_once(&f, &p);
    probe_done(&p);
    peer_say(f.server.peers, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
    run_for(&f.world, 20);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    call_once(&f, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    finish(&f);
}

/* Back-pressure ----------------------------------------------------------------------------- */

#define BIG_BYTES (32u * 1024 * 1024)

static struct connection *first_connection(struct fixture *f)
{
    assert_false(list_is_empty(&f->world.upstream->connections));
    return LIST_OF(f->world.upstream->connections.next, struct connection, node);
}

static void answer_count(struct h1_peer *p, struct str text)
{
    char answer[128];
    unsigned long sum = 0;
    for (size_t i = 0; i < text.n; i++)
        sum += (unsigned char)text.p[i];
    char body[64];
    int n = snprintf(body, sizeof(body), "%zu %lu", text.n, sum);
    snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", n, body);
    peer_say(p, answer);
}

static bool has_peer(void *arg)
{
    struct fixture *f = arg;
    return f->server.n_peers > 0;
}

static void test_big_upload_to_a_slow_reader(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0};
    char *body = malloc(BIG_BYTES);
    assert_non_null(body);
    memset(body, 1, BIG_BYTES);
    begin(&f, answer_count);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){body, BIG_BYTES});
    run_until(&f.world, has_peer, &f);
    channel_pause(&f.server.peers->channel);
    run_for(&f.world, 50);
    size_t waiting = channel_waiting(&first_connection(&f)->channel);
    assert_in_range(waiting, 1, CONNECTION_HIGH_WATER_BYTES + CONNECTION_SLICE_BYTES);
    channel_resume(&f.server.peers->channel);
    run_until(&f.world, probe_is_over, &p);
    assert_int_equal(p.status, 200);
    size_t got = strtoull(p.body.data, NULL, 10);
    assert_in_range(got, BIG_BYTES + 50, BIG_BYTES + 500);
    probe_done(&p);
    free(body);
    finish(&f);
}

static void refuse_early(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
    channel_pause(&p->channel); /* and reads no further */
}

static char *early_body;

/* The contract says that the body is not needed any more. */
static void release_body(struct probe *p)
{
    (void)p;
    free(early_body);
    early_body = NULL;
}

static void refuse_and_close(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
    peer_close(p); /* with bytes unread: the client is sent a reset */
}

static void test_answer_and_reset_before_the_body_is_sent(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    begin(&f, refuse_and_close);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "big");
    probe_done(&p);
    finish(&f);
}

static void test_answer_before_the_body_is_sent(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    begin(&f, refuse_early);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "big");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    finish(&f);
}

static void answer_head_early(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nabc");
}

/* The server goes on reading after its answer began: what is sent must not come from the body. */
static void test_head_before_the_body_is_sent(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    begin(&f, answer_head_early);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, has_data, &p);
    run_for(&f.world, 50);
    assert_true(f.server.peers->in.len < BIG_BYTES);
    peer_say(f.server.peers, "defg");
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "abcdefg");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    finish(&f);
}

static void answer_big(struct h1_peer *p, struct str text)
{
    (void)text;
    char head[128];
    char *body = malloc(BIG_BYTES);
    assert_non_null(body);
    memset(body, 'y', BIG_BYTES);
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: %u\r\n\r\n", BIG_BYTES);
    peer_say(p, head);
    channel_write(&p->channel, body, BIG_BYTES);
    free(body);
}

static void pause_there(struct probe *p)
{
    upstream_pause(p->call);
}

static void test_paused_reader(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = pause_there};
    begin(&f, answer_big);
    world_connect(&f.world);
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 150};
    probe_start_with(&p, &f.world, &r);
    run_for(&f.world, 400); /* longer than the silence that is allowed: it rests */
    assert_int_equal(p.n_heads, 1);
    assert_int_equal(p.n_data, 0);
    assert_false(probe_is_over(&p));
    assert_true(channel_waiting(&f.server.peers->channel) > BIG_BYTES / 2);
    upstream_resume(p.call);
    assert_int_equal(p.n_data, 0); /* not inside the call */
    p.in_data = pause_there;
    run_for(&f.world, 20);
    assert_int_equal(p.n_data, 1);
    p.in_data = NULL;
    upstream_resume(p.call);
    upstream_pause(p.call);
    upstream_resume(p.call);
    run_until(&f.world, probe_is_over, &p);
    assert_int_equal(p.n_ends, 1);
    assert_int_equal(p.body_bytes, BIG_BYTES);
    probe_done(&p);
    finish(&f);
}

/* The whole answer arrives while its reader rests; the connection serves others meanwhile. */
static void test_paused_over_the_end(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = pause_there}, other;
    begin(&f, answer_ok);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_for(&f.world, 50);
    assert_int_equal(p.n_heads, 1);
    assert_int_equal(p.n_data + p.n_ends, 0);
    call_once(&f, &other);
    assert_answer(&other, 200, "hello");
    assert_int_equal(f.server.n_peers, 1);
    probe_done(&other);
    upstream_resume(p.call);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    finish(&f);
}

/* Cancelling -------------------------------------------------------------------------------- */

static void cancel_there(struct probe *p)
{
    upstream_cancel(p->call);
    p->call = NULL;
}

static bool peer_is_gone(void *arg)
{
    struct fixture *f = arg;
    return f->server.peers && f->server.peers->is_gone;
}

static void test_cancel_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p = {0};
        begin(&f, begin_and_stall);
        world_connect(&f.world);
        p.in_head = i == 0 ? cancel_there : NULL;
        p.in_data = i == 1 ? cancel_there : NULL;
        probe_start(&p, &f.world, "/", STR("{}"));
        run_until(&f.world, peer_is_gone, &f);
        assert_int_equal(p.n_heads, 1);
        assert_int_equal(p.n_data, i);
        assert_int_equal(p.n_ends + p.n_fails, 0);
        assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
        probe_done(&p);
        finish(&f);
    }
}

static void cancel_job(void *arg)
{
    struct probe *p = arg;
    assert_int_equal(p->world->upstream->n_in_phase[PHASE_DIALING], 1);
    cancel_there(p);
}

/* In the queue before anything was done, and while the connection is dialled. */
static void test_cancel_early(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[4] = {{0}};
    begin(&f, answer_ok);
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    upstream_pause(p[1].call);
    upstream_resume(p[1].call);
    upstream_cancel(p[1].call); /* its job is still queued */
    struct loop_job job = {.run = cancel_job, .arg = &p[0]};
    loop_defer(f.world.loop, &job); /* behind the pool's own, which dials */
    run_until(&f.world, probe_is_over, &p[3]);
    assert_answer(&p[2], 200, "hello");
    assert_answer(&p[3], 200, "hello");
    assert_int_equal(p[0].n_heads + p[0].n_fails, 0);
    assert_int_equal(p[1].n_heads + p[1].n_fails, 0);
    assert_int_equal(f.server.n_requests, 2);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_done(&p[i]);
    finish(&f);
}

static void test_cancel_is_seen_soon(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0};
    begin(&f, begin_and_stall);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_until(&f.world, has_data, &p);
    run_for(&f.world, 20);
    int64_t start_us = loop_now_us(f.world.loop);
    upstream_cancel(p.call);
    run_until(&f.world, peer_is_gone, &f);
    assert_in_range(f.server.peers->gone_us - start_us, 0, 50000);
    probe_done(&p);
    finish(&f);
}

/* The pool's end ---------------------------------------------------------------------------- */

static void test_destroy_with_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[4] = {{0}};
    begin(&f, answer_by_number);
    f.world.settings.max_connections = 2;
    world_connect(&f.world);
    p[0].in_head = pause_there; /* finishing */
    probe_start(&p[0], &f.world, "/", STR("{}"));
    run_for(&f.world, 30);
    f.server.on_request = say_nothing;
    for (size_t i = 1; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    run_for(&f.world, 30);
    struct upstream_stats s = upstream_stats(f.world.upstream);
    assert_int_equal(s.calls, 4);
    assert_int_equal(s.connections, 2);
    assert_int_equal(s.waiting_calls, 1);
    upstream_destroy(f.world.upstream);
    f.world.upstream = NULL;
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_CLOSING, "");
        probe_done(&p[i]);
    }
    run_for(&f.world, 20);
    finish(&f);
}

static void destroy_there(struct probe *p)
{
    struct upstream *u = p->world->upstream;
    p->world->upstream = NULL;
    if (u)
        upstream_destroy(u);
}

static void test_destroy_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        struct probe p[3] = {{0}};
        begin(&f, answer_ok);
        f.world.settings.max_connections = 2;
        world_connect(&f.world);
        for (size_t k = 0; k < PX_ARRAY_LEN(p); k++) {
            p[k].in_head = i == 0 ? destroy_there : NULL;
            p[k].in_data = i == 1 ? destroy_there : NULL;
            p[k].in_end = i == 2 ? destroy_there : NULL;
            probe_start(&p[k], &f.world, "/", STR("{}"));
        }
        struct probes all = {p, PX_ARRAY_LEN(p)};
        run_until(&f.world, probes_are_over, &all);
        for (size_t k = 0; k < PX_ARRAY_LEN(p); k++)
            probe_done(&p[k]);
        run_for(&f.world, 20);
        finish(&f);
    }
}

static void test_requests_that_cannot_be_sent(void **state)
{
    (void)state;
    static const struct upstream_callbacks none = {0};
    static char long_value[70000];
    memset(long_value, 'v', sizeof(long_value));
    struct upstream_header bad[] = {
        {STR("x"), STR("a\r\nhost: evil")},
        {STR("x\ny"), STR("a")},
        {STR("x"), {long_value, sizeof(long_value)}},
    };
    struct fixture f;
    begin(&f, answer_ok);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        struct upstream_request r = {
            .method = STR("GET"), .path = STR("/"), .headers = &bad[i], .n_headers = 1};
        assert_null(upstream_start(f.world.upstream, &r, &none, NULL));
    }
    struct upstream_request r = {.method = STR("GET"), .path = STR("/ HTTP/1.1\r\nx: y")};
    assert_null(upstream_start(f.world.upstream, &r, &none, NULL));
    assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
    finish(&f);
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
        cmocka_unit_test(test_waiting_in_the_queue_counts),
        cmocka_unit_test(test_tls_that_never_answers),
        cmocka_unit_test(test_a_hundred_on_one_connection),
        cmocka_unit_test(test_bounded_connections),
        cmocka_unit_test(test_burst_is_no_storm),
        cmocka_unit_test(test_idle_connections_are_closed),
        cmocka_unit_test(test_connections_not_to_be_kept),
        cmocka_unit_test(test_bytes_nobody_asked_for),
        cmocka_unit_test(test_big_upload_to_a_slow_reader),
        cmocka_unit_test(test_answer_before_the_body_is_sent),
        cmocka_unit_test(test_answer_and_reset_before_the_body_is_sent),
        cmocka_unit_test(test_head_before_the_body_is_sent),
        cmocka_unit_test(test_paused_reader),
        cmocka_unit_test(test_paused_over_the_end),
        cmocka_unit_test(test_cancel_in_callbacks),
        cmocka_unit_test(test_cancel_early),
        cmocka_unit_test(test_cancel_is_seen_soon),
        cmocka_unit_test(test_destroy_with_calls),
        cmocka_unit_test(test_destroy_in_callbacks),
        cmocka_unit_test(test_requests_that_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

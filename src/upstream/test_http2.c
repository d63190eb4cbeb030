/*
 * Calls over HTTP/2 and TLS against a server that behaves and misbehaves as each test says:
 * multiplexing within the server's limit, refusals and goodbyes, silence, flow control,
 * cancelling, certificates.
 */
#include "upstream/test_h2_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "upstream/call.h"
#include "upstream/connection.h"

/* Error codes of RFC 9113, section 7. */
enum { H2_NO_ERROR = 0, H2_INTERNAL_ERROR = 2, H2_REFUSED_STREAM = 7, H2_CANCEL = 8 };

struct fixture {
    struct world world;
    struct h2_server server;
};

static void begin(struct fixture *f, void (*on_request)(struct h2_test_stream *s))
{
    world_init(&f->world);
    h2_server_start(&f->server, &f->world, CERT_GOOD, on_request);
}

static void finish(struct fixture *f)
{
    upstream_destroy(f->world.upstream);
    f->world.upstream = NULL;
    run_for(&f->world, 1);
    h2_server_stop(&f->server);
    world_done(&f->world);
}

static void call_once(struct fixture *f, struct probe *p)
{
    *p = (struct probe){0};
    probe_start(p, &f->world, "/v1/messages", STR("{}"));
    run_until(&f->world, probe_is_over, p);
}

static void assert_whole(const struct probe *p, size_t n)
{
    if (p->n_fails)
        fail_msg("failed: %d %s", (int)p->why, p->detail);
    assert_int_equal(p->n_ends, 1);
    assert_int_equal(p->status, 200);
    assert_int_equal(p->body_bytes, n);
}

static void say_nothing(struct h2_test_stream *s)
{
    (void)s;
}

static void answer_whole(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, 5, false);
}

static bool has_data(void *arg)
{
    const struct probe *p = arg;
    return p->n_data > 0;
}

/* Messages ---------------------------------------------------------------------------------- */

static void answer_with_everything(struct h2_test_stream *s)
{
    if (!s->is_whole)
        return;
    s->has_trailers = true;
    stream_informational(s, 103);
    stream_answer(s, 200, 5, false);
}

static void test_one_call(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_with_everything);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_answer(&p, 200, "yyyyy");
    assert_string_equal(p.headers, "content-type: text/event-stream\n");
    struct h2_test_stream *s = h2_server_find(&f.server, ":path: /pre/fix/v1/messages");
    assert_non_null(s);
    char expected[512];
    snprintf(expected, sizeof(expected),
             ":method: POST\n:scheme: https\n:authority: localhost:%d\n"
             ":path: /pre/fix/v1/messages\ncontent-type: application/json\n"
             "x-api-key: test-key\ncontent-length: 2\n",
             listener_port(f.server.listener));
    assert_string_equal(s->headers, expected);
    assert_int_equal(s->body_bytes, 2);
    probe_done(&p);
    call_once(&f, &p);
    assert_answer(&p, 200, "yyyyy");
    probe_done(&p);
    assert_int_equal(f.server.n_peers, 1);
    finish(&f);
}

static void answer_without_body(struct h2_test_stream *s)
{
    stream_answer(s, 529, 0, false);
}

static void test_no_bodies(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0};
    begin(&f, answer_without_body);
    world_connect(&f.world);
    struct upstream_request r = {
        .method = STR("GET"), .path = STR("/v1/models"), .idle_timeout_ms = 1000};
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 529, "");
    probe_done(&p);
    finish(&f);
}

#define BIG_BYTES (32u * 1024 * 1024)

static void test_big_upload(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0};
    char *body = calloc(1, BIG_BYTES);
    assert_non_null(body);
    begin(&f, answer_whole);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/big", (struct str){body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, 5);
    assert_int_equal(h2_server_find(&f.server, "/big")->body_bytes, BIG_BYTES);
    probe_done(&p);
    free(body);
    finish(&f);
}

static char *early_body;

static void release_body(struct probe *p)
{
    (void)p;
    free(early_body);
    early_body = NULL;
}

static void answer_early(struct h2_test_stream *s)
{
    if (!s->is_whole)
        stream_answer(s, 413, 3, false);
}

/* The body is freed in on_head, as the contract allows: ASan sees whoever reads it later. */
static void test_answer_before_the_body_is_sent(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = release_body}, next;
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    begin(&f, answer_early);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "yyy");
    run_for(&f.world, 20);
    assert_true(f.server.peers->streams->is_closed);
    probe_done(&p);
    f.server.on_request = answer_whole;
    call_once(&f, &next);
    assert_whole(&next, 5);
    probe_done(&next);
    assert_int_equal(f.server.n_peers, 1);
    finish(&f);
}

static void answer_head_early(struct h2_test_stream *s)
{
    if (!s->is_whole)
        stream_answer(s, 200, 3, true);
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
    world_connect(&f.world);
    probe_start(&p, &f.world, "/early", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, has_data, &p);
    run_for(&f.world, 50);
    struct h2_test_stream *s = h2_server_find(&f.server, "/early");
    assert_false(s->is_whole);
    stream_go_on(s, 4);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "yyyyyyy");
    run_for(&f.world, 20);
    assert_true(s->is_closed);
    probe_done(&p);
    finish(&f);
}

/* Many at once ------------------------------------------------------------------------------ */

static int n_expected;

/* Holds every answer until all requests are in. */
static void answer_together(struct h2_test_stream *s)
{
    if (s->peer->server->n_requests < n_expected)
        return;
    for (struct h2_peer *p = s->peer->server->peers; p; p = p->next)
        for (struct h2_test_stream *t = p->streams; t; t = t->next)
            if (!t->stays_open && t->left == 0 && !t->is_closed) {
                t->stays_open = true;
                stream_answer(t, 200, 1000, false);
            }
}

static void run_many(struct fixture *f, struct probe *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct upstream_request r = {
            .method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 4000};
        p[i] = (struct probe){0};
        probe_start_with(&p[i], &f->world, &r);
    }
    struct probes all = {p, n};
    run_until(&f->world, probes_are_over, &all);
    for (size_t i = 0; i < n; i++) {
        assert_whole(&p[i], 1000);
        probe_done(&p[i]);
    }
}

static void test_burst_on_one_connection(void **state)
{
    (void)state;
    static struct probe p[300];
    struct fixture f;
    n_expected = 300;
    begin(&f, answer_together);
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.n_requests, 300);
    assert_int_equal(f.server.peers->max_open, 300);
    finish(&f);
}

static void test_server_limit_makes_connections(void **state)
{
    (void)state;
    static struct probe p[50];
    struct fixture f;
    n_expected = 50;
    begin(&f, answer_together);
    f.server.max_concurrent = 10;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 5);
    for (struct h2_peer *peer = f.server.peers; peer; peer = peer->next)
        assert_int_equal(peer->max_open, 10);
    finish(&f);
}

static void answer_thousand(struct h2_test_stream *s)
{
    stream_answer(s, 200, 1000, false);
}

static void test_bounded_connections(void **state)
{
    (void)state;
    static struct probe p[500];
    struct fixture f;
    begin(&f, answer_thousand);
    f.server.max_concurrent = 10;
    f.world.settings.max_connections = 2;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_in_range(f.server.n_peers, 1, 2);
    for (struct h2_peer *peer = f.server.peers; peer; peer = peer->next)
        assert_in_range(peer->max_open, 1, 10);
    assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
    finish(&f);
}

static struct probe chain[200];
static size_t n_chain;

static void start_next(struct probe *p)
{
    if (n_chain == PX_ARRAY_LEN(chain))
        return;
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 4000};
    struct probe *next = &chain[n_chain++];
    *next = (struct probe){.in_end = start_next};
    probe_start_with(next, p->world, &r);
}

static bool chain_is_over(void *arg)
{
    (void)arg;
    struct probes all = {chain, n_chain};
    return n_chain == PX_ARRAY_LEN(chain) && probes_are_over(&all);
}

/* As many calls as one connection takes, each followed by the next: no second one is dialled. */
static void test_full_connection_is_enough(void **state)
{
    (void)state;
    struct fixture f;
    struct probe seed = {0};
    begin(&f, answer_thousand);
    f.server.max_concurrent = 10;
    world_connect(&f.world);
    seed.world = &f.world;
    n_chain = 0;
    start_next(&seed);
    run_until(&f.world, probe_is_over, &chain[0]); /* the limit is known from here on */
    for (int i = 1; i < 10; i++)
        start_next(&seed);
    run_until(&f.world, chain_is_over, NULL);
    for (size_t i = 0; i < n_chain; i++) {
        assert_whole(&chain[i], 1000);
        probe_done(&chain[i]);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.peers->max_open, 10);
    finish(&f);
}

/* A limit below what is opened before it is known: what was refused is sent again. */
static void test_small_limit(void **state)
{
    (void)state;
    static struct probe p[20];
    struct fixture f;
    begin(&f, answer_thousand);
    f.server.max_concurrent = 2;
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 1);
    finish(&f);
}

/* Refusals and goodbyes --------------------------------------------------------------------- */

static void goodbye_after_three(struct h2_test_stream *s)
{
    if (s->peer->number > 1 && s->is_whole)
        stream_answer(s, 200, 1000, false);
    if (s->peer->number == 1 && s->peer->n_requests == 3)
        peer_goaway(s->peer, 1, H2_NO_ERROR); /* the first is being worked on, the others not */
}

static bool second_has_two(void *arg)
{
    struct fixture *f = arg;
    return f->server.n_requests == 5;
}

static void test_goaway(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[3] = {{0}}, after;
    begin(&f, goodbye_after_three);
    world_connect(&f.world);
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 4000};
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start_with(&p[i], &f.world, &r);
    run_until(&f.world, second_has_two, &f);
    run_until(&f.world, probe_is_over, &p[1]);
    run_until(&f.world, probe_is_over, &p[2]);
    assert_whole(&p[1], 1000);
    assert_whole(&p[2], 1000);
    assert_false(probe_is_over(&p[0]));
    call_once(&f, &after); /* not on the old one */
    assert_whole(&after, 1000);
    assert_int_equal(f.server.n_peers, 2);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 2);
    stream_answer(h2_server_peer(&f.server, 1)->streams->next->next, 200, 1000, false);
    run_until(&f.world, probe_is_over, &p[0]);
    assert_whole(&p[0], 1000);
    run_for(&f.world, 20);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    assert_true(h2_server_peer(&f.server, 1)->is_gone);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_done(&p[i]);
    probe_done(&after);
    finish(&f);
}

static bool first_peer_is_gone(void *arg)
{
    struct fixture *f = arg;
    return h2_server_peer(&f->server, 1)->is_gone;
}

static void test_goaway_when_idle(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_whole);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    peer_goaway(f.server.peers, 1, H2_NO_ERROR);
    run_until(&f.world, first_peer_is_gone, &f);
    call_once(&f, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    assert_int_equal(f.server.n_peers, 2);
    finish(&f);
}

static void refuse_on_first(struct h2_test_stream *s)
{
    if (s->is_whole && s->peer->number == 1 && s->peer->n_requests > 1)
        stream_reset(s, H2_REFUSED_STREAM);
    else
        answer_whole(s);
}

static void test_refused_stream_goes_elsewhere(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, refuse_on_first);
    world_connect(&f.world);
    for (int i = 0; i < 3; i++) {
        call_once(&f, &p);
        assert_whole(&p, 5);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 2);
    assert_int_equal(f.server.n_requests, 4);
    finish(&f);
}

static void refuse(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_reset(s, H2_REFUSED_STREAM);
}

static void test_refused_for_ever(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, refuse);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "refused");
    assert_int_equal(f.server.n_requests, POOL_TRIES_MAX);
    probe_done(&p);
    finish(&f);
}

/* Faults ------------------------------------------------------------------------------------ */

static void answer_part(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, 100, true);
}

static void test_reset_in_the_middle(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0}, other = {0};
    begin(&f, answer_part);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/a", STR("{}"));
    probe_start(&other, &f.world, "/b", STR("{}"));
    run_until(&f.world, has_data, &p);
    stream_reset(h2_server_find(&f.server, "/a"), H2_INTERNAL_ERROR);
    run_until(&f.world, probe_is_over, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "INTERNAL_ERROR");
    assert_int_equal(p.body_bytes, 100);
    stream_go_on(h2_server_find(&f.server, "/b"), 7);
    run_until(&f.world, probe_is_over, &other);
    assert_whole(&other, 107);
    probe_done(&p);
    probe_done(&other);
    finish(&f);
}

static void test_cut_in_the_middle(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[3] = {{0}};
    begin(&f, answer_part);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    run_until(&f.world, has_data, &p[2]);
    peer_cut(f.server.peers);
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_DISCONNECTED, "closed");
        assert_int_equal(p[i].body_bytes, 100);
        probe_done(&p[i]);
    }
    assert_int_equal(f.server.n_requests, 3);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    finish(&f);
}

/* The second request of a connection finds it closed, without a byte. */
static void cut_at_second(struct h2_test_stream *s)
{
    if (!s->is_whole)
        return;
    if (s->peer->n_requests > 1)
        peer_cut(s->peer);
    else
        stream_answer(s, 200, 5, false);
}

static void test_stale_connection_is_retried(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, cut_at_second);
    world_connect(&f.world);
    for (int i = 0; i < 4; i++) {
        call_once(&f, &p);
        assert_whole(&p, 5);
        probe_done(&p);
        run_for(&f.world, 5); /* what still comes of the first must not count for the second */
    }
    assert_int_equal(f.server.n_peers, 4);
    assert_int_equal(f.server.n_requests, 7);
    finish(&f);
}

static void cut_at_first(struct h2_test_stream *s)
{
    peer_cut(s->peer);
}

static void test_fresh_connection_cut(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, cut_at_first);
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "");
    assert_int_equal(f.server.n_requests, 1);
    probe_done(&p);
    finish(&f);
}

static void answer_many_headers(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_headers(s, 150, 10);
}

static void answer_long_headers(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_headers(s, 40, 1000);
}

static void answer_too_little(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer_sized(s, 10, 5);
}

static void test_bad_answers(void **state)
{
    (void)state;
    void (*const bad[])(struct h2_test_stream *) = {answer_many_headers, answer_long_headers,
                                                    answer_too_little};
    struct fixture f;
    struct probe p;
    begin(&f, answer_whole);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        f.server.on_request = bad[i];
        call_once(&f, &p);
        assert_failure(&p, UPSTREAM_BAD_ANSWER, i < 2 ? "too large" : "PROTOCOL_ERROR");
        probe_done(&p);
        f.server.on_request = answer_whole;
        call_once(&f, &p); /* the connection is none the worse */
        assert_whole(&p, 5);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    finish(&f);
}

static void test_not_http2_at_all(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_whole);
    f.server.speaks_garbage = true;
    world_connect(&f.world);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_BAD_ANSWER, "HTTP/2");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    finish(&f);
}

/* Silence ----------------------------------------------------------------------------------- */

static void test_stalled_stream(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p = {0};
        begin(&f, i == 0 ? say_nothing : answer_part);
        world_connect(&f.world);
        struct upstream_request r = {.method = STR("POST"),
                                     .path = STR("/stalled"),
                                     .body = STR("{}"),
                                     .idle_timeout_ms = 150};
        probe_start_with(&p, &f.world, &r);
        run_until(&f.world, probe_is_over, &p);
        assert_failure(&p, UPSTREAM_TIMED_OUT, "150 ms");
        run_for(&f.world, 20);
        struct h2_test_stream *s = h2_server_find(&f.server, "/stalled");
        assert_true(s->is_closed);
        assert_int_equal(s->close_code, H2_CANCEL);
        assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
        probe_done(&p);
        finish(&f);
    }
}

static void fall_silent(struct h2_test_stream *s)
{
    if (s->peer->number == 1)
        s->peer->is_mute = true;
    else
        answer_whole(s);
}

static void test_no_answer_to_ping(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[3] = {{0}}, after;
    begin(&f, fall_silent);
    f.world.settings.ping_after_ms = 100;
    world_connect(&f.world);
    int64_t start_us = loop_now_us(f.world.loop);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_DISCONNECTED, "PING");
        assert_in_range(p[i].ended_us - start_us, 180000, 600000);
        probe_done(&p[i]);
    }
    call_once(&f, &after);
    assert_whole(&after, 5);
    probe_done(&after);
    finish(&f);
}

static void test_quiet_but_alive(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {0};
    begin(&f, answer_part);
    f.world.settings.ping_after_ms = 40;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/quiet", STR("{}"));
    run_for(&f.world, 500); /* many PINGs, all answered */
    assert_false(probe_is_over(&p));
    stream_go_on(h2_server_find(&f.server, "/quiet"), 1);
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, 101);
    probe_done(&p);
    finish(&f);
}

/* Rested longer than ping_after_ms, and dead: found out sooner than by a timeout of the call. */
static void test_rested_connection_is_doubted(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_whole);
    f.world.settings.ping_after_ms = 100;
    world_connect(&f.world);
    call_once(&f, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    run_for(&f.world, 150);
    f.server.peers->is_mute = true;
    int64_t start_us = loop_now_us(f.world.loop);
    call_once(&f, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "PING");
    assert_in_range(p.ended_us - start_us, 90000, 190000);
    probe_done(&p);
    finish(&f);
}

static void test_idle_connection_is_closed(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p;
    begin(&f, answer_whole);
    f.world.settings.idle_close_ms = 120;
    f.world.settings.ping_after_ms = 30;
    world_connect(&f.world);
    call_once(&f, &p);
    probe_done(&p);
    run_for(&f.world, 70);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    run_for(&f.world, 100);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    assert_true(f.server.peers->is_gone);
    finish(&f);
}

/* Back-pressure ------------------------------------------------------------------------------ */

static void answer_big(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, BIG_BYTES, false);
}

static void pause_there(struct probe *p)
{
    upstream_pause(p->call);
}

static void test_paused_reader_beside_a_running_one(void **state)
{
    (void)state;
    struct fixture f;
    struct probe slow = {.in_head = pause_there}, fast = {0};
    begin(&f, answer_big);
    world_connect(&f.world);
    probe_start(&slow, &f.world, "/slow", STR("{}"));
    probe_start(&fast, &f.world, "/fast", STR("{}"));
    run_until(&f.world, probe_is_over, &fast);
    assert_whole(&fast, BIG_BYTES);
    assert_int_equal(slow.n_heads, 1);
    assert_int_equal(slow.n_data, 0);
    size_t window = f.world.settings.stream_window_bytes;
    assert_in_range(slow.call->held.len, 1, window);
    assert_true(h2_server_find(&f.server, "/slow")->left >= BIG_BYTES - window);
    upstream_resume(slow.call);
    run_until(&f.world, probe_is_over, &slow);
    assert_whole(&slow, BIG_BYTES);
    probe_done(&slow);
    probe_done(&fast);
    finish(&f);
}

static void resume_soon(void *arg)
{
    struct probe *p = arg;
    if (p->call)
        upstream_resume(p->call);
}

static struct timer breather;

static void pause_and_breathe(struct probe *p)
{
    upstream_pause(p->call);
    timer_start(&breather, 1);
}

static void test_pausing_again_and_again(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_data = pause_and_breathe};
    begin(&f, answer_big);
    f.world.settings.stream_window_bytes = 1024 * 1024;
    world_connect(&f.world);
    timer_init(&breather, f.world.loop, resume_soon, &p);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, BIG_BYTES);
    timer_done(&breather);
    probe_done(&p);
    finish(&f);
}

static void test_paused_over_the_end(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p = {.in_head = pause_there};
    begin(&f, answer_whole);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_for(&f.world, 100);
    assert_int_equal(p.n_heads, 1);
    assert_int_equal(p.n_data + p.n_ends, 0);
    peer_cut(f.server.peers); /* the answer is whole all the same */
    run_for(&f.world, 20);
    upstream_resume(p.call);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "yyyyy");
    probe_done(&p);
    finish(&f);
}

/* Cancelling and the pool's end -------------------------------------------------------------- */

static bool stream_is_closed(void *arg)
{
    const struct h2_test_stream *s = arg;
    return s->is_closed;
}

static void test_cancel_on_a_quiet_connection(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p = {0};
        begin(&f, i == 0 ? say_nothing : answer_part);
        world_connect(&f.world);
        probe_start(&p, &f.world, "/left", STR("{}"));
        run_for(&f.world, 100);
        struct h2_test_stream *s = h2_server_find(&f.server, "/left");
        assert_non_null(s);
        int64_t start_us = loop_now_us(f.world.loop);
        upstream_cancel(p.call);
        run_until(&f.world, stream_is_closed, s);
        assert_int_equal(s->close_code, H2_CANCEL);
        assert_in_range(s->closed_us - start_us, 0, 50000);
        assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
        assert_int_equal(p.n_ends + p.n_fails, 0);
        probe_done(&p);
        finish(&f);
    }
}

static void cancel_there(struct probe *p)
{
    upstream_cancel(p->call);
    p->call = NULL;
}

static void test_cancel_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct probe p[2] = {{0}};
        begin(&f, answer_big);
        world_connect(&f.world);
        p[0].in_head = i == 0 ? cancel_there : NULL;
        p[0].in_data = i == 1 ? cancel_there : NULL;
        probe_start(&p[0], &f.world, "/", STR("{}"));
        probe_start(&p[1], &f.world, "/", STR("{}"));
        run_until(&f.world, probe_is_over, &p[1]);
        assert_whole(&p[1], BIG_BYTES);
        assert_int_equal(p[0].n_heads, 1);
        assert_int_equal(p[0].n_data, i);
        assert_int_equal(p[0].n_ends + p[0].n_fails, 0);
        probe_done(&p[0]);
        probe_done(&p[1]);
        finish(&f);
    }
}

/* Opened and cancelled in the same turn: the stream may never reach the server, its place is free.
 */
static void test_cancel_before_it_is_sent(void **state)
{
    (void)state;
    struct fixture f;
    struct probe first, p = {0}, last;
    begin(&f, answer_whole);
    f.server.max_concurrent = 1;
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    call_once(&f, &first);
    for (int i = 0; i < 10; i++) {
        p = (struct probe){0};
        probe_start(&p, &f.world, "/", STR("{}"));
        struct connection *c = LIST_OF(f.world.upstream->connections.next, struct connection, node);
        connection_take(c, p.call);
        assert_int_equal(p.call->state, CALL_SENT);
        upstream_cancel(p.call);
        run_for(&f.world, 3);
        probe_done(&p);
    }
    call_once(&f, &last);
    assert_whole(&last, 5);
    probe_done(&first);
    probe_done(&last);
    assert_int_equal(f.server.n_peers, 1);
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
    for (int i = 0; i < 4; i++) {
        static struct probe p[40];
        struct fixture f;
        begin(&f, i == 3 ? refuse : answer_whole);
        f.server.max_concurrent = 5;
        f.world.settings.max_connections = 3;
        world_connect(&f.world);
        for (size_t k = 0; k < PX_ARRAY_LEN(p); k++) {
            struct upstream_request r = {.method = STR("POST"),
                                         .path = STR("/"),
                                         .body = STR("{}"),
                                         .idle_timeout_ms = 4000};
            p[k] = (struct probe){0};
            p[k].in_head = i == 0 ? destroy_there : NULL;
            p[k].in_data = i == 1 ? destroy_there : NULL;
            p[k].in_end = i >= 2 ? destroy_there : NULL;
            probe_start_with(&p[k], &f.world, &r);
        }
        struct probes all = {p, PX_ARRAY_LEN(p)};
        run_until(&f.world, probes_are_over, &all);
        run_for(&f.world, 20);
        for (size_t k = 0; k < PX_ARRAY_LEN(p); k++)
            probe_done(&p[k]);
        finish(&f);
    }
}

static void test_destroy_with_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[20] = {{0}};
    begin(&f, answer_part);
    f.server.max_concurrent = 5;
    f.world.settings.max_connections = 2;
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    run_for(&f.world, 100);
    assert_int_equal(upstream_stats(f.world.upstream).waiting_calls, 10);
    upstream_destroy(f.world.upstream);
    f.world.upstream = NULL;
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_CLOSING, "");
        probe_done(&p[i]);
    }
    finish(&f);
}

/* Certificates ------------------------------------------------------------------------------- */

static void expect_no_trust(enum cert_kind kind, bool is_trusted, const char *reason)
{
    char why[256];
    struct fixture f;
    struct probe p[3] = {{0}};
    world_init(&f.world);
    h2_server_start(&f.server, &f.world, kind, answer_whole);
    if (!is_trusted) {
        tls_context_destroy(f.world.settings.tls);
        f.world.settings.tls = tls_client_context(NULL, why, sizeof(why));
    }
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_UNREACHABLE, reason);
        probe_done(&p[i]);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.n_requests, 0);
    finish(&f);
}

static void test_expired_certificate(void **state)
{
    (void)state;
    expect_no_trust(CERT_EXPIRED, true, "expired");
}

static void test_certificate_for_another_name(void **state)
{
    (void)state;
    expect_no_trust(CERT_OTHER_NAME, true, "mismatch");
}

static void test_untrusted_certificate(void **state)
{
    (void)state;
    expect_no_trust(CERT_GOOD, false, "self-signed");
}

/* HTTP/1.1 where ALPN does not give h2 ------------------------------------------------------- */

/* `openssl s_server -www`: knows no ALPN, answers a GET with a page and closes. */
static pid_t start_s_server(int *ret_port)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    const char *cert = cert_path(CERT_GOOD);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execlp("openssl", "openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-cert", cert,
               "-key", cert, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    assert_non_null(f);
    char line[256];
    *ret_port = 0;
    while (*ret_port == 0 && fgets(line, sizeof(line), f))
        if (sscanf(line, "ACCEPT 127.0.0.1:%d", ret_port) != 1)
            *ret_port = 0;
    fclose(f);
    return pid;
}

static void test_http1_over_tls(void **state)
{
    (void)state;
    struct fixture f;
    struct probe p[3] = {{0}};
    int port;
    pid_t pid = start_s_server(&port);
    assert_true(port > 0);
    begin(&f, answer_whole);
    world_aim(&f.world, "https://localhost", port);
    world_connect(&f.world);
    struct upstream_request r = {.method = STR("GET"), .path = STR("/"), .idle_timeout_ms = 4000};
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start_with(&p[i], &f.world, &r);
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        if (p[i].n_fails)
            fail_msg("failed: %d %s", (int)p[i].why, p[i].detail);
        assert_int_equal(p[i].status, 200);
        assert_true(buf_append_char(&p[i].body, '\0'));
        assert_non_null(strstr(p[i].body.data, "s_server"));
        probe_done(&p[i]);
    }
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call),
        cmocka_unit_test(test_no_bodies),
        cmocka_unit_test(test_big_upload),
        cmocka_unit_test(test_answer_before_the_body_is_sent),
        cmocka_unit_test(test_head_before_the_body_is_sent),
        cmocka_unit_test(test_burst_on_one_connection),
        cmocka_unit_test(test_full_connection_is_enough),
        cmocka_unit_test(test_server_limit_makes_connections),
        cmocka_unit_test(test_bounded_connections),
        cmocka_unit_test(test_small_limit),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_goaway_when_idle),
        cmocka_unit_test(test_refused_stream_goes_elsewhere),
        cmocka_unit_test(test_refused_for_ever),
        cmocka_unit_test(test_reset_in_the_middle),
        cmocka_unit_test(test_cut_in_the_middle),
        cmocka_unit_test(test_stale_connection_is_retried),
        cmocka_unit_test(test_fresh_connection_cut),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_not_http2_at_all),
        cmocka_unit_test(test_stalled_stream),
        cmocka_unit_test(test_no_answer_to_ping),
        cmocka_unit_test(test_quiet_but_alive),
        cmocka_unit_test(test_rested_connection_is_doubted),
        cmocka_unit_test(test_idle_connection_is_closed),
        cmocka_unit_test(test_paused_reader_beside_a_running_one),
        cmocka_unit_test(test_pausing_again_and_again),
        cmocka_unit_test(test_paused_over_the_end),
        cmocka_unit_test(test_cancel_on_a_quiet_connection),
        cmocka_unit_test(test_cancel_in_callbacks),
        cmocka_unit_test(test_cancel_before_it_is_sent),
        cmocka_unit_test(test_destroy_in_callbacks),
        cmocka_unit_test(test_destroy_with_calls),
        cmocka_unit_test(test_expired_certificate),
        cmocka_unit_test(test_certificate_for_another_name),
        cmocka_unit_test(test_untrusted_certificate),
        cmocka_unit_test(test_http1_over_tls),
    };
    return cmocka_run_group_tests(tests, NULL, certs_remove);
}

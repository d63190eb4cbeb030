/*
 * The pool over HTTP/1.1: connections kept, shared and bounded, back-pressure both ways,
 * cancelling, the pool's end.
 */
#include "upstream/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/connection.h"

static void answer_ok(struct h1_peer *p, struct str text)
{
    (void)text;
    peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
}

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

static bool peer_is_gone(void *arg)
{
    struct h1_fixture *f = arg;
    return f->server.peers && f->server.peers->is_gone;
}

/* Keeping and sharing connections ----------------------------------------------------------- */

static void test_a_hundred_on_one_connection(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_ok);
    world_connect(&f.world);
    for (int i = 0; i < 100; i++) {
        call_once(&f.world, &p);
        assert_answer(&p, 200, "hello");
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.n_requests, 100);
    h1_finish(&f);
}

static void test_bounded_connections(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p[200] = {{0}};
    h1_begin(&f, answer_ok);
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
    h1_finish(&f);
}

static bool is_dialing_bounded = true;

static bool all_sent(void *arg)
{
    struct h1_fixture *f = arg;
    size_t dialing = f->world.upstream->n_in_phase[PHASE_DIALING];
    is_dialing_bounded = is_dialing_bounded && dialing <= POOL_DIALS_MAX;
    return f->server.n_requests == 300;
}

/* Every call needs a connection of its own, but they are not all dialled at once. */
static void test_burst_is_no_storm(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p[300] = {{0}};
    h1_begin(&f, say_nothing);
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
    h1_finish(&f);
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_ok);
    f.world.settings.idle_close_ms = 1000;
    world_connect(&f.world);
    call_once(&f.world, &p);
    probe_done(&p);
    run_for(&f.world, 600);
    call_once(&f.world, &p); /* the time begins anew */
    probe_done(&p);
    run_for(&f.world, 600);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    run_until(&f.world, peer_is_gone, &f);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    assert_int_equal(f.server.n_peers, 1);
    assert_true(f.server.peers->is_gone);
    h1_finish(&f);
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
        struct h1_fixture f;
        struct probe p;
        h1_begin(&f, i == 0 ? answer_and_more : answer_and_close);
        world_connect(&f.world);
        for (int k = 1; k <= 3; k++) {
            call_once(&f.world, &p);
            assert_answer(&p, 200, "ok");
            probe_done(&p);
            assert_int_equal(f.server.n_peers, k);
            assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
        }
        h1_finish(&f);
    }
}

static void test_bytes_nobody_asked_for(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p;
    h1_begin(&f, answer_ok);
    world_connect(&f.world);
    call_once(&f.world, &p);
    probe_done(&p);
    peer_say(f.server.peers, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
    run_for(&f.world, 20);
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    call_once(&f.world, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    h1_finish(&f);
}

/* Back-pressure ----------------------------------------------------------------------------- */

static struct connection *first_connection(struct h1_fixture *f)
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
    struct h1_fixture *f = arg;
    return f->server.n_peers > 0;
}

static void test_big_upload_to_a_slow_reader(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {0};
    char *body = malloc(BIG_BYTES);
    assert_non_null(body);
    memset(body, 1, BIG_BYTES);
    h1_begin(&f, answer_count);
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
    h1_finish(&f);
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
    struct h1_fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    h1_begin(&f, refuse_and_close);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "big");
    probe_done(&p);
    h1_finish(&f);
}

static void test_answer_before_the_body_is_sent(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    h1_begin(&f, refuse_early);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "big");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    h1_finish(&f);
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
    struct h1_fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    h1_begin(&f, answer_head_early);
    f.server.answers_heads = true;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_has_data, &p);
    run_for(&f.world, 50);
    assert_true(f.server.peers->in.len < BIG_BYTES);
    peer_say(f.server.peers, "defg");
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "abcdefg");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    h1_finish(&f);
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

static void test_paused_reader(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {.in_head = pause_there};
    h1_begin(&f, answer_big);
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
    run_until(&f.world, probe_has_data, &p);
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
    h1_finish(&f);
}

/* The whole answer arrives while its reader rests; the connection serves others meanwhile. */
static void test_paused_over_the_end(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {.in_head = pause_there}, other;
    h1_begin(&f, answer_ok);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_for(&f.world, 50);
    assert_int_equal(p.n_heads, 1);
    assert_int_equal(p.n_data + p.n_ends, 0);
    call_once(&f.world, &other);
    assert_answer(&other, 200, "hello");
    assert_int_equal(f.server.n_peers, 1);
    probe_done(&other);
    upstream_resume(p.call);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "hello");
    probe_done(&p);
    h1_finish(&f);
}

/* Cancelling -------------------------------------------------------------------------------- */

static void test_cancel_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct h1_fixture f;
        struct probe p = {0};
        h1_begin(&f, begin_and_stall);
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
        h1_finish(&f);
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
    struct h1_fixture f;
    struct probe p[4] = {{0}};
    h1_begin(&f, answer_ok);
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
    h1_finish(&f);
}

static void test_cancel_is_seen_soon(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p = {0};
    h1_begin(&f, begin_and_stall);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_until(&f.world, probe_has_data, &p);
    run_for(&f.world, 20);
    int64_t start_us = loop_now_us(f.world.loop);
    upstream_cancel(p.call);
    run_until(&f.world, peer_is_gone, &f);
    assert_in_range(f.server.peers->gone_us - start_us, 0, 50000);
    probe_done(&p);
    h1_finish(&f);
}

/* The pool's end ---------------------------------------------------------------------------- */

static void test_destroy_with_calls(void **state)
{
    (void)state;
    struct h1_fixture f;
    struct probe p[4] = {{0}};
    h1_begin(&f, answer_ok);
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
    h1_finish(&f);
}

static void test_destroy_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct h1_fixture f;
        struct probe p[3] = {{0}};
        h1_begin(&f, answer_ok);
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
        h1_finish(&f);
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
    struct h1_fixture f;
    h1_begin(&f, answer_ok);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        struct upstream_request r = {
            .method = STR("GET"), .path = STR("/"), .headers = &bad[i], .n_headers = 1};
        assert_null(upstream_start(f.world.upstream, &r, &none, NULL));
    }
    struct upstream_request r = {.method = STR("GET"), .path = STR("/ HTTP/1.1\r\nx: y")};
    assert_null(upstream_start(f.world.upstream, &r, &none, NULL));
    assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
    h1_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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

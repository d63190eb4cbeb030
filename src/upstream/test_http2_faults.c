/*
 * HTTP/2 connections that break, fall silent or answer nonsense; flow control; cancelling; the
 * pool's end.
 */
#include "upstream/test_h2_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/call.h"
#include "upstream/connection.h"

static void refuse(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_reset(s, H2_REFUSED_STREAM);
}

/* Faults ------------------------------------------------------------------------------------ */

static void test_reset_in_the_middle(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p = {0}, other = {0};
    h2_begin(&f, answer_part);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/a", STR("{}"));
    probe_start(&other, &f.world, "/b", STR("{}"));
    run_until(&f.world, probe_has_data, &p);
    stream_reset(h2_server_find(&f.server, "/a"), H2_INTERNAL_ERROR);
    run_until(&f.world, probe_is_over, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "INTERNAL_ERROR");
    assert_int_equal(p.body_bytes, 100);
    stream_go_on(h2_server_find(&f.server, "/b"), 7);
    run_until(&f.world, probe_is_over, &other);
    assert_whole(&other, 107);
    probe_done(&p);
    probe_done(&other);
    h2_finish(&f);
}

static void test_cut_in_the_middle(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p[3] = {{0}};
    h2_begin(&f, answer_part);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    run_until(&f.world, probe_has_data, &p[2]);
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
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, cut_at_second);
    world_connect(&f.world);
    for (int i = 0; i < 4; i++) {
        call_once(&f.world, &p);
        assert_whole(&p, 5);
        probe_done(&p);
        run_for(&f.world, 40); /* what still comes of the first must not count for the second */
    }
    assert_int_equal(f.server.n_peers, 4);
    assert_int_equal(f.server.n_requests, 7);
    h2_finish(&f);
}

static void cut_at_first(struct h2_test_stream *s)
{
    peer_cut(s->peer);
}

static void test_fresh_connection_cut(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, cut_at_first);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "");
    assert_int_equal(f.server.n_requests, 1);
    probe_done(&p);
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_whole);
    world_connect(&f.world);
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        f.server.on_request = bad[i];
        call_once(&f.world, &p);
        assert_failure(&p, UPSTREAM_BAD_ANSWER, i < 2 ? "too large" : "PROTOCOL_ERROR");
        probe_done(&p);
        f.server.on_request = answer_whole;
        call_once(&f.world, &p); /* the connection is none the worse */
        assert_whole(&p, 5);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 1);
    h2_finish(&f);
}

static void test_not_http2_at_all(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_whole);
    f.server.speaks_garbage = true;
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_BAD_ANSWER, "HTTP/2");
    assert_int_equal(upstream_stats(f.world.upstream).connections, 0);
    probe_done(&p);
    h2_finish(&f);
}

/* Silence ----------------------------------------------------------------------------------- */

static void test_stalled_stream(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct h2_fixture f;
        struct probe p = {0};
        h2_begin(&f, i == 0 ? say_nothing : answer_part);
        world_connect(&f.world);
        struct upstream_request r = {.method = STR("POST"),
                                     .path = STR("/stalled"),
                                     .body.own = STR("{}"),
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
        h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p[3] = {{0}}, after;
    h2_begin(&f, fall_silent);
    f.world.settings.ping_after_ms = 100;
    world_connect(&f.world);
    int64_t start_us = loop_now_us(f.world.loop);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++)
        probe_start(&p[i], &f.world, "/", STR("{}"));
    struct probes all = {p, PX_ARRAY_LEN(p)};
    run_until(&f.world, probes_are_over, &all);
    for (size_t i = 0; i < PX_ARRAY_LEN(p); i++) {
        assert_failure(&p[i], UPSTREAM_DISCONNECTED, "PING");
        assert_in_range(p[i].ended_us - start_us, 180000, 2500000);
        probe_done(&p[i]);
    }
    call_once(&f.world, &after);
    assert_whole(&after, 5);
    probe_done(&after);
    h2_finish(&f);
}

static void test_quiet_but_alive(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p = {0};
    h2_begin(&f, answer_part);
    f.world.settings.ping_after_ms = 40;
    world_connect(&f.world);
    probe_start(&p, &f.world, "/quiet", STR("{}"));
    run_for(&f.world, 500); /* many PINGs, all answered */
    assert_false(probe_is_over(&p));
    stream_go_on(h2_server_find(&f.server, "/quiet"), 1);
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, 101);
    probe_done(&p);
    h2_finish(&f);
}

/* Rested longer than ping_after_ms, and dead: found out sooner than by a timeout of the call. */
static void test_rested_connection_is_doubted(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_whole);
    f.world.settings.ping_after_ms = 100;
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    run_for(&f.world, 150);
    f.server.peers->is_mute = true;
    int64_t start_us = loop_now_us(f.world.loop);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "PING");
    assert_in_range(p.ended_us - start_us, 90000, 2500000);
    probe_done(&p);
    h2_finish(&f);
}

static bool has_no_connection(void *arg)
{
    struct h2_fixture *f = arg;
    return upstream_stats(f->world.upstream).connections == 0;
}

static void test_idle_connection_is_closed(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_whole);
    f.world.settings.idle_close_ms = 400;
    f.world.settings.ping_after_ms = 30;
    world_connect(&f.world);
    call_once(&f.world, &p);
    probe_done(&p);
    run_for(&f.world, 200); /* no PING without calls: the rest is not interrupted */
    assert_int_equal(upstream_stats(f.world.upstream).connections, 1);
    run_until(&f.world, has_no_connection, &f);
    run_for(&f.world, 20);
    assert_true(f.server.peers->is_gone);
    h2_finish(&f);
}

/* Back-pressure ------------------------------------------------------------------------------ */

static void answer_big(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, BIG_BYTES, false);
}

static void test_paused_reader_beside_a_running_one(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe slow = {.in_head = pause_there}, fast = {0};
    h2_begin(&f, answer_big);
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
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p = {.in_data = pause_and_breathe};
    h2_begin(&f, answer_big);
    f.world.settings.stream_window_bytes = 1024 * 1024;
    world_connect(&f.world);
    timer_init(&breather, f.world.loop, resume_soon, &p);
    probe_start(&p, &f.world, "/", STR("{}"));
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, BIG_BYTES);
    timer_done(&breather);
    probe_done(&p);
    h2_finish(&f);
}

static void test_paused_over_the_end(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p = {.in_head = pause_there};
    h2_begin(&f, answer_whole);
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
    h2_finish(&f);
}

/* Cancelling and the pool's end -------------------------------------------------------------- */

static bool stream_is_closed(void *arg)
{
    const struct h2_test_stream *s = arg;
    return s->is_closed;
}

static bool has_arrived(void *arg)
{
    return h2_server_find(arg, "/left") != NULL;
}

static void test_cancel_on_a_quiet_connection(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct h2_fixture f;
        struct probe p = {0};
        h2_begin(&f, i == 0 ? say_nothing : answer_part);
        world_connect(&f.world);
        probe_start(&p, &f.world, "/left", STR("{}"));
        run_until(&f.world, has_arrived, &f.server);
        run_for(&f.world, 20);
        struct h2_test_stream *s = h2_server_find(&f.server, "/left");
        int64_t start_us = loop_now_us(f.world.loop);
        upstream_cancel(p.call);
        run_until(&f.world, stream_is_closed, s);
        assert_int_equal(s->close_code, H2_CANCEL);
        assert_in_range(s->closed_us - start_us, 0, 50000);
        assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
        assert_int_equal(p.n_ends + p.n_fails, 0);
        probe_done(&p);
        h2_finish(&f);
    }
}

static void test_cancel_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct h2_fixture f;
        struct probe p[2] = {{0}};
        h2_begin(&f, answer_big);
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
        h2_finish(&f);
    }
}

/* Opened and cancelled in the same turn: the stream may never reach the server, its place is free.
 */
static void test_cancel_before_it_is_sent(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe first, p = {0}, last;
    h2_begin(&f, answer_whole);
    f.server.max_concurrent = 1;
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    call_once(&f.world, &first);
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
    call_once(&f.world, &last);
    assert_whole(&last, 5);
    probe_done(&first);
    probe_done(&last);
    assert_int_equal(f.server.n_peers, 1);
    h2_finish(&f);
}

static void test_destroy_in_callbacks(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        static struct probe p[40];
        struct h2_fixture f;
        struct probe first;
        h2_begin(&f, answer_whole);
        f.server.max_concurrent = 5;
        f.world.settings.max_connections = 3;
        world_connect(&f.world);
        call_once(&f.world, &first); /* so that the next ones are sent, and answered, together */
        probe_done(&first);
        f.server.on_request = i == 3 ? refuse : answer_whole;
        for (size_t k = 0; k < PX_ARRAY_LEN(p); k++) {
            struct upstream_request r = {.method = STR("POST"),
                                         .path = STR("/"),
                                         .body.own = STR("{}"),
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
        h2_finish(&f);
    }
}

static void test_destroy_with_calls(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p[20] = {{0}};
    h2_begin(&f, answer_part);
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
    h2_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, certs_remove);
}

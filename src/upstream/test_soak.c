/*
 * Many calls at once against servers that do anything at random, from callers that cancel, pause
 * and go on at random: every call ends exactly once or was cancelled, nothing is left behind, the
 * pool's bounds hold. The seed is fixed, the network's timing is not; run under ASan it finds
 * what is freed too early or never.
 */
#include "upstream/test_h2_server.h"

#include <stdio.h>
#include <string.h>

#define CALLS       1500
#define AT_ONCE     120
#define CONNECTIONS 6

static uint32_t seed = 20261122;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

/* Servers --------------------------------------------------------------------------------- */

static void h2_misbehave(struct h2_test_stream *s)
{
    if (!s->is_whole)
        return;
    /* What hits a whole connection ends many calls: not too often. */
    uint32_t what = roll(40);
    if ((what == 2 || what == 7) && roll(4) > 0)
        what = 39;
    switch (what) {
    case 0:
        stream_reset(s, roll(14));
        return;
    case 1:
        peer_goaway(s->peer, s->id - (int32_t)(roll(3) * 2), 0);
        stream_answer(s, 200, 100, false);
        return;
    case 2:
        peer_cut(s->peer);
        return;
    case 3:
        return; /* silence */
    case 4:
        stream_answer(s, 200, 10, true);
        return;
    case 5:
        stream_headers(s, 120, 20);
        return;
    case 6:
        stream_answer_sized(s, 10, 11);
        return;
    case 7:
        s->peer->is_mute = true;
        return;
    case 8:
        stream_informational(s, 103);
        stream_answer(s, 200, 300000, false);
        return;
    default:
        stream_answer(s, 200, roll(30000), false);
    }
}

static void h1_misbehave(struct h1_peer *p, struct str text)
{
    (void)text;
    switch (roll(30)) {
    case 0:
        peer_close(p);
        return;
    case 1:
        peer_reset(p);
        return;
    case 2:
        return;
    case 3:
        peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
        peer_close(p);
        return;
    case 4:
        peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
        return;
    case 5:
        peer_say(p, "nonsense\r\n\r\n");
        return;
    case 6:
        peer_say(p, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcabc");
        return;
    case 7:
        peer_say(p, "HTTP/1.1 200 OK\r\n\r\nabc");
        peer_close(p);
        return;
    default:
        peer_say(p, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for (uint32_t i = roll(20); i > 0; i--)
            peer_say(p, "5\r\nhello\r\n");
        peer_say(p, "0\r\n\r\n");
    }
}

/* Callers --------------------------------------------------------------------------------- */

static struct probe probes[CALLS];
static bool is_cancelled[CALLS];
static size_t n_started, n_over, n_answered;
static struct world *world;
static struct timer driver;
static char body[200000];

static void act(struct probe *p)
{
    if (!p->call)
        return;
    switch (roll(30)) {
    case 0:
        upstream_cancel(p->call);
        p->call = NULL;
        is_cancelled[p - probes] = true;
        n_over++;
        return;
    case 1:
    case 2:
        upstream_pause(p->call);
        return;
    case 3:
        upstream_pause(p->call);
        upstream_resume(p->call);
        return;
    default:
        return;
    }
}

static void count_end(struct probe *p)
{
    n_over++;
    n_answered += (size_t)p->n_ends;
    act(&probes[roll((uint32_t)n_started)]); /* another one, from inside this one's callback */
}

static void start_one(void)
{
    struct probe *p = &probes[n_started++];
    p->in_head = p->in_data = act;
    p->in_end = count_end;
    struct upstream_request r = {
        .method = STR("POST"),
        .path = STR("/"),
        .body.own = {body, roll(10) == 0 ? sizeof(body) : roll(100) + 1},
        .idle_timeout_ms = 100 + roll(100),
    };
    probe_start_with(p, world, &r);
}

static void on_drive(void *arg)
{
    (void)arg;
    while (n_started < CALLS && n_started - n_over < AT_ONCE)
        start_one();
    for (size_t i = 0; i < n_started; i++) {
        if (!probes[i].call)
            continue;
        if (roll(3) == 0)
            upstream_resume(probes[i].call);
        else if (roll(20) == 0)
            act(&probes[i]);
    }
    struct upstream_stats s = upstream_stats(world->upstream);
    assert_int_equal(s.calls, n_started - n_over);
    /* Those that only finish what they carry come on top. */
    assert_in_range(s.connections, 0, CONNECTIONS + s.calls);
    timer_start(&driver, 2);
}

static bool all_over(void *arg)
{
    (void)arg;
    return n_over == CALLS;
}

static void soak(struct world *w)
{
    world = w;
    n_started = n_over = n_answered = 0;
    memset(probes, 0, sizeof(probes));
    memset(is_cancelled, 0, sizeof(is_cancelled));
    w->settings.max_connections = CONNECTIONS;
    w->settings.ping_after_ms = 60;
    w->settings.idle_close_ms = 30;
    world_connect(w);
    timer_init(&driver, w->loop, on_drive, NULL);
    timer_start(&driver, 1);
    for (int i = 0; i < 10 && n_over < CALLS; i++)
        run_for(w, 2000);
    assert_true(all_over(NULL));
    timer_stop(&driver);
    run_for(w, 200);
    timer_done(&driver);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(probes[i].n_ends + probes[i].n_fails + is_cancelled[i], 1);
        probe_done(&probes[i]);
    }
    struct upstream_stats s = upstream_stats(w->upstream);
    assert_int_equal(s.calls + s.waiting_calls, 0);
    assert_int_equal(s.connections, 0); /* all idle, all closed */
    print_message("%zu of %d answered\n", n_answered, CALLS);
    assert_true(n_answered > CALLS / 10);
    upstream_destroy(w->upstream);
    w->upstream = NULL;
    run_for(w, 1);
}

static void test_http2(void **state)
{
    (void)state;
    struct world w;
    struct h2_server server;
    world_init(&w);
    h2_server_start(&server, &w, CERT_GOOD, h2_misbehave);
    server.max_concurrent = 30;
    soak(&w);
    h2_server_stop(&server);
    world_done(&w);
}

static void test_http1(void **state)
{
    (void)state;
    struct world w;
    struct h1_server server;
    world_init(&w);
    h1_server_start(&server, &w, h1_misbehave);
    soak(&w);
    h1_server_stop(&server);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http2),
        cmocka_unit_test(test_http1),
    };
    return cmocka_run_group_tests(tests, NULL, certs_remove);
}

/*
 * Calls over HTTP/2 and TLS: messages, multiplexing within the server's limit, refusals and
 * goodbyes, certificates, and HTTP/1.1 where the server knows nothing else.
 */
#include "upstream/test_h2_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "upstream/pool.h"

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
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_with_everything);
    world_connect(&f.world);
    call_once(&f.world, &p);
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
    call_once(&f.world, &p);
    assert_answer(&p, 200, "yyyyy");
    probe_done(&p);
    assert_int_equal(f.server.n_peers, 1);
    h2_finish(&f);
}

static void answer_without_body(struct h2_test_stream *s)
{
    stream_answer(s, 529, 0, false);
}

static void test_no_bodies(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p = {0};
    h2_begin(&f, answer_without_body);
    world_connect(&f.world);
    struct upstream_request r = {
        .method = STR("GET"), .path = STR("/v1/models"), .idle_timeout_ms = 1000};
    probe_start_with(&p, &f.world, &r);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 529, "");
    probe_done(&p);
    h2_finish(&f);
}

static void test_big_upload(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p = {0};
    char *body = calloc(1, BIG_BYTES);
    assert_non_null(body);
    h2_begin(&f, answer_whole);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/big", (struct str){body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_whole(&p, 5);
    assert_int_equal(h2_server_find(&f.server, "/big")->body_bytes, BIG_BYTES);
    probe_done(&p);
    free(body);
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p = {.in_head = release_body}, next;
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    h2_begin(&f, answer_early);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 413, "yyy");
    run_for(&f.world, 20);
    assert_true(f.server.peers->streams->is_closed);
    probe_done(&p);
    f.server.on_request = answer_whole;
    call_once(&f.world, &next);
    assert_whole(&next, 5);
    probe_done(&next);
    assert_int_equal(f.server.n_peers, 1);
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p = {.in_head = release_body};
    early_body = calloc(1, BIG_BYTES);
    assert_non_null(early_body);
    h2_begin(&f, answer_head_early);
    world_connect(&f.world);
    probe_start(&p, &f.world, "/early", (struct str){early_body, BIG_BYTES});
    run_until(&f.world, probe_has_data, &p);
    run_for(&f.world, 50);
    struct h2_test_stream *s = h2_server_find(&f.server, "/early");
    assert_false(s->is_whole);
    stream_go_on(s, 4);
    run_until(&f.world, probe_is_over, &p);
    assert_answer(&p, 200, "yyyyyyy");
    run_for(&f.world, 20);
    assert_true(s->is_closed);
    probe_done(&p);
    h2_finish(&f);
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

static void run_many(struct h2_fixture *f, struct probe *p, size_t n)
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
    struct h2_fixture f;
    n_expected = 300;
    h2_begin(&f, answer_together);
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.n_requests, 300);
    assert_int_equal(f.server.peers->max_open, 300);
    h2_finish(&f);
}

static void test_server_limit_makes_connections(void **state)
{
    (void)state;
    static struct probe p[50];
    struct h2_fixture f;
    n_expected = 50;
    h2_begin(&f, answer_together);
    f.server.max_concurrent = 10;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 5);
    for (struct h2_peer *peer = f.server.peers; peer; peer = peer->next)
        assert_int_equal(peer->max_open, 10);
    h2_finish(&f);
}

static void test_bounded_connections(void **state)
{
    (void)state;
    static struct probe p[500];
    struct h2_fixture f;
    h2_begin(&f, answer_thousand);
    f.server.max_concurrent = 10;
    f.world.settings.max_connections = 2;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_in_range(f.server.n_peers, 1, 2);
    for (struct h2_peer *peer = f.server.peers; peer; peer = peer->next)
        assert_in_range(peer->max_open, 1, 10);
    assert_int_equal(upstream_stats(f.world.upstream).calls, 0);
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe first;
    h2_begin(&f, answer_whole);
    f.server.max_concurrent = 10;
    world_connect(&f.world);
    call_once(&f.world, &first); /* the limit is known from here on */
    f.server.on_request = answer_thousand;
    n_chain = 0;
    for (int i = 0; i < 10; i++)
        start_next(&first);
    run_until(&f.world, chain_is_over, NULL);
    for (size_t i = 0; i < n_chain; i++) {
        assert_whole(&chain[i], 1000);
        probe_done(&chain[i]);
    }
    probe_done(&first);
    assert_int_equal(f.server.n_peers, 1);
    assert_int_equal(f.server.peers->max_open, 10);
    h2_finish(&f);
}

static void answer_in_frames(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, 40000, false); /* three frames, in turn with those of others */
}

/* However many frames of it a read has, and whoever's are between them. */
static void test_a_read_is_given_at_once(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p[3];
    h2_begin(&f, answer_in_frames);
    world_connect(&f.world);
    for (size_t i = 0; i < 3; i++) {
        p[i] = (struct probe){0};
        probe_start(&p[i], &f.world, "/", STR("{}"));
    }
    struct probes all = {p, 3};
    run_until(&f.world, probes_are_over, &all);
    int n_data = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_whole(&p[i], 40000);
        n_data += p[i].n_data;
        probe_done(&p[i]);
    }
    assert_true(n_data < 9);
    h2_finish(&f);
}

/* A limit below what is opened before it is known: what was refused is sent again. */
static void test_small_limit(void **state)
{
    (void)state;
    static struct probe p[20];
    struct h2_fixture f;
    h2_begin(&f, answer_thousand);
    f.server.max_concurrent = 2;
    f.world.settings.max_connections = 1;
    world_connect(&f.world);
    run_many(&f, p, PX_ARRAY_LEN(p));
    assert_int_equal(f.server.n_peers, 1);
    h2_finish(&f);
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
    struct h2_fixture *f = arg;
    return f->server.n_requests == 5;
}

static void test_goaway(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p[3] = {{0}}, after;
    h2_begin(&f, goodbye_after_three);
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
    call_once(&f.world, &after); /* not on the old one */
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
    h2_finish(&f);
}

static bool first_peer_is_gone(void *arg)
{
    struct h2_fixture *f = arg;
    return h2_server_peer(&f->server, 1)->is_gone;
}

static void test_goaway_when_idle(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, answer_whole);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    peer_goaway(f.server.peers, 1, H2_NO_ERROR);
    run_until(&f.world, first_peer_is_gone, &f);
    call_once(&f.world, &p);
    assert_whole(&p, 5);
    probe_done(&p);
    assert_int_equal(f.server.n_peers, 2);
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, refuse_on_first);
    world_connect(&f.world);
    for (int i = 0; i < 3; i++) {
        call_once(&f.world, &p);
        assert_whole(&p, 5);
        probe_done(&p);
    }
    assert_int_equal(f.server.n_peers, 2);
    assert_int_equal(f.server.n_requests, 4);
    h2_finish(&f);
}

static void refuse(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_reset(s, H2_REFUSED_STREAM);
}

static void test_refused_for_ever(void **state)
{
    (void)state;
    struct h2_fixture f;
    struct probe p;
    h2_begin(&f, refuse);
    world_connect(&f.world);
    call_once(&f.world, &p);
    assert_failure(&p, UPSTREAM_DISCONNECTED, "refused");
    assert_int_equal(f.server.n_requests, POOL_TRIES_MAX);
    probe_done(&p);
    h2_finish(&f);
}

/* Certificates ------------------------------------------------------------------------------- */

static void expect_no_trust(enum cert_kind kind, bool is_trusted, const char *reason)
{
    char why[256];
    struct h2_fixture f;
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
    h2_finish(&f);
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
    struct h2_fixture f;
    struct probe p[3] = {{0}};
    int port;
    pid_t pid = start_s_server(&port);
    assert_true(port > 0);
    h2_begin(&f, answer_whole);
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
    h2_finish(&f);
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
        cmocka_unit_test(test_a_read_is_given_at_once),
        cmocka_unit_test(test_small_limit),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_goaway_when_idle),
        cmocka_unit_test(test_refused_stream_goes_elsewhere),
        cmocka_unit_test(test_refused_for_ever),
        cmocka_unit_test(test_expired_certificate),
        cmocka_unit_test(test_certificate_for_another_name),
        cmocka_unit_test(test_untrusted_certificate),
        cmocka_unit_test(test_http1_over_tls),
    };
    return cmocka_run_group_tests(tests, NULL, certs_remove);
}

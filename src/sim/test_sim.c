/*
 * The simulator over real sockets: answers, streams, faults, clients that leave, what it recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "sim/sim.h"

#define WAIT_MS 20000

static struct sim *sim;

static int start(void **state)
{
    (void)state;
    char why[256] = "";
    const struct sim_options o = {.host = "127.0.0.1", .workers = 2};
    sim = sim_start(&o, why, sizeof(why));
    if (!sim)
        fail_msg("%s", why);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop(sim);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)sim_port(sim)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        p += sent;
        n -= (size_t)sent;
    }
}

/* Reads until the peer closes, or `until` came. False when neither happened in time. */
static bool read_until(int fd, struct buf *b, const char *until)
{
    int64_t end_us = clock_mono_us() + WAIT_MS * 1000;
    while (clock_mono_us() < end_us) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        char *to = buf_reserve(b, 65536);
        assert_non_null(to);
        ssize_t n = recv(fd, to, 65536, 0);
        if (n <= 0)
            return until == NULL;
        b->len += (size_t)n;
        if (until && str_find(buf_str(b), str_of(until)) >= 0)
            return true;
    }
    return false;
}

static void send_request(int fd, const char *method, const char *path, const char *headers,
                         const char *body)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "%s %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %zu\r\n\r\n%s", method, path,
               headers, strlen(body), body);
    send_all(fd, b.data, b.len);
    buf_done(&b);
}

#define AUTH  "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
#define CLOSE AUTH "connection: close\r\n"
#define ASK(extra, text)                                                                           \
    "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1000," extra                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define STREAM "\"stream\":true,"

/* One request on a connection of its own; the answer with its head. */
static void ask(struct buf *b, const char *method, const char *path, const char *headers,
                const char *body)
{
    int fd = dial();
    buf_init(b, 64 << 20);
    send_request(fd, method, path, headers, body);
    if (!read_until(fd, b, NULL))
        fail_msg("no whole answer to %s %s: %.*s", method, path, STR_ARG(buf_str(b)));
    close(fd);
}

static void assert_has(const struct buf *b, const char *needle)
{
    if (str_find(buf_str(b), str_of(needle)) < 0)
        fail_msg("'%s' is not in %.*s", needle, STR_ARG(buf_str(b)));
}

static void assert_lacks(const struct buf *b, const char *needle)
{
    if (str_find(buf_str(b), str_of(needle)) >= 0)
        fail_msg("'%s' is in %.*s", needle, STR_ARG(buf_str(b)));
}

static void expect(const char *path, const char *headers, const char *body, const char *status,
                   const char *needle)
{
    struct buf b;
    ask(&b, "POST", path, headers, body);
    assert_has(&b, status);
    assert_has(&b, needle);
    buf_done(&b);
}

static void answers_json(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "POST", "/v1/messages", CLOSE, ASK("", "What's the capital of France?"));
    assert_has(&b, "HTTP/1.1 200 OK\r\n");
    assert_has(&b, "content-type: application/json\r\n");
    assert_has(&b, "request-id: req_01");
    assert_has(&b, "anthropic-ratelimit-output-tokens-remaining: ");
    assert_has(&b, "{\"model\":\"claude-haiku-4-5-20251001\",\"id\":\"msg_01");
    assert_has(&b, "The capital of France is Paris.");
    buf_done(&b);
}

static void answers_streams(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "POST", "/anthropic/v1/messages?beta=true", CLOSE,
        ASK(STREAM, "x [[sim: words=50 gap=1ms]]"));
    assert_has(&b, "content-type: text/event-stream; charset=utf-8\r\n");
    assert_has(&b, "event: message_start\n");
    assert_has(&b, "data: {\"type\": \"ping\"}\n\n");
    assert_has(&b, "event: message_stop\n");
    assert_has(&b, "\r\n0\r\n\r\n");
    buf_done(&b);
}

static void refuses_as_the_api_does(void **state)
{
    (void)state;
    const char *ok = ASK("", "hi");
    expect("/v1/messages", CLOSE, "{", "400 Bad", "The request body is not valid JSON");
    expect("/v1/messages", "anthropic-version: 2023-06-01\r\nconnection: close\r\n", ok, "401 Un",
           "x-api-key header is required");
    expect("/v1/messages", "x-api-key: k\r\nconnection: close\r\n", ok, "400 Bad",
           "anthropic-version: header is required");
    expect("/v1/messages",
           "anthropic-version: 2023-06-01\r\nx-api-key: sk-ant-invalid-1\r\nconnection: close\r\n",
           ok, "401 Un", "invalid x-api-key");
    expect("/v1/messages", CLOSE "authorization: Bearer k\r\n", ok, "401 Un", "cannot both be set");
    expect("/v1/messages", CLOSE, ASK("\"n\":1,", "hi"), "x-should-retry: false",
           "n: Extra inputs are not permitted");
    expect("/v1/nothing", CLOSE, ok, "404 Not Found", "not_found_error");
    expect("/v1/messages", CLOSE "x-sim: status=529\r\n", ok, "HTTP/1.1 529 ", "overloaded_error");
    expect("/v1/messages", CLOSE "x-sim: status=413\r\n", ok, "HTTP/1.1 413 ",
           "\r\n\r\n{\"error\":{\"type\":\"request_too_large\"");
    expect("/v1/messages/count_tokens", CLOSE,
           "{\"model\":\"claude-haiku-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
           "200 OK", "{\"input_tokens\":8}");
}

static void refuses_a_body_that_is_too_large(void **state)
{
    (void)state;
    struct buf b;
    int fd = dial();
    const char head[] =
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\n" AUTH "content-length: 33554433\r\n\r\n{";
    buf_init(&b, 1 << 20);
    send_all(fd, head, sizeof(head) - 1);
    assert_true(read_until(fd, &b, NULL));
    assert_has(&b, "HTTP/1.1 413 ");
    assert_lacks(&b, "\"type\":\"error\"");
    close(fd);
    buf_done(&b);
}

static void lists_models_in_pages(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "GET", "/v1/models?limit=2", CLOSE, "");
    assert_has(
        &b,
        "\"has_more\":true,\"first_id\":\"claude-fable-5-2\",\"last_id\":\"claude-mythos-5-2\"}");
    buf_done(&b);
    ask(&b, "GET", "/v1/models?limit=100&after_id=claude-mythos-5-2", CLOSE, "");
    assert_has(&b, "\"has_more\":false,\"first_id\":\"claude-haiku-5-5\",\"last_id\":\"claude-"
                   "sonnet-4-5-20250929\"}");
    assert_lacks(&b, "retired");
    buf_done(&b);
    ask(&b, "GET", "/v1/models?lifecycle=retired", CLOSE, "");
    assert_has(&b, "claude-3-haiku-20240307");
    buf_done(&b);
    ask(&b, "GET", "/v1/models/claude-opus-4-5", CLOSE, "");
    assert_has(&b, "{\"type\":\"model\",\"id\":\"claude-opus-4-5-20251101\"");
    buf_done(&b);
    ask(&b, "GET", "/v1/models?limit=0", CLOSE, "");
    assert_has(&b, "limit: Input should be greater than or equal to 1");
    buf_done(&b);
}

static void does_harm_on_request(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "POST", "/v1/messages", AUTH, ASK(STREAM, "x [[sim: words=9 cut=2]]"));
    assert_has(&b, " river");
    assert_lacks(&b, " runs");
    assert_lacks(&b, "\r\n0\r\n");
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", AUTH, ASK(STREAM, "x [[sim: cut=head]]"));
    assert_int_equal(b.len, 0);
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", CLOSE, ASK(STREAM, "x [[sim: words=9 end=2]]"));
    assert_has(&b, "\r\n0\r\n");
    assert_lacks(&b, "message_stop");
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", CLOSE,
        ASK(STREAM, "x [[sim: error=overloaded_error after=1 words=3]]"));
    assert_has(&b, "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,");
    assert_lacks(&b, "message_stop");
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", CLOSE, ASK("", "x [[sim: error=overloaded_error]]"));
    assert_has(&b, "HTTP/1.1 529 ");
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", CLOSE, ASK("", "x [[sim: cut=1]]"));
    assert_has(&b, "transfer-encoding: chunked\r\n");
    assert_lacks(&b, "inference_geo");
    buf_done(&b);
    ask(&b, "POST", "/v1/messages", CLOSE, ASK(STREAM, "x [[sim: words=9 garbage=1]]"));
    assert_has(&b, "\xff\xfe<html>");
    buf_done(&b);
}

static void keeps_the_pace(void **state)
{
    (void)state;
    struct buf b;
    int64_t from_us = clock_mono_us();
    ask(&b, "POST", "/v1/messages", CLOSE, ASK(STREAM, "x [[sim: words=10 first=60ms gap=10ms]]"));
    int64_t took_ms = (clock_mono_us() - from_us) / 1000;
    assert_in_range(took_ms, 150, 3000);
    buf_done(&b);
    from_us = clock_mono_us();
    ask(&b, "POST", "/v1/messages", CLOSE, ASK("", "x [[sim: words=10 gap=10ms]]"));
    took_ms = (clock_mono_us() - from_us) / 1000;
    assert_in_range(took_ms, 100, 3000);
    buf_done(&b);
}

static void keeps_connections_and_pipelines(void **state)
{
    (void)state;
    struct buf b;
    int fd = dial();
    buf_init(&b, 1 << 20);
    send_request(fd, "POST", "/v1/messages", AUTH, ASK("", "x [[sim: text=one first=30ms]]"));
    send_request(fd, "GET", "/v1/models/claude-opus-5", AUTH, "");
    send_request(fd, "POST", "/v1/messages", CLOSE, ASK("", "x [[sim: text=three]]"));
    assert_true(read_until(fd, &b, NULL));
    ptrdiff_t one = str_find(buf_str(&b), STR("\"one\"")),
              two = str_find(buf_str(&b), STR("Opus 5"));
    ptrdiff_t three = str_find(buf_str(&b), STR("\"three\""));
    assert_true(one > 0 && two > one && three > two);
    close(fd);
    buf_done(&b);
}

/* The stats say so within the wait. */
static void wait_for_stats(const char *needle)
{
    int64_t end_us = clock_mono_us() + WAIT_MS * 1000;
    for (;;) {
        struct buf b;
        ask(&b, "GET", "/__sim/stats", "connection: close\r\n", "");
        bool is_there = str_find(buf_str(&b), str_of(needle)) >= 0;
        if (!is_there && clock_mono_us() > end_us)
            fail_msg("'%s' never came: %.*s", needle, STR_ARG(buf_str(&b)));
        buf_done(&b);
        if (is_there)
            return;
    }
}

static void notices_who_leaves(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "POST", "/__sim/reset", "connection: close\r\n", "");
    buf_done(&b);
    int fd = dial(), waiting = dial();
    buf_init(&b, 1 << 20);
    send_request(fd, "POST", "/v1/messages", AUTH "x-tag: leaver\r\n",
                 ASK(STREAM, "x [[sim: words=100000 gap=5ms]]"));
    assert_true(read_until(fd, &b, "content_block_delta"));
    send_request(waiting, "POST", "/v1/messages", AUTH, ASK(STREAM, "x [[sim: stall=head]]"));
    wait_for_stats("\"open\":2,");
    close(fd);
    wait_for_stats("\"open\":1,\"done\":0,\"aborted\":1,");
    struct linger reset = {.l_onoff = 1}; /* close sends RST, not FIN */
    setsockopt(waiting, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(waiting);
    wait_for_stats("\"open\":0,\"done\":0,\"aborted\":2,");
    wait_for_stats("\"x-tag\":\"leaver\"");
    wait_for_stats("\"body\":{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1000,\"stream\":true,");
    buf_done(&b);
}

static void takes_directives_for_a_route(void **state)
{
    (void)state;
    struct buf b;
    ask(&b, "POST", "/__sim/directives?route=models", "connection: close\r\n", "status=500");
    assert_has(&b, "200 OK");
    buf_done(&b);
    ask(&b, "GET", "/v1/models", CLOSE, "");
    assert_has(&b, "HTTP/1.1 500 ");
    buf_done(&b);
    ask(&b, "POST", "/__sim/directives?route=models", "connection: close\r\n", "");
    buf_done(&b);
    ask(&b, "GET", "/v1/models", CLOSE, "");
    assert_has(&b, "HTTP/1.1 200 ");
    buf_done(&b);
    ask(&b, "POST", "/__sim/directives", "connection: close\r\n", "bogus=1");
    assert_has(&b, "HTTP/1.1 400 ");
    buf_done(&b);
}

static void waits_for_a_slow_reader(void **state)
{
    (void)state;
    struct buf b;
    int fd = dial();
    buf_init(&b, 64 << 20);
    send_request(fd, "POST", "/v1/messages", CLOSE, ASK(STREAM, "x [[sim: words=100000]]"));
    usleep(100000); /* more than the kernel's buffers hold: the simulator has to rest */
    assert_true(read_until(fd, &b, NULL));
    assert_has(&b, "event: message_stop\n");
    assert_true(b.len > 100000 * 80);
    close(fd);
    buf_done(&b);
}

static void says_why_it_does_not_start(void **state)
{
    (void)state;
    char why[256] = "";
    const struct sim_options taken = {.host = "127.0.0.1", .port = sim_port(sim)};
    assert_null(sim_start(&taken, why, sizeof(why)));
    assert_true(strlen(why) > 0);
    const struct sim_options bogus = {.host = "127.0.0.1", .directives = "bogus=1"};
    assert_null(sim_start(&bogus, why, sizeof(why)));
    const struct sim_options no_cert = {
        .host = "127.0.0.1", .cert_file = "/nonexistent", .key_file = "/nonexistent"};
    assert_null(sim_start(&no_cert, why, sizeof(why)));
}

static void refuses_what_it_is_told_to(void **state)
{
    (void)state;
    static const struct {
        const char *directive, *body, *want;
    } cases[] = {
        {"refuse=sampling", ASK("\"temperature\":0.5,", "hi"),
         "`temperature` is deprecated for this model."},
        {"refuse=sampling", ASK("", "hi"), "HTTP/1.1 200"},
        {"refuse=version,prefill", ASK("", "hi"), "HTTP/1.1 200"}, /* 2023-06-01 is taken */
        {"refuse=forced_tools,schema",
         ASK("\"tools\":[{\"name\":\"a\",\"strict\":true,\"input_schema\":{\"type\":\"object\","
             "\"additionalProperties\":false}}],",
             "hi"),
         "too complex"},
        {"refuse=everything", ASK("", "hi"), "'everything' is nothing that can be refused"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b;
        char headers[256];
        snprintf(headers, sizeof(headers), CLOSE "x-sim: %s\r\n", cases[i].directive);
        ask(&b, "POST", "/v1/messages", headers, cases[i].body);
        assert_has(&b, cases[i].want);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_it_is_told_to),
        cmocka_unit_test(answers_json),
        cmocka_unit_test(answers_streams),
        cmocka_unit_test(refuses_as_the_api_does),
        cmocka_unit_test(refuses_a_body_that_is_too_large),
        cmocka_unit_test(lists_models_in_pages),
        cmocka_unit_test(does_harm_on_request),
        cmocka_unit_test(keeps_the_pace),
        cmocka_unit_test(keeps_connections_and_pipelines),
        cmocka_unit_test(notices_who_leaves),
        cmocka_unit_test(takes_directives_for_a_route),
        cmocka_unit_test(waits_for_a_slow_reader),
        cmocka_unit_test(says_why_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

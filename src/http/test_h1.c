/*
 * HTTP/1.1 parsing: the events of whole messages, the same events for any cut of the bytes, the
 * limits, and what must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"

struct recorder {
    struct buf log;
    struct buf body;
    int stop_at_head;
};

static bool record_head(void *arg, const struct h1_head *h)
{
    struct recorder *r = arg;
    buf_printf(&r->log, "[%.*s|%.*s|%d|1.%d|%s%s%s|%lld", STR_ARG(h->method), STR_ARG(h->target),
               h->status, h->is_http_1_0 ? 0 : 1, h->keep_alive ? "k" : "",
               h->is_chunked ? "c" : "", h->expects_continue ? "e" : "",
               (long long)h->content_length);
    for (size_t i = 0; i < h->n_headers; i++)
        buf_printf(&r->log, "|%.*s=%.*s", STR_ARG(h->headers[i].name),
                   STR_ARG(h->headers[i].value));
    buf_append_char(&r->log, ']');
    return !r->stop_at_head;
}

static bool record_body(void *arg, const char *p, size_t n)
{
    struct recorder *r = arg;
    assert_true(n > 0);
    return buf_append(&r->body, p, n);
}

static const struct h1_callbacks callbacks = {record_head, record_body};

static void end_message(struct recorder *r)
{
    buf_printf(&r->log, "<%.*s>", STR_ARG(buf_str(&r->body)));
    buf_reset(&r->body);
}

/* Feeds `n` bytes; messages behind each other are all read. Returns the last result. */
static enum h1_result feed_all(struct h1_parser *p, struct recorder *r, const char *at, size_t n)
{
    enum h1_result result = H1_MORE;
    while (n > 0) {
        size_t taken = 0;
        result = h1_feed(p, at, n, &taken);
        assert_true(taken <= n);
        if (result == H1_COMPLETE)
            end_message(r);
        else if (result != H1_MORE)
            return result;
        else
            assert_int_equal(taken, n);
        at += taken;
        n -= taken;
    }
    return result;
}

struct outcome {
    char text[8192];
    enum h1_result result;
    const char *reason;
};

/* Reads `text` cut at `first` and `second`, then the end of the connection if `eof`. */
static struct outcome run_cut(enum h1_kind kind, struct str text, size_t first, size_t second,
                              bool eof)
{
    struct outcome o = {0};
    struct recorder r = {0};
    buf_init(&r.log, 1 << 20);
    buf_init(&r.body, 1 << 20);
    struct h1_parser *p = h1_create(kind, &callbacks, &r);
    assert_non_null(p);
    const size_t ends[] = {first, second, text.n};
    size_t at = 0;
    for (size_t i = 0; i < 3 && (o.result == H1_MORE || o.result == H1_COMPLETE); i++) {
        if (ends[i] == at)
            continue;
        char *copy = malloc(ends[i] - at); /* a heap copy, so that a sanitizer sees overreads */
        memcpy(copy, text.p + at, ends[i] - at);
        o.result = feed_all(p, &r, copy, ends[i] - at);
        free(copy);
        at = ends[i];
    }
    if (eof) {
        o.result = h1_eof(p);
        if (o.result == H1_COMPLETE)
            end_message(&r);
    }
    o.reason = h1_reason(p);
    snprintf(o.text, sizeof(o.text), "%.*s", STR_ARG(buf_str(&r.log)));
    h1_destroy(p);
    buf_done(&r.log);
    buf_done(&r.body);
    return o;
}

static void check_full(enum h1_kind kind, const char *text, const char *events,
                       enum h1_result result, bool eof)
{
    struct str s = str_of(text);
    for (size_t i = 0; i <= s.n; i++) {
        for (size_t j = i; j <= s.n; j += 1 + (j - i) / 4) {
            struct outcome o = run_cut(kind, s, i, j, eof);
            assert_string_equal(o.text, events);
            if (o.result != result)
                fail_msg("cut %zu/%zu: result %d (%s), not %d", i, j, o.result, o.reason, result);
        }
    }
}

static void test_requests(void **state)
{
    (void)state;
    check_full(H1_REQUEST, "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Pad:  v w \t\r\n\r\n",
               "[GET|/a?b=c|0|1.1|k|-1|host=h|x-empty=|x-pad=v w]<>", H1_COMPLETE, false);
    check_full(H1_REQUEST, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
               "[POST|/|0|1.1|k|5|host=h|content-length=5]<hello>", H1_COMPLETE, false);
    check_full(H1_REQUEST,
               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n",
               "[POST|/|0|1.1|kc|-1|host=h|transfer-encoding=chunked]<hello>", H1_COMPLETE, false);
    check_full(H1_REQUEST, "GET / HTTP/1.0\r\n\r\n", "[GET|/|0|1.0||-1]<>", H1_COMPLETE, false);
    check_full(H1_REQUEST, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
               "[GET|/|0|1.0|k|-1|connection=keep-alive]<>", H1_COMPLETE, false);
    check_full(H1_REQUEST, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
               "[HEAD|/|0|1.1||-1|host=h|connection=close]<>", H1_COMPLETE, false);
    check_full(H1_REQUEST,
               "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
               "[POST|/|0|1.1|ke|1|host=h|expect=100-Continue|content-length=1]<x>", H1_COMPLETE,
               false);
}

static void test_pipelined(void **state)
{
    (void)state;
    check_full(H1_REQUEST,
               "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab\r\n"
               "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
               "[POST|/1|0|1.1|k|2|host=h|content-length=2]<ab>[GET|/2|0|1.1|k|-1|host=h]<>"
               "[GET|/3|0|1.1|k|-1|host=h]<>",
               H1_COMPLETE, false);
    /* An offer of another protocol is declined by silence; the body is still ours. */
    check_full(
        H1_REQUEST,
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "Content-Length: 1\r\n\r\nxGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "[POST|/|0|1.1|k|1|host=h|connection=Upgrade, HTTP2-Settings|upgrade=h2c|"
        "content-length=1]<x>[GET|/|0|1.1|k|-1|host=h]<>",
        H1_COMPLETE, false);
}

static void test_responses(void **state)
{
    (void)state;
    check_full(H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
               "[||200|1.1|k|2|content-length=2]<ab>", H1_COMPLETE, false);
    check_full(H1_RESPONSE,
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
               "[||200|1.1|kc|-1|transfer-encoding=chunked]<a>", H1_COMPLETE, false);
    check_full(H1_RESPONSE, "HTTP/1.1 200\r\nX: y\r\n\r\nuntil the end",
               "[||200|1.1||-1|x=y]<until the end>", H1_COMPLETE, true);
    check_full(H1_RESPONSE,
               "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
               "HTTP/1.1 204 No Content\r\n\r\n",
               "[||204|1.1|k|-1]<>", H1_COMPLETE, false);
    check_full(H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
               "[||200|1.1|k|5|content-length=5]", H1_BAD, true);
    check_full(H1_RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
               "[||200|1.1|kc|-1|transfer-encoding=chunked]", H1_BAD, true);
    check_full(H1_RESPONSE, "HTTP/1.1 2", "", H1_BAD, true);
    check_full(H1_RESPONSE, "", "", H1_MORE, true);
    check_full(H1_RESPONSE,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "",
               H1_UPGRADE_REFUSED, false);
}

static void test_response_to_head(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    struct recorder r = {0};
    buf_init(&r.log, 4096);
    buf_init(&r.body, 4096);
    struct h1_parser *p = h1_create(H1_RESPONSE, &callbacks, &r);
    h1_expect_no_body(p);
    assert_int_equal(feed_all(p, &r, text, sizeof(text) - 1), H1_COMPLETE);
    buf_append_char(&r.log, '\0');
    assert_string_equal(r.log.data, "[||200|1.1|k|7|content-length=7]<>"
                                    "[||200|1.1|k|1|content-length=1]<x>");
    h1_destroy(p);
    buf_done(&r.log);
    buf_done(&r.body);
}

static void check_bad(enum h1_kind kind, const char *text, enum h1_result want)
{
    struct str s = str_of(text);
    for (size_t i = 0; i <= s.n; i++) {
        struct outcome o = run_cut(kind, s, i, s.n, false);
        if (o.result != want)
            fail_msg("'%s' cut at %zu: result %d (%s)", text, i, o.result, o.reason);
        assert_true(strlen(o.reason) > 0);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.7\r\nHost: h\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        "NONSENSE / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n X: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\001b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\177b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX y: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "\026\003\001\002", /* a TLS greeting */
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++)
        check_bad(H1_REQUEST, bad[i], H1_BAD);
    check_bad(H1_REQUEST, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", H1_UPGRADE_REFUSED);
    check_bad(H1_RESPONSE, "HTTP/1.1 099 Nothing\r\nContent-Length: 0\r\n\r\n", H1_BAD);
    check_bad(H1_REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H1_UPGRADE_REFUSED);
}

/* One request with a header that makes its head `head_bytes` long. */
static struct str long_head(size_t head_bytes)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    char *text = malloc(head_bytes);
    memset(text, 'x', head_bytes);
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + head_bytes - 4, "\r\n\r\n", 4);
    return (struct str){text, head_bytes};
}

static void test_head_limit(void **state)
{
    (void)state;
    static const size_t cuts[] = {0, 1, 5, 100, 32767};
    for (size_t i = 0; i < PX_ARRAY_LEN(cuts); i++) {
        struct str fits = long_head(H1_HEAD_BYTES_MAX), too_long = long_head(H1_HEAD_BYTES_MAX + 1);
        assert_int_equal(run_cut(H1_REQUEST, fits, cuts[i], fits.n, false).result, H1_COMPLETE);
        assert_int_equal(run_cut(H1_REQUEST, too_long, cuts[i], too_long.n, false).result,
                         H1_HEAD_TOO_LARGE);
        free((void *)(uintptr_t)fits.p);
        free((void *)(uintptr_t)too_long.p);
    }
}

static void test_header_count(void **state)
{
    (void)state;
    for (int n = 99; n <= 100; n++) { /* and Host */
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_append_z(&b, "GET / HTTP/1.1\r\nHost: h\r\n");
        for (int i = 0; i < n; i++)
            buf_append_z(&b, "a: b\r\n");
        buf_append_z(&b, "\r\n");
        assert_int_equal(run_cut(H1_REQUEST, buf_str(&b), 0, 0, false).result,
                         n == 99 ? H1_COMPLETE : H1_TOO_MANY_HEADERS);
        buf_done(&b);
    }
}

/* Feeds `head`, then `piece` again and again, at most 8 MB; returns the first error, or H1_MORE. */
static enum h1_result drip(enum h1_kind kind, const char *head, const char *piece)
{
    struct recorder r = {0};
    buf_init(&r.log, 1 << 20);
    buf_init(&r.body, 16u << 20);
    struct h1_parser *p = h1_create(kind, &callbacks, &r);
    enum h1_result result = feed_all(p, &r, head, strlen(head));
    size_t n = strlen(piece);
    for (size_t fed = 0; fed < (8u << 20) && (result == H1_MORE || result == H1_COMPLETE); fed += n)
        result = feed_all(p, &r, piece, n);
    h1_destroy(p);
    buf_done(&r.log);
    buf_done(&r.body);
    return result;
}

/* What carries no content may not go on for ever either. */
static void test_framing_limit(void **state)
{
    (void)state;
    static const char chunked[] =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    char head[256];
    assert_int_equal(drip(H1_REQUEST, chunked, "0000000000"), H1_BAD);
    snprintf(head, sizeof(head), "%s5;", chunked);
    assert_int_equal(drip(H1_REQUEST, head, "extension"), H1_BAD);
    snprintf(head, sizeof(head), "%s0\r\n", chunked);
    assert_int_equal(drip(H1_REQUEST, head, "Trailer: x\r\n"), H1_BAD);
    assert_int_equal(drip(H1_REQUEST, chunked, "1\r\nx\r\n"), H1_MORE);
    assert_int_equal(drip(H1_REQUEST, "", "\r\n"), H1_HEAD_TOO_LARGE);
    assert_int_equal(drip(H1_RESPONSE, "", "HTTP/1.1 100 Continue\r\n\r\n"), H1_HEAD_TOO_LARGE);
}

static void test_stopped(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    struct recorder r = {.stop_at_head = 1};
    buf_init(&r.log, 4096);
    struct h1_parser *p = h1_create(H1_REQUEST, &callbacks, &r);
    size_t taken;
    assert_int_equal(h1_feed(p, text, sizeof(text) - 1, &taken), H1_STOPPED);
    assert_int_equal(h1_feed(p, text, sizeof(text) - 1, &taken), H1_STOPPED);
    assert_int_equal(taken, 0);
    assert_int_equal(h1_eof(p), H1_STOPPED);
    h1_destroy(p);
    buf_done(&r.log);
}

static void test_is_in_head(void **state)
{
    (void)state;
    struct recorder r = {0};
    buf_init(&r.log, 4096);
    struct h1_parser *p = h1_create(H1_REQUEST, &callbacks, &r);
    size_t taken;
    assert_false(h1_is_in_head(p));
    h1_feed(p, "G", 1, &taken);
    assert_true(h1_is_in_head(p));
    static const char rest[] = "ET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n";
    assert_int_equal(h1_feed(p, rest, sizeof(rest) - 1, &taken), H1_MORE);
    assert_false(h1_is_in_head(p));
    h1_forget_head(p);
    buf_init(&r.body, 16);
    assert_int_equal(h1_feed(p, "x", 1, &taken), H1_COMPLETE);
    assert_false(h1_is_in_head(p));
    h1_destroy(p);
    buf_done(&r.log);
    buf_done(&r.body);
}

static void test_status_text(void **state)
{
    (void)state;
    assert_string_equal(h1_status_text(200), "OK");
    assert_string_equal(h1_status_text(429), "Too Many Requests");
    assert_string_equal(h1_status_text(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_responses),    cmocka_unit_test(test_response_to_head),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_head_limit),
        cmocka_unit_test(test_header_count), cmocka_unit_test(test_framing_limit),
        cmocka_unit_test(test_stopped),      cmocka_unit_test(test_is_in_head),
        cmocka_unit_test(test_status_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

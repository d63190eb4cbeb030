/*
 * Memory refused in the parsers: each allocation in turn, and all behind it, while a message is
 * read or a request is answered over HTTP/2 from one end to the other. What is told is right and
 * whole, or the failure is; nobody waits for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/scarce.h"
#include "http/h1.h"
#include "http/h2_client.h"
#include "http/h2_server.h"

#define BODY_BYTES   100000
#define TURNS_MAX    10000
#define WALK_MAX     5000
#define WINDOW_BYTES 65536

/* nghttp2's allocator: its functions are in a library that --wrap does not reach. */
static void *give(size_t n, void *arg)
{
    (void)arg;
    return malloc(n);
}

static void take_back(void *p, void *arg)
{
    (void)arg;
    free(p);
}

static void *give_zeroed(size_t n, size_t size, void *arg)
{
    (void)arg;
    return calloc(n, size);
}

static void *give_more(void *p, size_t n, void *arg)
{
    (void)arg;
    return realloc(p, n);
}

static nghttp2_mem memory = {NULL, give, take_back, give_zeroed, give_more};

int __wrap_nghttp2_session_client_new2(nghttp2_session **ret, const nghttp2_session_callbacks *cb,
                                       void *arg, const nghttp2_option *option);
int __wrap_nghttp2_session_server_new2(nghttp2_session **ret, const nghttp2_session_callbacks *cb,
                                       void *arg, const nghttp2_option *option);

int __wrap_nghttp2_session_client_new2(nghttp2_session **ret, const nghttp2_session_callbacks *cb,
                                       void *arg, const nghttp2_option *option)
{
    return nghttp2_session_client_new3(ret, cb, arg, option, &memory);
}

int __wrap_nghttp2_session_server_new2(nghttp2_session **ret, const nghttp2_session_callbacks *cb,
                                       void *arg, const nghttp2_option *option)
{
    return nghttp2_session_server_new3(ret, cb, arg, option, &memory);
}

/* HTTP/1.1 -------------------------------------------------------------------------------- */

struct message {
    bool has_head, is_head_right;
    size_t body_bytes;
};

static bool on_h1_head(void *arg, const struct h1_head *head)
{
    struct message *m = arg;
    m->has_head = true;
    m->is_head_right = head->n_headers == 3 && str_eq(h1_find(head, STR("x-long")), STR("value"));
    return true;
}

static bool on_h1_body(void *arg, const char *p, size_t n)
{
    struct message *m = arg;
    (void)p;
    m->body_bytes += n;
    return true;
}

/* Feeds it in pieces, so that the head is kept. Whether the message came whole. */
static bool read_message(enum h1_kind kind, const char *text)
{
    static const struct h1_callbacks callbacks = {on_h1_head, on_h1_body};
    struct message m = {0};
    struct h1_parser *p = h1_create(kind, &callbacks, &m);
    enum h1_result result = p ? H1_MORE : H1_BAD;
    for (size_t i = 0, n = strlen(text); p && result == H1_MORE && i < n; i += 7) {
        size_t taken;
        result = h1_feed(p, text + i, n - i < 7 ? n - i : 7, &taken);
    }
    h1_destroy(p);
    if (m.has_head)
        assert_true(m.is_head_right);
    if (result != H1_COMPLETE)
        return false;
    assert_true(m.has_head);
    assert_int_equal(m.body_bytes, 5);
    return true;
}

static void walk_message(enum h1_kind kind, const char *text)
{
    for (int is_lasting = 0; is_lasting <= 1; is_lasting++) {
        long n = 0;
        for (bool failed = true; failed; n++) {
            scarce_begin(n, is_lasting);
            const bool is_whole = read_message(kind, text);
            failed = scarce_end();
            assert_true(is_whole || failed);
            assert_true(n < WALK_MAX);
        }
        assert_true(n > 2);
    }
}

/* cell S2 */
static void test_messages_of_http1(void **state)
{
    (void)state;
    walk_message(H1_REQUEST, "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-long: value\r\n"
                             "content-length: 5\r\n\r\n12345");
    walk_message(H1_RESPONSE, "HTTP/1.1 200 OK\r\nserver: a\r\nx-long: value\r\n"
                              "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
}

/* HTTP/2 ---------------------------------------------------------------------------------- */

/* A client and a server that talk to each other. */
struct talk {
    struct h2_client *client;
    struct h2_server *server;
    struct h2_stream stream;
    struct buf wire;
    size_t asked_bytes, answered_bytes;
    bool is_asked, is_answered, is_broken; /* by the client's word */
    bool has_failed;                       /* one of the connections */
    int status;
};

static char body[BODY_BYTES];

static void on_request_head(void *arg, struct h2_inbound *st, const struct h2_request_head *head)
{
    (void)st;
    if (!head->is_too_large) /* so it is called where there was no memory for all of it */
        assert_true(str_eq(head->path, STR("/p")) && head->n_headers == 2);
    ((struct talk *)arg)->is_asked = !head->is_too_large;
}

static void on_request_body(void *arg, struct h2_inbound *st, const char *p, size_t n)
{
    (void)st, (void)p;
    ((struct talk *)arg)->asked_bytes += n;
}

static void on_request_end(void *arg, struct h2_inbound *st)
{
    struct talk *t = arg;
    const struct h2_header headers[] = {{STR("content-type"), STR("text/plain")}};
    if (t->is_asked)
        assert_int_equal(t->asked_bytes, BODY_BYTES);
    if (t->is_asked && h2_inbound_respond(st, 200, headers, 1, true) &&
        h2_inbound_write(st, body, BODY_BYTES))
        h2_inbound_end(st);
    else
        h2_inbound_reset(st, NGHTTP2_INTERNAL_ERROR);
}

static void on_inbound_close(void *arg, struct h2_inbound *st, enum h2_close why)
{
    (void)arg, (void)st, (void)why;
}

static void on_head(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                    size_t n)
{
    (void)s;
    assert_true(n == 1 && str_eq(fields[0].value, STR("text/plain")));
    ((struct talk *)arg)->status = status;
}

static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct talk *t = arg;
    (void)p;
    t->answered_bytes += n;
    h2_client_taken(t->client, s, n);
}

static void on_end(void *arg, struct h2_stream *s)
{
    (void)s;
    ((struct talk *)arg)->is_answered = true;
}

static void on_broken(void *arg, struct h2_stream *s, enum h2_break how, const char *detail)
{
    (void)s, (void)how, (void)detail;
    ((struct talk *)arg)->is_broken = true;
}

static void on_upload(void *arg, struct h2_stream *s)
{
    (void)arg, (void)s;
}

static bool begin_talk(struct talk *t)
{
    static const struct h2_client_callbacks client_callbacks = {on_head, on_data, on_end, on_broken,
                                                                on_upload};
    static const struct h2_server_callbacks server_callbacks = {
        on_request_head, on_request_body, on_request_end, NULL, on_inbound_close};
    static const struct h2_server_options options = {10, WINDOW_BYTES, 2 * BODY_BYTES};
    const struct h2_field fields[] = {
        {STR(":method"), STR("POST")},       {STR(":scheme"), STR("https")},
        {STR(":authority"), STR("a")},       {STR(":path"), STR("/p")},
        {STR("x-api-key"), STR("a secret")}, {STR("x-one"), STR("1")}};
    t->client = h2_client_create(WINDOW_BYTES, &client_callbacks, t);
    t->server = h2_server_create(&options, &server_callbacks, t);
    return t->client && t->server &&
           h2_client_request(t->client, &t->stream, fields, PX_ARRAY_LEN(fields),
                             &(struct spliced){.own = {body, BODY_BYTES}});
}

/* To and fro until nobody has anything to say. */
static void let_talk(struct talk *t)
{
    for (int turn = 0;; turn++) {
        assert_true(turn < TURNS_MAX);
        buf_reset(&t->wire);
        t->has_failed = t->has_failed || !h2_client_pull(t->client, &t->wire, 16384);
        size_t n = t->wire.len;
        if (t->has_failed || !h2_server_feed(t->server, t->wire.data, n))
            break;
        buf_reset(&t->wire);
        if (!h2_server_output(t->server, &t->wire, 16384))
            break;
        n += t->wire.len;
        if (!h2_client_feed(t->client, t->wire.data, t->wire.len))
            break;
        if (n == 0 && !h2_server_is_over(t->server) && !h2_client_is_over(t->client))
            return;
        if (n == 0)
            break; /* one of them hangs up */
    }
    t->has_failed = true;
}

/* Whether the answer came whole. */
static bool talk_once(struct buf wire)
{
    struct talk t = {.wire = wire};
    if (begin_talk(&t))
        let_talk(&t);
    else
        t.has_failed = true;
    h2_client_destroy(t.client);
    h2_server_destroy(t.server);
    if (t.is_answered) {
        assert_int_equal(t.status, 200);
        assert_int_equal(t.answered_bytes, BODY_BYTES);
    }
    assert_true(t.is_answered || t.is_broken || t.has_failed); /* else somebody waits for ever */
    return t.is_answered;
}

/* cell S2 */
static void test_request_over_http2(void **state)
{
    (void)state;
    struct buf wire; /* the socket's, not what is looked at */
    buf_init(&wire, 1 << 20);
    assert_non_null(buf_reserve(&wire, 1 << 20));
    for (int is_lasting = 0; is_lasting <= 1; is_lasting++) {
        long n = 0;
        for (bool failed = true; failed; n++) {
            scarce_begin(n, is_lasting);
            const bool is_whole = talk_once(wire);
            failed = scarce_end();
            assert_true(is_whole || failed);
            assert_true(n < WALK_MAX);
        }
        print_message("count: %ld allocations refused over HTTP/2%s\n", n - 1,
                      is_lasting ? ", and all behind each" : "");
    }
    buf_done(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_of_http1),
        cmocka_unit_test(test_request_over_http2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

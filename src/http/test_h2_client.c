/*
 * The HTTP/2 client against nghttp2's server side, without sockets: any cut of the bytes gives
 * the same events, flow control follows the reader, noise is refused, an open stream is small.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <malloc.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h2_client.h"

#define WINDOW_BYTES 65536
#define OUT_MAX      (8 * 1024 * 1024)

/* What the client reported, as text: one line an event, data joined. */
struct record {
    struct buf log;
    size_t data_bytes;
    int n_over;
};

static void on_head(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                    size_t n)
{
    (void)s;
    struct record *r = arg;
    buf_printf(&r->log, "head %d\n", status);
    for (size_t i = 0; i < n; i++)
        buf_printf(&r->log, "%.*s=%.*s\n", STR_ARG(fields[i].name), STR_ARG(fields[i].value));
}

static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    (void)s;
    struct record *r = arg;
    buf_append(&r->log, p, n);
    r->data_bytes += n;
}

static void on_end(void *arg, struct h2_stream *s)
{
    struct record *r = arg;
    assert_int_equal(s->id, 0);
    buf_printf(&r->log, "\nend\n");
    r->n_over++;
}

static void on_broken(void *arg, struct h2_stream *s, enum h2_break how, const char *detail)
{
    struct record *r = arg;
    assert_int_equal(s->id, 0);
    buf_printf(&r->log, "broken %d %s\n", (int)how, detail);
    r->n_over++;
}

static void on_upload(void *arg, struct h2_stream *s)
{
    (void)arg;
    assert_true(s->body_sent <= s->body_bytes);
}

static const struct h2_client_callbacks callbacks = {on_head, on_data, on_end, on_broken,
                                                     on_upload};

/* The other side -------------------------------------------------------------------------- */

struct origin {
    nghttp2_session *session;
    struct buf got; /* bodies of requests */
    int32_t last_id;
    size_t left; /* bytes of each answer */
    bool is_held;
};

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)id;
    (void)arg;
    size_t *left = source->ptr;
    size_t n = *left < size ? *left : size;
    memset(to, 'y', n);
    *left -= n;
    if (*left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv make_nv(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct origin *o = arg;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    o->last_id = frame->hd.stream_id;
    if (o->is_held)
        return 0;
    nghttp2_nv nv[] = {make_nv(":status", "200"), make_nv("a", "1"), make_nv("b", "")};
    nghttp2_data_provider provider = {.source.ptr = &o->left, .read_callback = read_answer};
    nghttp2_submit_response(session, frame->hd.stream_id, nv, PX_ARRAY_LEN(nv), &provider);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *arg)
{
    (void)session;
    (void)flags;
    (void)id;
    struct origin *o = arg;
    buf_append(&o->got, p, n);
    return 0;
}

static void origin_init(struct origin *o, size_t answer_bytes)
{
    nghttp2_session_callbacks *cb;
    *o = (struct origin){.left = answer_bytes};
    buf_init(&o->got, OUT_MAX);
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
    assert_int_equal(nghttp2_session_server_new(&o->session, cb, o), 0);
    nghttp2_session_callbacks_del(cb);
    const nghttp2_settings_entry setting = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 5000};
    nghttp2_submit_settings(o->session, NGHTTP2_FLAG_NONE, &setting, 1);
}

static void origin_done(struct origin *o)
{
    nghttp2_session_del(o->session);
    buf_done(&o->got);
}

/* Both together ---------------------------------------------------------------------------- */

struct pair {
    struct h2_client *client;
    struct origin origin;
    struct record record;
    struct buf wire; /* all the bytes that the client was fed */
};

static void pair_init(struct pair *p, size_t answer_bytes)
{
    *p = (struct pair){0};
    buf_init(&p->record.log, OUT_MAX);
    buf_init(&p->wire, OUT_MAX);
    origin_init(&p->origin, answer_bytes);
    p->client = h2_client_create(WINDOW_BYTES, &callbacks, &p->record);
    assert_non_null(p->client);
}

static void pair_done(struct pair *p)
{
    h2_client_destroy(p->client);
    origin_done(&p->origin);
    buf_done(&p->record.log);
    buf_done(&p->wire);
}

static void to_origin(struct pair *p)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    assert_true(h2_client_pull(p->client, &out, OUT_MAX / 2));
    if (out.len > 0)
        assert_int_equal(
            nghttp2_session_mem_recv(p->origin.session, (const uint8_t *)out.data, out.len),
            out.len);
    buf_done(&out);
}

static bool to_client(struct pair *p)
{
    const uint8_t *bytes;
    ssize_t n;
    size_t before = p->wire.len;
    while ((n = nghttp2_session_mem_send(p->origin.session, &bytes)) > 0)
        assert_true(buf_append(&p->wire, bytes, (size_t)n));
    if (p->wire.len == before)
        return false;
    assert_true(h2_client_feed(p->client, p->wire.data + before, p->wire.len - before));
    return true;
}

static void exchange(struct pair *p)
{
    do {
        to_origin(p);
    } while (to_client(p));
}

static const struct h2_field request[] = {
    {{":method", 7}, {"POST", 4}},          {{":scheme", 7}, {"https", 5}},
    {{":authority", 10}, {"localhost", 9}}, {{":path", 5}, {"/v1/messages", 12}},
    {{"x-api-key", 9}, {"secret", 6}},
};

static void ask(struct pair *p, struct h2_stream *s, struct str body)
{
    assert_true(h2_client_request(p->client, s, request, PX_ARRAY_LEN(request),
                                  &(struct spliced){.own = body}));
}

static void test_exchange(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    pair_init(&p, 5);
    ask(&p, &s, STR("hello"));
    assert_int_equal(h2_client_room(p.client), H2_CLIENT_EARLY_STREAMS - 1);
    exchange(&p);
    assert_int_equal(p.record.log.len, strlen("head 200\na=1\nb=\nyyyyy\nend\n"));
    assert_memory_equal(p.record.log.data, "head 200\na=1\nb=\nyyyyy\nend\n", p.record.log.len);
    assert_int_equal(p.origin.got.len, 5);
    assert_true(h2_client_is_settled(p.client));
    assert_int_equal(h2_client_room(p.client), H2_CLIENT_STREAMS_MAX);
    pair_done(&p);
}

/* The bytes of one exchange, fed again in pieces of every size. */
static void test_any_cut(void **state)
{
    (void)state;
    struct pair first;
    struct h2_stream s;
    pair_init(&first, 300);
    ask(&first, &s, STR("x"));
    exchange(&first);
    for (size_t piece = 1; piece <= first.wire.len; piece++) {
        struct pair again;
        pair_init(&again, 0);
        ask(&again, &s, STR("x"));
        to_origin(&again); /* its answers are not used */
        for (size_t at = 0; at < first.wire.len; at += piece) {
            size_t n = first.wire.len - at < piece ? first.wire.len - at : piece;
            assert_true(h2_client_feed(again.client, first.wire.data + at, n));
        }
        assert_int_equal(again.record.log.len, first.record.log.len);
        assert_memory_equal(again.record.log.data, first.record.log.data, first.record.log.len);
        pair_done(&again);
    }
    pair_done(&first);
}

/* Without h2_client_taken the server may send one window, and not a byte more. */
static void test_window_follows_the_reader(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    pair_init(&p, 1000000);
    ask(&p, &s, STR("x"));
    exchange(&p);
    assert_int_equal(p.record.data_bytes, WINDOW_BYTES);
    for (size_t taken = 0; taken < 1000000 && s.id != 0;) {
        size_t n = p.record.data_bytes - taken;
        assert_in_range(n, 1, WINDOW_BYTES);
        h2_client_taken(p.client, &s, n);
        taken += n;
        exchange(&p);
    }
    assert_int_equal(p.record.data_bytes, 1000000);
    assert_int_equal(p.record.n_over, 1);
    pair_done(&p);
}

static void test_forgotten_stream_is_quiet(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s, never_sent, other;
    pair_init(&p, 10);
    p.origin.is_held = true;
    ask(&p, &s, STR("x"));
    exchange(&p);
    h2_client_forget(p.client, &s);
    h2_client_forget(p.client, &s); /* harmless */
    h2_client_taken(p.client, &s, 5);
    ask(&p, &never_sent, STR("x"));
    h2_client_forget(p.client, &never_sent);
    p.origin.is_held = false;
    ask(&p, &other, STR("x"));
    exchange(&p);
    assert_int_equal(p.record.n_over, 1);
    assert_int_equal(h2_client_room(p.client), H2_CLIENT_STREAMS_MAX);
    pair_done(&p);
}

static void test_goodbye_of_the_server(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s[2];
    pair_init(&p, 10);
    p.origin.is_held = true;
    ask(&p, &s[0], STR("x"));
    ask(&p, &s[1], STR("x"));
    exchange(&p);
    nghttp2_submit_goaway(p.origin.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_ENHANCE_YOUR_CALM, NULL,
                          0);
    exchange(&p);
    assert_true(h2_client_is_draining(p.client));
    assert_int_equal(h2_client_room(p.client), 0);
    assert_non_null(strstr(h2_client_reason(p.client), "ENHANCE_YOUR_CALM"));
    assert_int_equal(p.record.n_over, 1); /* the second: refused */
    assert_non_null(strstr(p.record.log.data, "broken 0"));
    assert_int_equal(s[1].id, 0);
    assert_false(h2_client_is_over(p.client));
    pair_done(&p);
}

/* What was not sent yet when the server spoke no HTTP/2 is not refused by it: it would be tried
 * again in vain, and the fault called another. */
static void test_no_http2_at_all(void **state)
{
    (void)state;
    for (int is_sent = 0; is_sent < 2; is_sent++) {
        struct pair p;
        struct h2_stream s;
        struct buf out;
        pair_init(&p, 10);
        buf_init(&out, OUT_MAX);
        ask(&p, &s, STR("x"));
        if (is_sent)
            to_origin(&p);
        assert_true(h2_client_feed(p.client, STR("HTTP/1.1 400 Bad Request\r\n\r\n").p, 28));
        assert_true(h2_client_pull(p.client, &out, OUT_MAX / 2));
        assert_true(h2_client_is_over(p.client));
        assert_true(h2_client_is_invalid(p.client));
        assert_non_null(strstr(h2_client_reason(p.client), "broke the rules of HTTP/2"));
        if (!is_sent)
            assert_true(str_starts(buf_str(&p.record.log),
                                   STR("broken 2 the upstream broke the rules of HTTP/2")));
        buf_done(&out);
        pair_done(&p);
    }
}

/* nghttp2 takes any three digits: data and an end would come for a stream that never had a head. */
static void test_a_status_that_is_none(void **state)
{
    (void)state;
    static const char *const statuses[] = {"056", "000", "099"};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct pair p;
        struct h2_stream s;
        pair_init(&p, 10);
        p.origin.is_held = true;
        ask(&p, &s, STR("x"));
        exchange(&p);
        char head[] = "\0\0\xd\1\5\0\0\0\1\0\7:status\3...";
        memcpy(head + sizeof(head) - 4, statuses[i], 3);
        assert_true(h2_client_feed(p.client, head, sizeof(head) - 1));
        assert_true(str_eq(buf_str(&p.record.log), STR("broken 2 the answer's status is none\n")));
        assert_int_equal(p.record.n_over, 1);
        pair_done(&p);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* The bytes of an exchange with some of them changed: refused or not, never a crash, and at most
 * one end for the stream. */
static void test_noise(void **state)
{
    (void)state;
    struct pair first;
    struct h2_stream s;
    pair_init(&first, 300);
    ask(&first, &s, STR("x"));
    exchange(&first);
    uint32_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        struct pair p;
        pair_init(&p, 0);
        ask(&p, &s, STR("x"));
        to_origin(&p);
        struct buf noisy;
        buf_init(&noisy, OUT_MAX);
        buf_append(&noisy, first.wire.data, first.wire.len);
        for (uint32_t k = next_random(&seed) % 8 + 1; k > 0; k--)
            noisy.data[next_random(&seed) % noisy.len] = (char)next_random(&seed);
        bool is_ok = true;
        for (size_t at = 0; is_ok && at < noisy.len;) {
            size_t n = next_random(&seed) % 200 + 1;
            n = n < noisy.len - at ? n : noisy.len - at;
            is_ok = h2_client_feed(p.client, noisy.data + at, n);
            at += n;
            struct buf out;
            buf_init(&out, OUT_MAX);
            is_ok = is_ok && h2_client_pull(p.client, &out, OUT_MAX / 2) &&
                    !h2_client_is_over(p.client);
            buf_done(&out);
        }
        assert_in_range(p.record.n_over, 0, 1);
        buf_done(&noisy);
        pair_done(&p);
    }
    pair_done(&first);
}

static void test_memory_of_an_open_stream(void **state)
{
    (void)state;
    enum { N = 900 };
    static struct h2_stream s[N];
    struct pair p;
    pair_init(&p, 1);
    exchange(&p);
    p.origin.is_held = true;
    ask(&p, &s[0], STR("x"));
    exchange(&p);
    size_t before = mallinfo2().uordblks;
    for (int i = 1; i < N; i++)
        ask(&p, &s[i], STR("x"));
    struct buf out; /* sent, but not fed to the server, whose memory is not ours */
    buf_init(&out, OUT_MAX);
    assert_true(h2_client_pull(p.client, &out, OUT_MAX / 2));
    buf_done(&out);
    size_t each = (mallinfo2().uordblks - before) / (N - 1) + sizeof(struct h2_stream);
    print_message("%zu bytes each\n", each);
    assert_true(each < 1024); /* under ASan mallinfo2 counts nothing */
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_window_follows_the_reader),
        cmocka_unit_test(test_forgotten_stream_is_quiet),
        cmocka_unit_test(test_goodbye_of_the_server),
        cmocka_unit_test(test_no_http2_at_all),
        cmocka_unit_test(test_a_status_that_is_none),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_memory_of_an_open_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

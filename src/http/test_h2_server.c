/*
 * The HTTP/2 server against our own client: requests, answers in pieces, windows, resets, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "http/h2_client.h"
#include "http/h2_server.h"

#define BIG_BYTES    300000
#define WINDOW_BYTES 65536

struct pair {
    struct h2_server *server;
    struct h2_client *client;
    struct buf log;          /* what the server was told */
    struct buf body;         /* of the last request */
    struct h2_inbound *last; /* the last stream told */
    struct buf answer;       /* what the client was told */
    int status;
    int n_ends, n_broken;
    size_t to_send; /* of the big answer, still to be written */
    bool answers_at_once;
};

/* --- the server's side -------------------------------------------------------------------------
 */

static void on_request_head(void *arg, struct h2_inbound *st, const struct h2_request_head *head)
{
    struct pair *p = arg;
    p->last = st;
    h2_inbound_set_arg(st, p);
    buf_printf(&p->log, "[%.*s %.*s %zu%s]", STR_ARG(head->method), STR_ARG(head->path),
               head->n_headers, head->is_too_large ? " too large" : "");
    for (size_t i = 0; i < head->n_headers && i < 1; i++)
        buf_printf(&p->log, "%.*s=%.*s", STR_ARG(head->headers[i].name),
                   STR_ARG(head->headers[i].value));
}

static void on_body(void *arg, struct h2_inbound *st, const char *bytes, size_t n)
{
    struct pair *p = arg;
    assert_ptr_equal(h2_inbound_arg(st), p);
    buf_append(&p->body, bytes, n);
}

static void on_request_end(void *arg, struct h2_inbound *st)
{
    struct pair *p = arg;
    buf_append_z(&p->log, "end ");
    if (!p->answers_at_once)
        return;
    const struct h2_header h = {STR("x-a"), STR("1")};
    assert_true(h2_inbound_respond(st, 200, &h, 1, true));
    assert_true(h2_inbound_write(st, "hello", 5));
    h2_inbound_end(st);
}

static void on_drain(void *arg, struct h2_inbound *st)
{
    struct pair *p = arg;
    static const char piece[10000];
    size_t n = p->to_send < sizeof(piece) ? p->to_send : sizeof(piece);
    if (n > 0)
        assert_true(h2_inbound_write(st, piece, n));
    p->to_send -= n;
    if (p->to_send == 0)
        h2_inbound_end(st);
}

static void on_close(void *arg, struct h2_inbound *st, enum h2_close why)
{
    static const char *const names[] = {"done", "reset", "lost"};
    struct pair *p = arg;
    buf_printf(&p->log, "%s ", names[why]);
    if (p->last == st)
        p->last = NULL;
}

static const struct h2_server_callbacks server_callbacks = {on_request_head, on_body,
                                                            on_request_end, on_drain, on_close};

/* --- the client's side -------------------------------------------------------------------------
 */

static void got_head(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                     size_t n)
{
    struct pair *p = arg;
    (void)s, (void)fields, (void)n;
    p->status = status;
}

static void got_data(void *arg, struct h2_stream *s, const char *bytes, size_t n)
{
    struct pair *p = arg;
    buf_append(&p->answer, bytes, n);
    h2_client_taken(p->client, s, n);
}

static void got_end(void *arg, struct h2_stream *s)
{
    struct pair *p = arg;
    (void)s;
    p->n_ends++;
}

static void got_broken(void *arg, struct h2_stream *s, enum h2_break how, const char *detail)
{
    struct pair *p = arg;
    (void)s, (void)how, (void)detail;
    p->n_broken++;
}

static void got_upload(void *arg, struct h2_stream *s)
{
    (void)arg, (void)s;
}

static const struct h2_client_callbacks client_callbacks = {got_head, got_data, got_end, got_broken,
                                                            got_upload};

/* Carries bytes both ways, `step` at a time, until neither side has any. */
static bool carry(struct pair *p, size_t step)
{
    for (int i = 0; i < 10000; i++) {
        struct buf up, down;
        buf_init(&up, 1 << 20);
        buf_init(&down, 1 << 20);
        assert_true(h2_client_pull(p->client, &up, 65536));
        bool ok = true;
        for (size_t at = 0; at < up.len && ok; at += step)
            ok = h2_server_feed(p->server, up.data + at, up.len - at < step ? up.len - at : step);
        assert_true(h2_server_output(p->server, &down, 65536));
        for (size_t at = 0; at < down.len; at += step)
            h2_client_feed(p->client, down.data + at, down.len - at < step ? down.len - at : step);
        bool is_quiet = up.len == 0 && down.len == 0;
        buf_done(&up);
        buf_done(&down);
        if (is_quiet || !ok)
            return ok;
    }
    fail_msg("the two never fell silent");
    return false;
}

static void open_pair(struct pair *p)
{
    const struct h2_server_options o = {
        .max_streams = 3, .stream_window_bytes = WINDOW_BYTES, .stream_buffer_bytes = 1 << 20};
    *p = (struct pair){0};
    buf_init(&p->log, 1 << 16);
    buf_init(&p->body, 1 << 22);
    buf_init(&p->answer, 1 << 22);
    p->server = h2_server_create(&o, &server_callbacks, p);
    p->client = h2_client_create(WINDOW_BYTES, &client_callbacks, p);
    assert_non_null(p->server);
    assert_non_null(p->client);
}

static void close_pair(struct pair *p)
{
    h2_server_destroy(p->server);
    h2_client_destroy(p->client);
    buf_done(&p->log);
    buf_done(&p->body);
    buf_done(&p->answer);
}

static void request(struct pair *p, struct h2_stream *s, struct str body, size_t n_extra)
{
    static struct h2_field fields[200];
    fields[0] = (struct h2_field){STR(":method"), STR("POST")};
    fields[1] = (struct h2_field){STR(":scheme"), STR("https")};
    fields[2] = (struct h2_field){STR(":authority"), STR("localhost")};
    fields[3] = (struct h2_field){STR(":path"), STR("/x?y")};
    for (size_t i = 0; i < n_extra; i++)
        fields[4 + i] = (struct h2_field){STR("x-name"), STR("value")};
    *s = (struct h2_stream){0};
    assert_true(
        h2_client_request(p->client, s, fields, 4 + n_extra, &(struct spliced){.own = body}));
}

static void assert_log(struct pair *p, const char *want)
{
    if (!str_eq(buf_str(&p->log), str_of(want)))
        fail_msg("'%.*s', not '%s'", STR_ARG(buf_str(&p->log)), want);
    buf_reset(&p->log);
}

static void answers_whatever_the_cuts(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 100000};
    for (size_t i = 0; i < PX_ARRAY_LEN(steps); i++) {
        struct pair p;
        struct h2_stream s;
        open_pair(&p);
        p.answers_at_once = true;
        request(&p, &s, STR("a body"), 1);
        assert_true(carry(&p, steps[i]));
        assert_log(&p, "[POST /x?y 1]x-name=valueend done ");
        assert_true(str_eq(buf_str(&p.body), STR("a body")));
        assert_int_equal(p.status, 200);
        assert_true(str_eq(buf_str(&p.answer), STR("hello")));
        assert_int_equal(p.n_ends, 1);
        assert_int_equal(h2_server_open_streams(p.server), 0);
        close_pair(&p);
    }
}

static void writes_later_and_keeps_to_the_window(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    request(&p, &s, STR(""), 0);
    assert_true(carry(&p, 5000));
    assert_log(&p, "[POST /x?y 0]end ");
    assert_true(h2_inbound_respond(p.last, 201, NULL, 0, true));
    assert_true(carry(&p, 5000));
    assert_int_equal(p.status, 201);
    assert_int_equal(p.n_ends, 0);
    assert_true(h2_inbound_write(p.last, "x", 1));
    p.to_send = BIG_BYTES;
    assert_true(carry(&p, 5000)); /* on_drain writes the rest */
    assert_int_equal(p.answer.len, BIG_BYTES + 1);
    assert_int_equal(p.n_ends, 1);
    assert_log(&p, "done ");
    close_pair(&p);
}

static void takes_a_body_larger_than_the_window(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    p.answers_at_once = true;
    char *big = calloc(1, BIG_BYTES);
    assert_non_null(big);
    request(&p, &s, (struct str){big, BIG_BYTES}, 0);
    assert_true(carry(&p, 16000));
    assert_int_equal(p.body.len, BIG_BYTES);
    assert_int_equal(p.n_ends, 1);
    free(big);
    close_pair(&p);
}

static void hears_of_a_reset(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    request(&p, &s, STR("b"), 0);
    carry(&p, 5000);
    h2_inbound_respond(p.last, 200, NULL, 0, true);
    carry(&p, 5000);
    h2_client_forget(p.client, &s);
    carry(&p, 5000);
    assert_log(&p, "[POST /x?y 0]end reset ");
    close_pair(&p);
}

static void resets_without_hearing_of_it(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    request(&p, &s, STR("b"), 0);
    carry(&p, 5000);
    h2_inbound_reset(p.last, 2);
    carry(&p, 5000);
    assert_log(&p, "[POST /x?y 0]end ");
    assert_int_equal(p.n_broken, 1);
    assert_int_equal(h2_server_open_streams(p.server), 0);
    close_pair(&p);
}

static void loses_streams_with_the_connection(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s, t;
    open_pair(&p);
    request(&p, &s, STR("b"), 0);
    request(&p, &t, STR("b"), 0);
    carry(&p, 5000);
    assert_int_equal(h2_server_open_streams(p.server), 2);
    buf_reset(&p.log);
    h2_server_destroy(p.server);
    p.server = NULL;
    assert_log(&p, "lost lost ");
    close_pair(&p);
}

static void marks_heads_that_are_too_large(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    request(&p, &s, STR("b"), 101);
    carry(&p, 5000);
    assert_true(str_starts(buf_str(&p.log), STR("[POST /x?y 100 too large]")));
    assert_true(h2_inbound_respond(p.last, 431, NULL, 0, false));
    carry(&p, 5000);
    assert_int_equal(p.status, 431);
    close_pair(&p);
}

/* The code of the GOAWAY that the server has to send, -1 for none. */
static int64_t goaway_code(struct h2_server *s)
{
    struct buf out;
    int64_t code = -1;
    buf_init(&out, 1 << 20);
    assert_true(h2_server_output(s, &out, 1 << 19));
    for (size_t at = 0; at + 9 <= out.len;) {
        const uint8_t *f = (const uint8_t *)out.data + at;
        const size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        if (f[3] == 7)
            code = f[16]; /* the lowest byte of the code */
        at += 9 + n;
    }
    buf_done(&out);
    return code;
}

static void refuses_what_is_no_http2(void **state)
{
    (void)state;
    struct pair p;
    open_pair(&p);
    static const char text[] = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_false(h2_server_feed(p.server, text, sizeof(text) - 1));
    assert_int_equal(goaway_code(p.server), 1); /* PROTOCOL_ERROR */
    close_pair(&p);
}

/* cell C53, cell C55: what asks for nothing is counted, what asks or answers is not. */
static void counts_frames_that_ask_for_nothing(void **state)
{
    (void)state;
#define FRAME(length, type, flags, stream) "\0\0" length type flags "\0\0\0" stream
#define PING                               "12345678"
    static const struct {
        const char *bytes;
        size_t n;
        uint64_t noise;
    } frames[] = {
        {FRAME("\x08", "\x06", "\0", "\0") PING, 17, 1},
        {FRAME("\x08", "\x06", "\x01", "\0") PING, 17, 0},
        {FRAME("\0", "\x04", "\0", "\0"), 9, 1},
        {FRAME("\0", "\x04", "\x01", "\0"), 9, 0},
        {FRAME("\x05", "\x02", "\0", "\x09") "\0\0\0\0\x01", 14, 1},
        {FRAME("\0", "\0", "\0", "\x01"), 9, 1},
        {FRAME("\x03", "\0", "\x08", "\x01") "\x02\0\0", 12, 1},
        {FRAME("\x01", "\0", "\0", "\x01") "x", 10, 0},
        {FRAME("\0", "\0", "\x01", "\x01"), 9, 0},
        {FRAME("\x04", "\x08", "\0", "\x01") "\0\0\0\x01", 13, 0},
    };
    struct pair p;
    open_pair(&p);
    /* :method POST, :scheme https, :path /, :authority a */
    static const char begin[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" FRAME("\0", "\x04", "\0", "\0")
        FRAME("\x06", "\x01", "\x04", "\x01") "\x83\x87\x84\x41\x01\x61";
    assert_true(h2_server_feed(p.server, begin, sizeof(begin) - 1));
    for (size_t i = 0; i < PX_ARRAY_LEN(frames); i++) {
        const uint64_t before = h2_server_noise(p.server);
        assert_true(h2_server_feed(p.server, frames[i].bytes, frames[i].n));
        assert_int_equal(h2_server_noise(p.server) - before, frames[i].noise);
    }
    h2_server_goaway(p.server, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(goaway_code(p.server), H2_ENHANCE_YOUR_CALM);
    close_pair(&p);
#undef FRAME
#undef PING
}

static void says_goodbye(void **state)
{
    (void)state;
    struct pair p;
    struct h2_stream s;
    open_pair(&p);
    p.answers_at_once = true;
    request(&p, &s, STR("b"), 0);
    carry(&p, 5000);
    h2_server_goaway(p.server, H2_NO_ERROR);
    carry(&p, 5000);
    assert_true(h2_client_is_draining(p.client));
    assert_true(h2_server_is_over(p.server));
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_whatever_the_cuts),
        cmocka_unit_test(writes_later_and_keeps_to_the_window),
        cmocka_unit_test(takes_a_body_larger_than_the_window),
        cmocka_unit_test(hears_of_a_reset),
        cmocka_unit_test(resets_without_hearing_of_it),
        cmocka_unit_test(loses_streams_with_the_connection),
        cmocka_unit_test(marks_heads_that_are_too_large),
        cmocka_unit_test(refuses_what_is_no_http2),
        cmocka_unit_test(counts_frames_that_ask_for_nothing),
        cmocka_unit_test(says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

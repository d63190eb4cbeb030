/*
 * The stream's interface: when it says what, its limits, and what happens when memory runs out.
 * What it writes is tested by golden cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "translate/completion.h"
#include "translate/stream.h"
#include "json/json.h"

#define OUT_BYTES_MAX (256u << 20)

/* --- memory that runs out --------------------------------------------------------------------- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long allocations_left = -1; /* before one fails; negative: none does */

static bool may_allocate(void)
{
    if (allocations_left < 0)
        return true;
    if (allocations_left == 0)
        return false;
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return may_allocate() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return may_allocate() ? __real_realloc(p, n) : NULL;
}

/* --- events ------------------------------------------------------------------------------------
 */

static const char start[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
    "\"model\":\"claude-opus-5-5\",\"content\":[],\"usage\":{\"input_tokens\":3,"
    "\"output_tokens\":1}}}\n\n";
static const char text_start[] =
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
    "\"text\":\"\"}}\n\n";
static const char text_delta[] =
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
    "\"text\":\"Hi\"}}\n\n";
static const char tool[] =
    "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\","
    "\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1},\"caller\":{\"type\":\"code\","
    "\"tool_id\":\"s\"}}}\n\n"
    "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n";
static const char thinking[] =
    "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"thinking\","
    "\"thinking\":\"hm\",\"signature\":\"c2ln\"}}\n\n";
static const char message_delta[] =
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
    "\"usage\":{\"output_tokens\":5}}\n\n";
static const char message_stop[] = "data: {\"type\":\"message_stop\"}\n\n";

static const struct tr_stream_params chunk_params = {.is_stream = true, .include_usage = true};
static const struct tr_stream_params whole_params = {.is_stream = false};

static enum tr_state feed(struct tr_stream *s, const char *text, struct buf *out)
{
    return tr_stream_feed(s, str_of(text), out);
}

static void test_states(void **state)
{
    (void)state;
    struct buf out;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    assert_int_equal(tr_stream_state(s), TR_WAITING);
    assert_int_equal(tr_stream_model(s).n, 0);
    assert_int_equal(feed(s, start, &out), TR_WAITING);
    assert_true(str_eq(tr_stream_model(s), STR("claude-opus-5-5")));
    assert_int_equal(tr_stream_usage(s)->input, 3);
    assert_int_equal(feed(s, "event: ping\ndata: {}\n\n", &out), TR_WAITING);
    assert_int_equal(out.len, 0);
    assert_int_equal(feed(s, text_start, &out), TR_FLOWING);
    assert_true(out.len > 0);
    assert_int_equal(feed(s, text_delta, &out), TR_FLOWING);
    assert_int_equal(feed(s, message_delta, &out), TR_FLOWING);
    assert_int_equal(tr_stream_finish_reason(s).n, 0);
    assert_int_equal(feed(s, message_stop, &out), TR_DONE);
    assert_true(str_eq(tr_stream_finish_reason(s), STR("stop")));
    assert_int_equal(tr_stream_usage(s)->output, 5);
    tr_stream_destroy(s);
    buf_done(&out);
}

static void test_what_is_over_stays_over(void **state)
{
    (void)state;
    struct buf out;
    struct api_error why = {.status = 504, .type = "server_error", .code = "timeout"};
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    feed(s, start, &out);
    assert_int_equal(feed(s, message_stop, &out), TR_DONE);
    size_t written = out.len;
    assert_int_equal(feed(s, text_start, &out), TR_DONE);
    assert_int_equal(tr_stream_fail(s, &why, &out), TR_DONE);
    assert_int_equal(tr_stream_feed_message(s, STR("{}"), &out), TR_DONE);
    assert_int_equal(tr_stream_end(s, &out), TR_DONE);
    assert_int_equal(out.len, written);
    tr_stream_destroy(s);
    buf_done(&out);
}

static void test_failing_before_anything_went_out(void **state)
{
    (void)state;
    struct buf out;
    struct api_error why = {
        .status = 504, .type = "server_error", .code = "timeout", .message = "Too slow."};
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    feed(s, start, &out);
    assert_int_equal(tr_stream_fail(s, &why, &out), TR_FAILED);
    assert_int_equal(out.len, 0);
    assert_int_equal(tr_stream_error(s)->status, 504);
    assert_string_equal(tr_stream_error(s)->message, "Too slow.");
    tr_stream_destroy(s);
    buf_done(&out);
}

static void test_failing_in_the_middle(void **state)
{
    (void)state;
    struct buf out;
    struct api_error why = {
        .status = 504, .type = "server_error", .code = "timeout", .message = "Too slow."};
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    feed(s, start, &out);
    feed(s, text_start, &out);
    assert_int_equal(tr_stream_fail(s, &why, &out), TR_FAILED);
    assert_true(str_ends(
        buf_str(&out), STR("\n\ndata: {\"error\":{\"message\":\"Too slow.\","
                           "\"type\":\"server_error\",\"param\":null,\"code\":\"timeout\"}}\n\n")));
    assert_int_equal(tr_stream_usage(s)->input, 3);
    tr_stream_destroy(s);
    buf_done(&out);
}

/* --- limits ------------------------------------------------------------------------------------
 */

static void expect_failure(const struct tr_stream *s, const char *message)
{
    assert_int_equal(tr_stream_state(s), TR_FAILED);
    assert_int_equal(tr_stream_error(s)->status, 502);
    assert_string_equal(tr_stream_error(s)->code, "bad_upstream_response");
    assert_string_equal(tr_stream_error(s)->message, message);
}

/* A delta of `bytes` letters. */
static void make_delta(struct buf *b, size_t bytes)
{
    static const char head[] = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                               "{\"type\":\"text_delta\",\"text\":\"";
    buf_init(b, OUT_BYTES_MAX);
    buf_append_z(b, head);
    char *to = buf_reserve(b, bytes);
    assert_non_null(to);
    memset(to, 'x', bytes);
    b->len += bytes;
    buf_append_z(b, "\"}}\n\n");
}

static void test_a_completion_is_bounded(void **state)
{
    (void)state;
    struct buf out, delta;
    struct tr_stream *s = tr_stream_create(&whole_params);
    buf_init(&out, OUT_BYTES_MAX);
    make_delta(&delta, 1 << 20);
    feed(s, start, &out);
    feed(s, text_start, &out);
    size_t fed = 0;
    while (fed <= COMPLETION_BYTES_MAX && tr_stream_state(s) == TR_WAITING) {
        tr_stream_feed(s, buf_str(&delta), &out);
        fed += 1 << 20;
    }
    expect_failure(s, "The upstream's answer is too large.");
    assert_int_equal(out.len, 0);
    tr_stream_destroy(s);
    buf_done(&delta);
    buf_done(&out);
}

/* Chunks leave as they come: an answer of any length passes. */
static void test_a_stream_is_not(void **state)
{
    (void)state;
    struct buf out, delta;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    make_delta(&delta, 1 << 20);
    feed(s, start, &out);
    feed(s, text_start, &out);
    for (unsigned i = 0; i < 2 * (COMPLETION_BYTES_MAX >> 20); i++) {
        buf_reset(&out);
        assert_int_equal(tr_stream_feed(s, buf_str(&delta), &out), TR_FLOWING);
    }
    feed(s, message_delta, &out);
    assert_int_equal(feed(s, message_stop, &out), TR_DONE);
    tr_stream_destroy(s);
    buf_done(&delta);
    buf_done(&out);
}

static void test_an_event_is_bounded(void **state)
{
    (void)state;
    struct buf out, delta;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    make_delta(&delta, 17 << 20);
    feed(s, start, &out);
    feed(s, text_start, &out);
    buf_reset(&out);
    tr_stream_feed(s, buf_str(&delta), &out);
    expect_failure(s, "An event of the upstream is too large.");
    assert_true(str_starts(buf_str(&out), STR("data: {\"error\":")));
    tr_stream_destroy(s);
    buf_done(&delta);
    buf_done(&out);
}

static void test_calls_kept_back_are_bounded(void **state)
{
    (void)state;
    struct buf out;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    feed(s, start, &out);
    for (int i = 0; i < 1000 && tr_stream_state(s) != TR_FAILED; i++)
        feed(s, tool, &out);
    expect_failure(s, "The upstream's answer is too large.");
    tr_stream_destroy(s);
    buf_done(&out);
}

static void test_nested_json_is_refused(void **state)
{
    (void)state;
    struct buf out, event;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&event, OUT_BYTES_MAX);
    buf_append_z(&event, "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":");
    for (int i = 0; i < 2000000; i++)
        buf_append_char(&event, '[');
    buf_append_z(&event, "\n\n");
    feed(s, start, &out);
    tr_stream_feed(s, buf_str(&event), &out);
    expect_failure(s, "The upstream's answer could not be read.");
    tr_stream_destroy(s);
    buf_done(&event);
    buf_done(&out);
}

static void test_long_names_are_refused(void **state)
{
    (void)state;
    struct buf out, event;
    struct tr_stream *s = tr_stream_create(&chunk_params);
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&event, OUT_BYTES_MAX);
    buf_append_z(&event, "data: {\"type\":\"message_start\",\"message\":{\"model\":\"");
    for (int i = 0; i < 2000; i++)
        buf_append_char(&event, 'm');
    buf_append_z(&event, "\"}}\n\n");
    tr_stream_feed(s, buf_str(&event), &out);
    expect_failure(s, "The upstream's answer could not be read.");
    tr_stream_destroy(s);
    buf_done(&event);
    buf_done(&out);
}

/* A caller's buffer that is full must not turn a part of an answer into a success. */
static void test_output_that_does_not_fit(void **state)
{
    (void)state;
    const struct tr_stream_params *params[] = {&chunk_params, &whole_params};
    for (size_t i = 0; i < PX_ARRAY_LEN(params); i++) {
        struct buf out;
        struct tr_stream *s = tr_stream_create(params[i]);
        buf_init(&out, 300);
        feed(s, start, &out);
        feed(s, text_start, &out);
        for (int k = 0; k < 300; k++)
            feed(s, text_delta, &out);
        feed(s, message_delta, &out);
        assert_int_equal(feed(s, message_stop, &out), TR_FAILED);
        assert_int_equal(tr_stream_error(s)->status, 500);
        assert_true(params[i]->is_stream || out.len == 0);
        tr_stream_destroy(s);
        buf_done(&out);
    }
}

static enum tr_state run_everything(const struct tr_stream_params *params, struct buf *out)
{
    struct tr_stream *s = tr_stream_create(params);
    if (!s)
        return TR_FAILED;
    static const char *const events[] = {start,    text_start,    text_delta,  tool,
                                         thinking, message_delta, message_stop};
    for (size_t i = 0; i < PX_ARRAY_LEN(events); i++) {
        /* In two pieces, so that the beginning is kept. */
        tr_stream_feed(s, (struct str){events[i], 20}, out);
        tr_stream_feed(s, str_of(events[i] + 20), out);
    }
    enum tr_state end = tr_stream_end(s, out);
    if (end == TR_FAILED)
        assert_true(tr_stream_error(s)->status >= 500);
    tr_stream_destroy(s);
    return end;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    const struct tr_stream_params json_mode = {.is_stream = true, .is_json_object = true};
    const struct tr_stream_params *params[] = {&chunk_params, &whole_params, &json_mode};
    for (size_t i = 0; i < PX_ARRAY_LEN(params); i++) {
        enum tr_state end = TR_FAILED;
        long n = 0;
        for (; end != TR_DONE && n < 1000; n++) {
            struct buf out;
            buf_init(&out, OUT_BYTES_MAX);
            allocations_left = n;
            end = run_everything(params[i], &out);
            allocations_left = -1;
            bool has_done = str_ends(buf_str(&out), STR("data: [DONE]\n\n"));
            if (params[i]->is_stream)
                assert_int_equal(has_done, end == TR_DONE);
            else
                assert_int_equal(out.len > 0, end == TR_DONE);
            buf_done(&out);
        }
        assert_int_equal(end, TR_DONE);
        assert_true(n > 5);
    }
}

/* What a 200 that turns out to be an error says of trying again. */
static void test_an_error_may_be_final(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int status;
        bool is_final;
    } cases[] = {{"billing_error", 429, true}, {"overloaded_error", 503, false}};
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct tr_stream *s = tr_stream_create(&chunk_params);
        struct buf out, event;
        buf_init(&out, OUT_BYTES_MAX);
        buf_init(&event, OUT_BYTES_MAX);
        buf_printf(&event,
                   "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"%s\","
                   "\"message\":\"No.\"}}\n\n",
                   cases[i].type);
        assert_int_equal(tr_stream_feed(s, buf_str(&event), &out), TR_FAILED);
        assert_int_equal(tr_stream_error(s)->status, cases[i].status);
        assert_int_equal(tr_stream_is_final(s), cases[i].is_final);
        buf_done(&event);
        buf_done(&out);
        tr_stream_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_what_is_over_stays_over),
        cmocka_unit_test(test_failing_before_anything_went_out),
        cmocka_unit_test(test_failing_in_the_middle),
        cmocka_unit_test(test_an_error_may_be_final),
        cmocka_unit_test(test_a_completion_is_bounded),
        cmocka_unit_test(test_a_stream_is_not),
        cmocka_unit_test(test_an_event_is_bounded),
        cmocka_unit_test(test_calls_kept_back_are_bounded),
        cmocka_unit_test(test_nested_json_is_refused),
        cmocka_unit_test(test_long_names_are_refused),
        cmocka_unit_test(test_output_that_does_not_fit),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

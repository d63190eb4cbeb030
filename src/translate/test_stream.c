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

#include "base/scarce.h"
#include "translate/completion.h"
#include "translate/stream.h"
#include "translate/usage.h"
#include "json/json.h"

#define OUT_BYTES_MAX (256u << 20)

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

static bool has(const struct buf *out, const char *text)
{
    return str_find(buf_str(out), str_of(text)) >= 0;
}

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
    assert_true(has(&out,
                    "\n\ndata: {\"error\":{\"message\":\"Too slow.\",\"type\":\"server_error\","
                    "\"param\":null,\"code\":\"timeout\",\"usage\":{\"prompt_tokens\":3,"));
    assert_true(str_ends(buf_str(&out), STR("}}}\n\n")));
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
            scarce_begin(n, true);
            end = run_everything(params[i], &out);
            scarce_end();
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

/* --- several choices ---------------------------------------------------------------------------
 */

static const char other_start[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_2\","
    "\"model\":\"claude-other\",\"content\":[],\"usage\":{\"input_tokens\":4,"
    "\"output_tokens\":1}}}\n\n";

static size_t count(const struct buf *out, const char *text)
{
    struct str rest = buf_str(out), needle = str_of(text);
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(rest, needle)) >= 0; n++)
        rest = (struct str){rest.p + at + needle.n, rest.n - (size_t)at - needle.n};
    return n;
}

/* Creates two choices of one answer. */
static void create_two(struct tr_stream_params params[2], struct tr_choices *choices,
                       struct tr_stream *ret[2])
{
    for (unsigned i = 0; i < 2; i++) {
        params[i].choice = i;
        params[i].choices = choices;
        ret[i] = tr_stream_create(&params[i]);
        assert_non_null(ret[i]);
    }
}

static void test_choices_in_one_stream(void **state)
{
    (void)state;
    struct tr_choices choices = {.is_named = false};
    struct tr_stream_params params[2] = {chunk_params, chunk_params};
    struct tr_stream *s[2];
    struct buf out;
    create_two(params, &choices, s);
    buf_init(&out, OUT_BYTES_MAX);
    assert_int_equal(feed(s[1], start, &out), TR_WAITING);
    assert_int_equal(feed(s[0], other_start, &out), TR_WAITING);
    assert_int_equal(feed(s[0], text_start, &out), TR_FLOWING);
    assert_true(has(&out, "\"choices\":[{\"index\":0,"));
    assert_int_equal(feed(s[1], text_start, &out), TR_FLOWING);
    assert_true(has(&out, "\"choices\":[{\"index\":1,"));
    assert_true(has(&out, "chatcmpl-msg_1"));
    assert_false(has(&out, "msg_2") || has(&out, "claude-other"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(feed(s[i], text_delta, &out), TR_FLOWING);
        assert_int_equal(feed(s[i], message_delta, &out), TR_FLOWING);
        assert_int_equal(feed(s[i], message_stop, &out), TR_DONE);
    }
    assert_false(has(&out, "[DONE]") || has(&out, "total_tokens"));
    assert_true(tr_choices_write_end(s, 2, &out));
    assert_true(has(&out, "\"prompt_tokens\":7,\"completion_tokens\":10,\"total_tokens\":17"));
    assert_true(str_ends(buf_str(&out), STR("data: [DONE]\n\n")));
    tr_stream_destroy(s[0]);
    tr_stream_destroy(s[1]);
    buf_done(&out);
}

/* OpenAI's Python SDK keeps choices in the order in which they begin. */
static void test_choices_begin_in_order(void **state)
{
    (void)state;
    struct tr_choices choices = {.is_named = false};
    struct tr_stream_params params[2] = {chunk_params, chunk_params};
    struct tr_stream *s[2];
    struct buf out;
    create_two(params, &choices, s);
    buf_init(&out, OUT_BYTES_MAX);
    feed(s[1], start, &out);
    assert_int_equal(feed(s[1], text_start, &out), TR_FLOWING);
    assert_int_equal(feed(s[1], text_delta, &out), TR_FLOWING);
    struct str text = buf_str(&out);
    const ptrdiff_t first = str_find(text, STR("\"choices\":[{\"index\":0,"));
    const ptrdiff_t second = str_find(text, STR("\"choices\":[{\"index\":1,"));
    assert_true(first >= 0 && first < second);
    feed(s[0], other_start, &out);
    assert_int_equal(feed(s[0], text_start, &out), TR_FLOWING);
    assert_int_equal(feed(s[0], text_delta, &out), TR_FLOWING);
    assert_int_equal(count(&out, "\"role\":\"assistant\""), 2);
    assert_int_equal(count(&out, "\"index\":0,\"delta\":{\"role\""), 1);
    tr_stream_destroy(s[0]);
    tr_stream_destroy(s[1]);
    buf_done(&out);
}

static void test_choices_in_one_completion(void **state)
{
    (void)state;
    struct tr_choices choices = {.is_named = false};
    struct tr_stream_params params[2] = {whole_params, whole_params};
    struct tr_stream *s[2];
    struct buf out;
    create_two(params, &choices, s);
    buf_init(&out, OUT_BYTES_MAX);
    for (int i = 1; i >= 0; i--) {
        feed(s[i], i ? start : other_start, &out);
        feed(s[i], text_start, &out);
        feed(s[i], text_delta, &out);
        feed(s[i], message_delta, &out);
        assert_int_equal(feed(s[i], message_stop, &out), TR_DONE);
    }
    assert_int_equal(out.len, 0);
    assert_true(tr_choices_write_end(s, 2, &out));
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&out), &err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc), *all = json_get(root, "choices");
    int64_t index = -1, tokens = 0;
    assert_int_equal(yyjson_arr_size(all), 2);
    assert_true(json_to_int(json_get(yyjson_arr_get(all, 1), "index"), &index) && index == 1);
    assert_true(json_to_int(json_get(json_get(root, "usage"), "total_tokens"), &tokens));
    assert_int_equal(tokens, 17);
    assert_true(str_eq(json_str(json_get(root, "id")), STR("chatcmpl-msg_1")));
    yyjson_doc_free(doc);
    tr_stream_destroy(s[0]);
    tr_stream_destroy(s[1]);
    buf_done(&out);
}

/* What one choice ends the stream of all with is written by who knows what all of them used. */
static void test_a_choice_that_fails_late(void **state)
{
    (void)state;
    for (int is_late = 0; is_late < 2; is_late++) {
        struct tr_choices choices = {.is_named = false};
        struct tr_stream_params params[2] = {chunk_params, chunk_params};
        struct tr_stream *s[2];
        struct buf out;
        create_two(params, &choices, s);
        buf_init(&out, OUT_BYTES_MAX);
        feed(s[0], start, &out);
        if (is_late)
            assert_int_equal(feed(s[0], text_start, &out), TR_FLOWING);
        assert_int_equal(feed(s[1], "event: error\ndata: {\"type\":\"error\"}\n\n", &out),
                         TR_FAILED);
        assert_false(has(&out, "\"error\""));
        struct tr_usage used =
            usage_sum(tr_stream_usage(s[0]), &(struct tr_usage){.input = 4, .output = 2});
        tr_stream_write_error(tr_stream_error(s[1]), &used, &out);
        assert_true(has(&out, "\"code\":null,\"usage\":{\"prompt_tokens\":7,"));
        tr_stream_destroy(s[0]);
        tr_stream_destroy(s[1]);
        buf_done(&out);
    }
}

/* --- pauses ------------------------------------------------------------------------------------
 */

static const char search[] =
    "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
    "\"server_tool_use\",\"id\":\"srvtoolu_1\",\"name\":\"web_search\",\"input\":{}}}\n\n"
    "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
    "\"input_json_delta\",\"partial_json\":\"{\\\"query\\\": 1.50}\"}}\n\n"
    "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n";
static const char pause_delta[] =
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"pause_turn\"},"
    "\"usage\":{\"output_tokens\":5}}\n\n";
static const char call[] =
    "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":"
    "\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\n"
    "data: {\"type\":\"content_block_stop\",\"index\":2}\n\n";
#define BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"

static enum tr_state feed_paused(struct tr_stream *s, struct buf *out)
{
    feed(s, start, out);
    feed(s, text_start, out);
    feed(s, text_delta, out);
    feed(s, search, out);
    feed(s, pause_delta, out);
    return feed(s, message_stop, out);
}

/* Trap 61: one stream, one role chunk, one finish, summed usage. */
static void test_a_paused_turn_goes_on(void **state)
{
    (void)state;
    struct tr_stream_params params = chunk_params;
    struct buf out, body;
    params.may_pause = true;
    struct tr_stream *s = tr_stream_create(&params);
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&body, OUT_BYTES_MAX);
    assert_int_equal(feed_paused(s, &out), TR_PAUSED);
    assert_int_equal(feed(s, text_delta, &out), TR_PAUSED); /* behind its end nothing matters */
    assert_int_equal(tr_stream_end(s, &out), TR_PAUSED);
    assert_true(tr_stream_continue(s, STR(BODY), &body));
    assert_true(
        str_eq(buf_str(&body),
               STR("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
                   "\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":"
                   "\"server_tool_use\",\"id\":\"srvtoolu_1\",\"name\":\"web_search\",\"input\":{"
                   "\"query\":1.50}}]}]}")));
    assert_int_equal(tr_stream_state(s), TR_FLOWING);
    feed(s, start, &out);
    feed(s, text_start, &out);
    feed(s, text_delta, &out);
    feed(s, message_delta, &out);
    assert_int_equal(feed(s, message_stop, &out), TR_DONE);
    assert_int_equal(count(&out, "\"role\":\"assistant\""), 1);
    assert_int_equal(count(&out, "\"finish_reason\":\"stop\""), 1);
    assert_int_equal(count(&out, "[DONE]"), 1);
    assert_true(has(&out, "\"prompt_tokens\":6,\"completion_tokens\":10,"));
    tr_stream_destroy(s);
    buf_done(&out);
    buf_done(&body);
}

static void test_pauses_are_counted(void **state)
{
    (void)state;
    struct tr_stream_params params = whole_params;
    struct buf out, body;
    params.may_pause = true;
    struct tr_stream *s = tr_stream_create(&params);
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&body, OUT_BYTES_MAX);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(feed_paused(s, &out), TR_PAUSED);
        buf_reset(&body);
        assert_true(tr_stream_continue(s, STR(BODY), &body));
        assert_int_equal(count(&body, "server_tool_use"), i + 1);
    }
    assert_int_equal(feed_paused(s, &out), TR_DONE);
    assert_true(str_eq(tr_stream_finish_reason(s), STR("stop")));
    tr_stream_destroy(s);
    buf_done(&out);
    buf_done(&body);
}

/* Trap 123: a call that waits for the client comes first. Nor is there a pause without tools. */
static void test_what_is_not_continued(void **state)
{
    (void)state;
    for (int is_call = 0; is_call < 2; is_call++) {
        struct tr_stream_params params = whole_params;
        struct buf out;
        params.may_pause = is_call;
        struct tr_stream *s = tr_stream_create(&params);
        buf_init(&out, OUT_BYTES_MAX);
        feed(s, start, &out);
        feed(s, text_start, &out);
        if (is_call)
            feed(s, call, &out);
        feed(s, pause_delta, &out);
        assert_int_equal(feed(s, message_stop, &out), TR_DONE);
        assert_true(str_eq(tr_stream_finish_reason(s), is_call ? STR("tool_calls") : STR("stop")));
        tr_stream_destroy(s);
        buf_done(&out);
    }
}

/* A pause behind which the upstream cannot be asked. */
static void test_failing_in_a_pause(void **state)
{
    (void)state;
    struct tr_stream_params params = chunk_params;
    struct buf out, small;
    params.may_pause = true;
    struct tr_stream *s = tr_stream_create(&params);
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&small, 64);
    assert_int_equal(feed_paused(s, &out), TR_PAUSED);
    assert_false(tr_stream_continue(s, STR(BODY), &small));
    struct api_error error;
    api_error_set(&error, 500, "server_error", NULL, NULL, "x");
    assert_int_equal(tr_stream_fail(s, &error, &out), TR_FAILED);
    assert_int_equal(count(&out, "\"error\""), 1);
    tr_stream_destroy(s);
    buf_done(&out);
    buf_done(&small);
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
        cmocka_unit_test(test_choices_in_one_stream),
        cmocka_unit_test(test_choices_begin_in_order),
        cmocka_unit_test(test_choices_in_one_completion),
        cmocka_unit_test(test_a_choice_that_fails_late),
        cmocka_unit_test(test_a_paused_turn_goes_on),
        cmocka_unit_test(test_pauses_are_counted),
        cmocka_unit_test(test_what_is_not_continued),
        cmocka_unit_test(test_failing_in_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

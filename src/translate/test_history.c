/*
 * Properties of translated conversations with tools, over random ones: what the upstream demands of
 * the order holds, and what was sent stays a prefix when the conversation grows. And the costs of
 * big ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "translate/request.h"
#include "json/json.h"

#define MB           (1u << 20)
#define ROUNDS       20000
#define MESSAGES     14
#define TURN_IDS_MAX 64

static const struct tr_policy documented = {.default_model = {"claude-3-haiku-20240307", 23},
                                            .model_succession = true,
                                            .max_tokens = 4096,
                                            .thinking_reserve = true,
                                            .temperature = 0.1};

static const char *const pool[] = {
    "{\"role\":\"user\",\"content\":\"U\"}",
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"P\"},{\"type\":\"image_url\","
    "\"image_url\":\"https://example.com/a.png\"}]}",
    "{\"role\":\"user\",\"content\":\"\"}",
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":"
    "\"R\"},{\"type\":\"text\",\"text\":\"T\"}]}",
    "{\"role\":\"system\",\"content\":\"S\"}",
    "{\"role\":\"developer\",\"content\":\"D\"}",
    "{\"role\":\"assistant\",\"content\":null}",
    "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"ra\"}",
    "{\"role\":\"tool\",\"tool_call_id\":\"b.b\",\"content\":\"rb\"}",
    "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"}",
    "{\"role\":\"tool\",\"content\":\"without an id\"}",
    "{\"role\":\"function\",\"name\":\"f\",\"content\":\"rf\"}",
    /* From here on: assistants that say something. */
    "{\"role\":\"assistant\",\"content\":\"A\"}",
    "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"a\",\"function\":{"
    "\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"b.b\",\"function\":{\"name\":\"g\","
    "\"arguments\":\"no\"}}]}",
    "{\"role\":\"assistant\",\"content\":\"C\",\"tool_calls\":[{\"id\":\"c\",\"function\":{"
    "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]}",
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}},{"
    "\"id\":\"a\",\"function\":{\"name\":\"f\"}},{\"function\":{\"name\":\"f\"}}]}",
    "{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}",
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
    "\"input\":{}},{\"type\":\"text\",\"text\":\"B\"}]}",
};
#define FIRST_ASSISTANT 12

static unsigned seed = 1;

static size_t random_below(size_t n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void write_request(struct buf *in, const char *model, const size_t *messages, size_t n)
{
    buf_printf(in, "{\"model\":\"%s\",\"messages\":[", model);
    for (size_t i = 0; i < n; i++)
        buf_printf(in, "%s%s", i ? "," : "", pool[messages[i]]);
    buf_append_z(in, "]}");
}

static struct str type_of(yyjson_val *block)
{
    return json_str(json_get(block, "type"));
}

/* The ids of an assistant turn's calls; texts stand in front of them. */
static size_t check_assistant(yyjson_val *content, struct str *ids)
{
    size_t i, max, n = 0;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!str_eq(type_of(block), STR("tool_use"))) {
            assert_int_equal(n, 0);
            continue;
        }
        ids[n] = json_str(json_get(block, "id"));
        assert_true(ids[n].n > 0);
        for (size_t k = 0; k < n; k++)
            assert_false(str_eq(ids[k], ids[n]));
        assert_true(++n < TURN_IDS_MAX);
        assert_true(yyjson_is_obj(json_get(block, "input")));
    }
    return n;
}

/* The calls' results, all of them, in order, before anything else. */
static void check_user(yyjson_val *content, const struct str *ids, size_t n)
{
    size_t i, max;
    yyjson_val *block;
    assert_true(yyjson_arr_size(content) >= n);
    yyjson_arr_foreach(content, i, max, block)
    {
        bool is_result = str_eq(type_of(block), STR("tool_result"));
        assert_int_equal(is_result, i < n);
        if (is_result)
            assert_true(str_eq(json_str(json_get(block, "tool_use_id")), ids[i]));
        if (str_eq(type_of(block), STR("text")))
            assert_true(json_str(json_get(block, "text")).n > 0);
    }
}

static void check_turns(yyjson_val *messages)
{
    struct str ids[TURN_IDS_MAX], before = {0};
    size_t i, max, n = 0;
    yyjson_val *message;
    yyjson_arr_foreach(messages, i, max, message)
    {
        struct str role = json_str(json_get(message, "role"));
        yyjson_val *content = json_get(message, "content");
        assert_true(yyjson_arr_size(content) > 0);
        assert_false(str_eq(role, before));
        if (str_eq(role, STR("assistant"))) {
            n = check_assistant(content, ids);
        } else if (str_eq(role, STR("user"))) {
            assert_false(str_eq(before, STR("system")));
            check_user(content, ids, n);
            n = 0;
        } else {
            assert_true(str_eq(before, STR("user")));
        }
        before = role;
    }
    assert_int_equal(n, 0);
}

/* The upstream's `system` and `messages`, without the closing brackets; false = refused. */
static bool translate(const char *model, const size_t *messages, size_t n, struct buf *ret)
{
    struct buf in;
    struct arena arena;
    struct tr_request req;
    struct api_error err = {0};
    struct json_error json_err;
    buf_init(&in, MB);
    arena_init(&arena, MB);
    write_request(&in, model, messages, n);
    bool is_fine = tr_request(&arena, &documented, NULL, buf_str(&in), &req, &err);
    if (is_fine) {
        yyjson_doc *doc = json_parse(buf_str(&req.body), &json_err);
        assert_non_null(doc);
        check_turns(json_get(yyjson_doc_get_root(doc), "messages"));
        yyjson_doc_free(doc);
        ptrdiff_t system = str_find(buf_str(&req.body), STR(",\"system\":"));
        ptrdiff_t turns = str_find(buf_str(&req.body), STR(",\"messages\":"));
        size_t start = (size_t)(system >= 0 ? system : turns);
        buf_append(ret, req.body.data + start, req.body.len - start - strlen("]}"));
        buf_done(&req.body);
    } else {
        assert_int_equal(err.status, 400);
    }
    arena_done(&arena);
    buf_done(&in);
    return is_fine;
}

static void test_every_order_is_one_the_upstream_takes(void **state)
{
    (void)state;
    static const char *const models[] = {"claude-opus-5-5", "claude-sonnet-4-5"};
    size_t accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t messages[MESSAGES], n = 1 + random_below(MESSAGES);
        for (size_t i = 0; i < n; i++)
            messages[i] = random_below(PX_ARRAY_LEN(pool));
        struct buf out;
        buf_init(&out, MB);
        accepted += translate(models[round % 2], messages, n, &out);
        buf_done(&out);
    }
    assert_true(accepted > ROUNDS / 2);
}

/* Whether a request could have ended before message `i`: a user or a tool spoke, now the model. */
static bool is_cut(const size_t *messages, size_t i)
{
    size_t before = messages[i - 1];
    return messages[i] >= FIRST_ASSISTANT &&
           (before <= 1 || before == 3 || (before >= 7 && before < FIRST_ASSISTANT));
}

static void test_what_was_sent_stays(void **state)
{
    (void)state;
    size_t compared = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t messages[MESSAGES + 1], n = MESSAGES, cut = 0;
        for (size_t i = 0; i < n; i++) {
            messages[i] = random_below(PX_ARRAY_LEN(pool));
            if (i > 0 && is_cut(messages, i) && (cut == 0 || random_below(2)))
                cut = i;
        }
        messages[n++] = 0;
        struct buf before, after;
        buf_init(&before, MB);
        buf_init(&after, MB);
        if (cut && translate("claude-opus-5-5", messages, cut, &before)) {
            assert_true(translate("claude-opus-5-5", messages, n, &after));
            compared++;
            if (!str_starts(buf_str(&after), buf_str(&before)))
                fail_msg("%.*s\nis no prefix of\n%.*s", STR_ARG(buf_str(&before)),
                         STR_ARG(buf_str(&after)));
        }
        buf_done(&before);
        buf_done(&after);
    }
    assert_true(compared > ROUNDS / 2);
}

static bool translate_text(struct buf *in, size_t arena_max, struct tr_request *req,
                           struct api_error *err, size_t *ret_arena_used)
{
    struct arena arena;
    arena_init(&arena, arena_max);
    bool is_fine = tr_request(&arena, &documented, NULL, buf_str(in), req, err);
    *ret_arena_used = arena.used;
    arena_done(&arena);
    return is_fine;
}

static void repeat(struct buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_z(b, text);
    assert_false(b->failed);
}

static void write_image(struct buf *in, size_t chars)
{
    buf_append_z(in,
                 "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":[{"
                 "\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
    repeat(in, "iVBORw0KGgoAAAAN", chars / 16);
    buf_append_z(in, "\"}}]}]}");
}

static void test_base64_is_referenced(void **state)
{
    (void)state;
    struct buf in;
    struct tr_request req;
    struct api_error err;
    size_t used;
    buf_init(&in, 16 * MB);
    write_image(&in, 10 * MB);
    assert_true(translate_text(&in, MB, &req, &err, &used));
    assert_true(used < 4096);
    assert_in_range(req.body.len, in.len, in.len + 256);
    assert_true(req.input_estimate < 4000);
    buf_done(&req.body);
    buf_done(&in);
}

static void test_a_large_image_is_refused(void **state)
{
    (void)state;
    struct buf in;
    struct tr_request req;
    struct api_error err;
    size_t used;
    buf_init(&in, 16 * MB);
    write_image(&in, 10 * MB + 16);
    assert_false(translate_text(&in, MB, &req, &err, &used));
    assert_string_equal(err.param, "messages[0].content[0].image_url.url");
    assert_string_equal(err.code, "image_too_large");
    buf_done(&in);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The worst that a body can ask for: turns of as many calls as there may be, all alike. */
static void test_many_calls_are_cheap(void **state)
{
    (void)state;
    enum { CALLS = 4096, TURNS = 8 };
    struct buf in;
    struct tr_request req;
    struct api_error err;
    size_t used;
    buf_init(&in, 32 * MB);
    buf_append_z(&in, "{\"model\":\"claude-opus-5-5\",\"messages\":[");
    for (int turn = 0; turn < TURNS; turn++) {
        buf_printf(&in,
                   "%s{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"x\",\"function\":{"
                   "\"name\":\"f\"}}",
                   turn ? "," : "");
        repeat(&in, ",{\"id\":\"x\",\"function\":{\"name\":\"f\"}}", CALLS - 1);
        buf_append_z(&in, "]}");
        repeat(&in, ",{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"r\"}", CALLS);
    }
    buf_append_z(&in, "]}");
    double start = seconds();
    assert_true(translate_text(&in, 64 * MB, &req, &err, &used));
    assert_true(seconds() - start < 5); /* 0.2 on a plain machine, without sanitizers */
    buf_done(&req.body);
    buf_done(&in);
}

static void test_too_many_calls(void **state)
{
    (void)state;
    struct buf in;
    struct tr_request req;
    struct api_error err;
    size_t used;
    buf_init(&in, 4 * MB);
    buf_append_z(&in, "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"assistant\","
                      "\"tool_calls\":[{\"function\":{\"name\":\"f\"}}");
    repeat(&in, ",{\"function\":{\"name\":\"f\"}}", 4096);
    buf_append_z(&in, "]},{\"role\":\"user\",\"content\":\"U\"}]}");
    assert_false(translate_text(&in, 64 * MB, &req, &err, &used));
    assert_string_equal(err.param, "messages[0].tool_calls");
    assert_string_equal(err.code, "array_above_max_length");
    buf_done(&in);
}

/* Every allocation on the way may be the one that fails. */
static void test_arena_runs_out(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"file\",\"file\":{\"file_data\":\"data:text/plain,a%20b\"}},{\"type\":\"image_url\","
        "\"image_url\":\"data:image/gif,GIF89a\"},{\"type\":\"image_url\",\"image_url\":"
        "\"data:image/gif;base64,R0lGODlh%3D\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
        "\"tool_use\",\"id\":\"a\",\"name\":\"x.y\",\"input\":{}}],\"tool_calls\":[{\"id\":\"b.c\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"no\"}},{\"function\":{\"name\":\"f\"}}],"
        "\"function_call\":{\"name\":\"f\"}},{\"role\":\"tool\",\"tool_call_id\":\"b.c\","
        "\"content\":\"r\"},{\"role\":\"tool\",\"tool_call_id\":\"z\",\"content\":\"r\"}]}";
    bool is_enough = false;
    struct buf in;
    buf_init(&in, MB);
    buf_append_z(&in, body);
    for (size_t max = 0; !is_enough; max += 8) {
        assert_true(max < 65536);
        struct tr_request req;
        struct api_error err = {0};
        size_t used;
        is_enough = translate_text(&in, max, &req, &err, &used);
        if (is_enough)
            buf_done(&req.body);
        else if (err.status != 413 && err.status != 404)
            fail_msg("%zu bytes: %d %s", max, err.status, err.message);
    }
    buf_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_order_is_one_the_upstream_takes),
        cmocka_unit_test(test_what_was_sent_stays),
        cmocka_unit_test(test_base64_is_referenced),
        cmocka_unit_test(test_a_large_image_is_refused),
        cmocka_unit_test(test_many_calls_are_cheap),
        cmocka_unit_test(test_too_many_calls),
        cmocka_unit_test(test_arena_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

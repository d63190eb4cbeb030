/*
 * What holds for every request: size and depth limits, the same bytes for the same request, a
 * prefix that stays, memory that runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "translate/request.h"
#include "translate/upstream_error.h"
#include "json/json.h"

#define MB (1u << 20)

static const struct tr_policy documented = {.default_model = {"claude-3-haiku-20240307", 23},
                                            .model_succession = true,
                                            .max_tokens = 4096,
                                            .thinking_reserve = true,
                                            .temperature = 0.1};

static void repeat(struct buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_z(b, text);
    assert_false(b->failed);
}

static void check_refused(struct str body, int status, const char *words)
{
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    arena_init(&arena, 64 * MB);
    assert_false(tr_request(&arena, &documented, NULL, body, &req, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
    arena_done(&arena);
}

static void test_two_million_brackets(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8 * MB);
    buf_append_z(&b, "{\"model\":");
    repeat(&b, "[", 2000000);
    check_refused(buf_str(&b), 400, "nested too deeply");
    buf_done(&b);
}

static void test_too_many_values(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8 * MB);
    buf_append_z(&b, "{\"x\":[0");
    repeat(&b, ",0", JSON_VALUES_MAX);
    buf_append_z(&b, "]}");
    check_refused(buf_str(&b), 400, "too many values");
    buf_done(&b);
}

static void test_too_many_messages(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8 * MB);
    buf_append_z(&b, "{\"model\":\"claude-opus-5-5\",\"messages\":[{}");
    repeat(&b, ",{}", 100000);
    buf_append_z(&b, "]}");
    check_refused(buf_str(&b), 400, "array too long");
    buf_done(&b);
}

static void test_invalid_utf8(void **state)
{
    (void)state;
    check_refused(STR("{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}"), 400,
                  "We could not parse the JSON body of your request.");
}

static void test_a_big_text_is_written_once(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 40 * MB);
    buf_append_z(&b,
                 "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    repeat(&b, "sixteen bytes: \\n", 2000000);
    buf_append_z(&b, "\"}]}");
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    arena_init(&arena, MB); /* nothing of the text goes there */
    assert_true(tr_request(&arena, &documented, NULL, buf_str(&b), &req, &err));
    assert_true(req.body.len > b.len && req.body.len < b.len + 1024);
    assert_true(req.body.cap < 2 * b.len);
    assert_true(arena.used < 4096);
    assert_in_range(req.input_estimate, 11000000, 12000000);
    buf_done(&req.body);
    arena_done(&arena);
    buf_done(&b);
}

static void test_arena_runs_out(void **state)
{
    (void)state;
    static const char body[] =
        "{\"model\":\"claude-3-haiku-20240307\",\"temperature\":0.5,\"seed\":1,\"metadata\":{\"a\":"
        "\"b\"},\"anthropic_beta\":[\"a\",\"b\"],\"stop\":[\"x\",\" \"],\"response_format\":{"
        "\"type\":\"json_object\"},\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":"
        "\"user\",\"content\":\"U\"},{\"role\":\"assistant\",\"content\":\"A\"}]}";
    bool is_enough = false;
    for (size_t max = 0; !is_enough; max += 8) {
        assert_true(max < 65536);
        struct arena arena;
        struct tr_request req;
        struct api_error err = {0};
        arena_init(&arena, max);
        is_enough = tr_request(&arena, &documented, NULL, str_of(body), &req, &err);
        if (is_enough)
            buf_done(&req.body);
        else
            assert_true(err.status == 413 || err.status == 404);
        arena_done(&arena);
    }
}

static void test_no_room_for_the_body(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 80 * MB);
    buf_append_z(&b,
                 "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    repeat(&b, "sixteen bytes ..", TR_BODY_MAX / 16);
    buf_append_z(&b, "\"}]}");
    check_refused(buf_str(&b), 413, "more memory");
    buf_done(&b);
}

/* The upstream's `system` and `messages` of a conversation, without the closing bracket. */
static void translate_conversation(const char *model, const char *const *messages, size_t n,
                                   struct buf *ret)
{
    struct buf in;
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    buf_init(&in, MB);
    arena_init(&arena, MB);
    buf_printf(&in, "{\"model\":\"%s\",\"messages\":[", model);
    for (size_t i = 0; i < n; i++)
        buf_printf(&in, "%s%s", i ? "," : "", messages[i]);
    buf_append_z(&in, "]}");
    assert_true(tr_request(&arena, &documented, NULL, buf_str(&in), &req, &err));
    ptrdiff_t system = str_find(buf_str(&req.body), STR(",\"system\":"));
    ptrdiff_t start = system >= 0 ? system : str_find(buf_str(&req.body), STR(",\"messages\":"));
    assert_true(start > 0);
    buf_append(ret, req.body.data + start, req.body.len - (size_t)start - strlen("]}"));
    buf_done(&req.body);
    arena_done(&arena);
    buf_done(&in);
}

/*
 * B.3: what the first messages became stays when more are appended, whenever the request ended
 * with a user turn, as real ones do.
 */
static void test_appending_keeps_the_prefix(void **state)
{
    (void)state;
    static const char *const pool[] = {
        "{\"role\":\"user\",\"content\":\"U\"}",
        ("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"P\"},"
         "{\"type\":\"text\",\"text\":\"Q\"}]}"),
        "{\"role\":\"user\",\"content\":\"\"}",
        "{\"role\":\"assistant\",\"content\":\"A\"}",
        "{\"role\":\"assistant\",\"content\":null}",
        "{\"role\":\"system\",\"content\":\"S\"}",
        "{\"role\":\"developer\",\"content\":\"D\"}",
    };
    unsigned seed = 7;
    for (int round = 0; round < 2000; round++) {
        const char *messages[12] = {"{\"role\":\"system\",\"content\":\"L\"}"};
        size_t n = 1, cut = 0;
        while (n < PX_ARRAY_LEN(messages) - 1) {
            seed = seed * 1103515245u + 12345u;
            messages[n++] = pool[(seed >> 16) % PX_ARRAY_LEN(pool)];
            /* A user spoke, the assistant answered: the two requests of one conversation. */
            if (messages[n - 1] == pool[3] && n >= 2 && messages[n - 2] == pool[0] && n > 2)
                cut = n - 1;
        }
        messages[n++] = pool[0];
        if (cut == 0)
            continue;
        struct buf before, after;
        buf_init(&before, MB);
        buf_init(&after, MB);
        translate_conversation("claude-opus-5-5", messages, cut, &before);
        translate_conversation("claude-opus-5-5", messages, n, &after);
        if (!str_starts(buf_str(&after), buf_str(&before)))
            fail_msg("%.*s\nis no prefix of\n%.*s", STR_ARG(buf_str(&before)),
                     STR_ARG(buf_str(&after)));
        buf_done(&before);
        buf_done(&after);
    }
}

static void test_streaming_changes_nothing_upstream(void **state)
{
    (void)state; /* trap 116 */
    static const char *const bodies[] = {
        "{\"model\":\"claude-opus-5-5\",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
        ","
        "\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]}",
        "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]}",
    };
    struct tr_request req[2];
    struct arena arena;
    struct api_error err;
    arena_init(&arena, MB);
    for (size_t i = 0; i < 2; i++)
        assert_true(tr_request(&arena, &documented, NULL, str_of(bodies[i]), &req[i], &err));
    assert_true(str_eq(buf_str(&req[0].body), buf_str(&req[1].body)));
    assert_true(req[0].is_stream && !req[1].is_stream);
    buf_done(&req[0].body);
    buf_done(&req[1].body);
    arena_done(&arena);
}

/* A schema made to be walked for ever: it is not expressible, which is found out quickly. */
static void test_a_hostile_schema_is_cheap(void **state)
{
    (void)state;
    struct buf b;
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    buf_init(&b, 16 * MB);
    arena_init(&arena, 64 * MB);
    buf_append_z(&b,
                 "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":"
                 "\"U\"}],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                 "\"n\",\"schema\":{\"type\":\"object\",\"properties\":{\"a\":");
    repeat(&b, "{\"allOf\":[{\"type\":\"string\"},", 50);
    buf_append_z(&b, "{\"type\":\"string\"}");
    repeat(&b, ",{\"type\":\"string\"}", 400000);
    repeat(&b, "]}", 50);
    buf_append_z(&b, "}}}}}");
    assert_true(tr_request(&arena, &documented, NULL, buf_str(&b), &req, &err));
    assert_true(req.is_best_effort_format && !req.is_structured);
    buf_done(&req.body);
    arena_done(&arena);
    buf_done(&b);
}

/* The result owns its strings: the client's body may be gone before it is used. */
static void test_nothing_points_into_the_body(void **state)
{
    (void)state;
    static const char body[] = "{\"model\":\"claude-future-1\",\"metadata\":{\"k\":\"v\"},"
                               "\"anthropic_beta\":\"b\",\"x\":1,"
                               "\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]}";
    struct tr_request req;
    struct arena arena;
    struct api_error err;
    arena_init(&arena, MB);
    char *copy = malloc(sizeof(body));
    assert_non_null(copy);
    memcpy(copy, body, sizeof(body));
    assert_true(tr_request(&arena, &documented, NULL, str_of(copy), &req, &err));
    memset(copy, 'Z', sizeof(body));
    free(copy);
    assert_true(str_eq(req.asked_model, STR("claude-future-1")));
    assert_true(str_eq(req.model, STR("claude-future-1")));
    assert_true(str_eq(req.metadata, STR("{\"k\":\"v\"}")));
    assert_true(str_eq(req.beta, STR("b")));
    assert_true(str_eq(req.ignored, STR("x")));
    buf_done(&req.body);
    arena_done(&arena);
}

static void test_estimate(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MB);
    buf_append_z(&b,
                 "{\"model\":\"claude-haiku-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"");
    repeat(&b, "word ", 1000); /* about as many tokens */
    buf_append_z(&b, "\"}]}");
    struct tr_request req;
    struct arena arena;
    struct api_error err;
    arena_init(&arena, MB);
    assert_true(tr_request(&arena, &documented, NULL, buf_str(&b), &req, &err));
    assert_in_range(req.input_estimate, 900, 1800);
    buf_done(&req.body);
    arena_done(&arena);
    buf_done(&b);
}

static void check_error_text(const struct api_error *e, const char *expected)
{
    struct buf b;
    buf_init(&b, 8192);
    assert_true(api_error_write(e, &b));
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, expected);
    buf_done(&b);
}

static void test_error_object(void **state)
{
    (void)state;
    struct api_error e;
    api_error_set(&e, 400, "invalid_request_error", NULL, NULL, "a \"%s\"", "b");
    check_error_text(&e, "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":"
                         "\"invalid_request_error\",\"param\":null,\"code\":null}}");
    api_error_set(&e, 404, "invalid_request_error", "model_not_found", "model", "x");
    check_error_text(&e, "{\"error\":{\"message\":\"x\",\"type\":\"invalid_request_error\","
                         "\"param\":\"model\",\"code\":\"model_not_found\"}}");
}

/* Long texts are cut between characters, so that what is written stays valid. */
static void test_long_error_texts(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, MB);
    buf_append_z(&b, "{\"model\":\"");
    repeat(&b, "\xe4\xb8\xad", 10000);
    buf_append_z(&b, "\",\"messages\":[]}");
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    struct buf out;
    arena_init(&arena, MB);
    buf_init(&out, MB);
    assert_false(tr_request(&arena, &documented, NULL, buf_str(&b), &req, &err));
    assert_int_equal(err.status, 404);
    assert_true(api_error_write(&err, &out));
    assert_true(str_find(buf_str(&out), STR("\xef\xbf\xbd")) < 0);
    buf_done(&out);
    arena_done(&arena);
    buf_done(&b);
}

/* The `param` of an upstream error about this request. */
static void check_param(const char *request, const char *message, const char *param)
{
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    struct tr_upstream_error e;
    char text[256];
    arena_init(&arena, MB);
    assert_true(tr_request(&arena, &documented, NULL, str_of(request), &req, &err));
    snprintf(text, sizeof(text),
             "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"%s: No.\"}}", message);
    tr_upstream_error(400, str_of(text), req.names, &e);
    assert_string_equal(e.error.param, param);
    buf_done(&req.body);
    arena_done(&arena);
}

/* H.1: the upstream counts its own messages; the client is told of its own. */
static void test_errors_name_what_the_client_sent(void **state)
{
    (void)state;
    static const char led[] =
        "{\"model\":\"claude-opus-5-5\",\"max_completion_tokens\":9,\"safety_identifier\":\"a\","
        "\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":"
        "\"U\"},"
        "{\"role\":\"assistant\",\"content\":\"A\"},{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"P\"},{\"type\":\"text\",\"text\":\"Q\"}]}]}";
    check_param(led, "messages.0.content.0.text", "messages[1].content");
    check_param(led, "messages.1.role", "messages[2].role");
    check_param(led, "messages.2.content.1.text.text", "messages[3].content[1].text");
    check_param(led, "messages.2", "messages[3]");
    check_param(led, "messages.3", "messages");
    check_param(led, "messages.99999999999999999999.content", "messages");
    check_param(led, "messages", "messages");
    check_param(led, "max_tokens", "max_completion_tokens");
    check_param(led, "metadata.user_id", "safety_identifier");
    static const char joined[] =
        "{\"model\":\"claude-opus-5-5\",\"max_tokens\":9,\"user\":\"a\",\"messages\":["
        "{\"role\":\"user\",\"content\":\"U\"},{\"role\":\"user\",\"content\":\"V\"},"
        "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"R\"},{\"role\":\"user\","
        "\"content\":["
        "{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"Q\"}]}]}";
    check_param(joined, "messages.0.content.1.text", "messages");
    check_param(joined, "messages.1.content.0.text", "messages[2]");
    check_param(joined, "messages.2.content.0.text", "messages[3]");
    check_param(joined, "max_tokens", "max_tokens");
    check_param(joined, "metadata.user_id", "user");
    /* What tools answered is sent when the next message has come. */
    static const char tools[] =
        "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"U\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
        "\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"R\"},"
        "{\"role\":\"assistant\",\"content\":\"A\"},{\"role\":\"user\",\"content\":\"V\"}]}";
    check_param(tools, "messages.1.content.0.tool_use.id", "messages[1]");
    check_param(tools, "messages.2.content.0.tool_result.content", "messages[2]");
    check_param(tools, "messages.3.content", "messages[3].content");
    check_param(tools, "messages.4.content", "messages[4].content");
    /* The message that asks the model to go on is ours. */
    static const char trailing[] =
        "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"U\"},"
        "{\"role\":\"assistant\",\"content\":\"A\"}]}";
    check_param(trailing, "messages.1.content", "messages[1].content");
    check_param(trailing, "messages.2.content", "messages");
}

static void check_default_temperature(double value, const char *member)
{
    struct arena arena;
    struct tr_request req;
    struct api_error err;
    struct tr_policy policy = documented;
    policy.temperature = value;
    arena_init(&arena, MB);
    assert_true(tr_request(&arena, &policy, NULL,
                           STR("{\"model\":\"claude-haiku-4-5\","
                               "\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]}"),
                           &req, &err));
    if (str_find(buf_str(&req.body), str_of(member)) < 0)
        fail_msg("%.*s lacks %s", STR_ARG(buf_str(&req.body)), member);
    buf_done(&req.body);
    arena_done(&arena);
}

static void test_default_temperature(void **state)
{
    (void)state;
    check_default_temperature(0.0, "\"temperature\":0,");
    check_default_temperature(1.0, "\"temperature\":1,");
    check_default_temperature(7.0, "\"temperature\":1,");
    check_default_temperature(-1.0, "\"temperature\":0,");
    check_default_temperature(0.0004, "\"temperature\":0.0004,");
    check_default_temperature(1.0 / 3.0, "\"temperature\":0.3333333333333333,");
    for (int k = 1; k < 1000; k++) { /* as the shortest that reads back */
        char member[40];
        snprintf(member, sizeof(member), "\"temperature\":%g,", k / 1000.0);
        check_default_temperature(k / 1000.0, member);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_million_brackets),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_too_many_messages),
        cmocka_unit_test(test_default_temperature),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_a_big_text_is_written_once),
        cmocka_unit_test(test_arena_runs_out),
        cmocka_unit_test(test_no_room_for_the_body),
        cmocka_unit_test(test_appending_keeps_the_prefix),
        cmocka_unit_test(test_streaming_changes_nothing_upstream),
        cmocka_unit_test(test_a_hostile_schema_is_cheap),
        cmocka_unit_test(test_nothing_points_into_the_body),
        cmocka_unit_test(test_estimate),
        cmocka_unit_test(test_error_object),
        cmocka_unit_test(test_errors_name_what_the_client_sent),
        cmocka_unit_test(test_long_error_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

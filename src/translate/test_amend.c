/*
 * What is learned from an upstream's 400, and what a translation makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "translate/request.h"

static bool learn(int status, const char *message, struct tr_amend *ret)
{
    struct buf body;
    buf_init(&body, 4096);
    buf_append_z(&body, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                        "\"message\":\"");
    for (const char *p = message; *p; p++) {
        if (*p == '"')
            buf_append_char(&body, '\\');
        buf_append_char(&body, *p);
    }
    buf_append_z(&body, "\"}}");
    bool is_known = tr_amend_from_error(status, buf_str(&body), ret);
    buf_done(&body);
    return is_known;
}

static const unsigned low_and_high = 1u << EFFORT_LOW | 1u << EFFORT_HIGH;

static void test_known_texts(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        unsigned refuses;
    } cases[] = {
        {"`temperature` is deprecated for this model.", TR_REFUSES_SAMPLING},
        {"`top_p` is deprecated for this model.", TR_REFUSES_SAMPLING},
        {"temperature: Extra inputs are not permitted", TR_REFUSES_SAMPLING},
        {"top_k: Extra inputs are not permitted", TR_REFUSES_SAMPLING},
        {"`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
         TR_REFUSES_BOTH_SAMPLING},
        {"This model does not support assistant message prefill. The conversation must end with a "
         "user message.",
         TR_REFUSES_PREFILL},
        {"role 'system' is not supported on this model", TR_REFUSES_SYSTEM_ROLE},
        {"tool_choice: type \"tool\" and \"any\" are not supported for this model.",
         TR_REFUSES_FORCED_TOOLS},
        {"This model does not support effort level 'xhigh'. Supported levels: high, low.",
         TR_REFUSES_EFFORT},
        {"This model does not support the effort parameter.", TR_REFUSES_EFFORT},
        {"adaptive thinking is not supported on this model", TR_REFUSES_ADAPTIVE},
        {"\"thinking.type.enabled\" is not supported for this model. Use \"adaptive\".",
         TR_REFUSES_ENABLED},
        {"\"thinking.type.disabled\" is not supported for this model.", TR_REFUSES_DISABLED},
        {"output_config.format.schema: Schema is too complex for compilation.", TR_REFUSES_SCHEMA},
        {"anthropic-version: \"2026-10-21\" is not a valid version", TR_REFUSES_VERSION},
        {"messages.1.content.0: Invalid signature in thinking block. The block is bound to a "
         "different "
         "conversation.",
         TR_REFUSES_PREFIX},
        {"messages.1.content.0: Invalid `signature` in `thinking` block", TR_REFUSES_THOUGHTS},
        {"messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant "
         "message cannot be modified.",
         TR_REFUSES_THOUGHTS},
        {"messages: first message must use the \"user\" role", TR_REFUSES_ASSISTANT_FIRST},
        {"Requests which include `tool_use` or `tool_result` blocks must define tools.",
         TR_REFUSES_NO_TOOLS},
        {"The toolConfig field must be defined when using toolUse and toolResult content blocks.",
         TR_REFUSES_NO_TOOLS},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct tr_amend amend;
        if (!learn(400, cases[i].message, &amend) || amend.refuses != cases[i].refuses)
            fail_msg("not learned: %s", cases[i].message);
    }
}

static void test_nothing_to_learn(void **state)
{
    (void)state;
    struct tr_amend amend;
    assert_false(learn(400, "prompt is too long: 3333404 tokens > 200000 maximum", &amend));
    assert_false(learn(400, "messages.0.name: Extra inputs are not permitted", &amend));
    assert_false(learn(400, "", &amend));
    assert_false(learn(429, "`temperature` is deprecated for this model.", &amend));
    assert_false(learn(500, "anthropic-version", &amend));
    static const char *const bodies[] = {"",
                                         "<html>anthropic-version</html>",
                                         "null",
                                         "[]",
                                         "{}",
                                         "{\"error\":\"anthropic-version\"}",
                                         "{\"error\":{\"message\":5}}"};
    for (size_t i = 0; i < PX_ARRAY_LEN(bodies); i++)
        assert_false(tr_amend_from_error(400, str_of(bodies[i]), &amend));
}

static void test_effort_levels(void **state)
{
    (void)state;
    struct tr_amend amend;
    assert_true(learn(400,
                      "This model does not support effort level 'max'. Supported levels: "
                      "high, low.",
                      &amend));
    assert_int_equal(amend.efforts, low_and_high);
    struct model_info m = {.effort_low = true, .effort_medium = true, .effort_max = true};
    tr_amend_model(amend, &m);
    assert_true(m.effort_low && !m.effort_medium && !m.effort_high && !m.effort_max);
    assert_true(learn(400, "This model does not support the effort parameter.", &amend));
    tr_amend_model(amend, &m);
    assert_false(m.effort_low);
}

static void test_each_cause_once(void **state)
{
    (void)state;
    struct tr_amend amend = {0};
    assert_true(tr_amend_add(&amend, (struct tr_amend){.refuses = TR_REFUSES_SAMPLING}));
    assert_false(tr_amend_add(&amend, (struct tr_amend){.refuses = TR_REFUSES_SAMPLING}));
    assert_true(tr_amend_add(&amend, (struct tr_amend){TR_REFUSES_EFFORT, low_and_high}));
    assert_int_equal(amend.refuses, TR_REFUSES_SAMPLING | TR_REFUSES_EFFORT);
    assert_int_equal(amend.efforts, low_and_high);
    struct buf words;
    buf_init(&words, 128);
    tr_amend_write(amend, &words);
    assert_true(str_eq(buf_str(&words), STR("sampling,effort")));
    buf_done(&words);
}

#define ECHO(model, more)                                                                          \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"      \
    "\"assistant\",\"content\":\"b\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":"    \
    "\"t\","                                                                                       \
    "\"signature\":\"c2ln\"}]},{\"role\":\"user\",\"content\":\"c\"}]" more "}"

/* `body` translated with `refuses`: `has` stands in the upstream's, `lacks` does not. */
static const struct {
    const char *what, *body;
    unsigned refuses;
    const char *has, *lacks, *version, *modified, *ignored;
} translations[] = {
    {"sampling is dropped",
     "{\"model\":\"claude-haiku-4-5\",\"temperature\":0.5,\"messages\":[{"
     "\"role\":\"user\",\"content\":\"a\"}]}",
     TR_REFUSES_SAMPLING, "\"messages\"", "temperature", "2026-10-21", "", "temperature"},
    {"the operator's default is dropped unsaid",
     "{\"model\":\"claude-haiku-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
     TR_REFUSES_SAMPLING, "\"messages\"", "temperature", "2026-10-21", "", ""},
    {"top_p yields to temperature",
     "{\"model\":\"claude-3-opus-latest\",\"temperature\":0.5,\"top_p\":0.5,\"messages\":[{"
     "\"role\":\"user\",\"content\":\"a\"}]}",
     TR_REFUSES_BOTH_SAMPLING, "\"messages\"", "top_p", NULL, NULL, NULL},
    {"the version",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":"
     "\"a\"}]}",
     TR_REFUSES_VERSION, "\"messages\"", "temperature", "2023-06-01",
     "anthropic-version=2023-06-01", ""},
    {"prefill becomes a request to continue",
     "{\"model\":\"claude-haiku-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"assistant\",\"content\":\"b\"}]}",
     TR_REFUSES_PREFILL, "Continue from exactly", NULL, NULL, "messages(continue)", ""},
    {"late system messages go first",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"system\",\"content\":\"late\"}]}",
     TR_REFUSES_SYSTEM_ROLE, "\"system\":[{\"type\":\"text\",\"text\":\"late\"",
     "\"role\":\"system\"", NULL, "messages(system->first)", ""},
    {"the user leads",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"assistant\","
     "\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}]}",
     TR_REFUSES_ASSISTANT_FIRST,
     "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"...\"}]},{\"role\":"
     "\"assistant\"",
     NULL, NULL, "messages(user->first)", ""},
    {"trap 52: blocks of another prompt are dropped by the upstream", ECHO("claude-opus-5-5", ""),
     TR_REFUSES_PREFIX, "\"block_binding\":{\"prefix_mismatch_behavior\":\"drop_block\"}", NULL,
     NULL, "thinking.block_binding=drop_block", ""},
    {"or by us where it cannot",
     ECHO("claude-opus-4-5", ",\"max_tokens\":9000,\"thinking\":{\"type\":\"enabled\","
                             "\"budget_tokens\":2000}"),
     TR_REFUSES_PREFIX, "\"assistant\"", "c2ln", NULL, "", "messages.thinking_blocks"},
    {"blocks that are refused are left out", ECHO("claude-opus-5-5", ""), TR_REFUSES_THOUGHTS,
     "\"assistant\"", "c2ln", NULL, "", "messages.thinking_blocks"},
    {"a schema becomes an instruction",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{"
     "\"type\":\"object\",\"properties\":{}}}}}",
     TR_REFUSES_SCHEMA, "conforms to the JSON Schema", "output_config", NULL,
     "response_format(best-effort)", ""},
    {"tools of the history are defined",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"i\",\"function\":{\"name\":\"f.g\"}},{"
     "\"id\":\"j\",\"function\":{\"name\":\"h\"}},{\"id\":\"k\",\"function\":{\"name\":"
     "\"f.g\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"i\",\"content\":\"\"},{\"role\":"
     "\"tool\",\"tool_call_id\":\"j\",\"content\":\"\"},{\"role\":\"tool\",\"tool_call_id\":"
     "\"k\",\"content\":\"\"}]}",
     TR_REFUSES_NO_TOOLS,
     "\"tools\":[{\"name\":\"f_g\",\"input_schema\":{\"type\":\"object\"}},{\"name\":\"h\","
     "\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"none\"}",
     NULL, NULL, "", ""},
    {"those that the request defines stand alone",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"i\",\"function\":{\"name\":\"f.g\"}},{"
     "\"id\":\"j\",\"function\":{\"name\":\"h\"}},{\"id\":\"k\",\"function\":{\"name\":"
     "\"f.g\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"i\",\"content\":\"\"},{\"role\":"
     "\"tool\",\"tool_call_id\":\"j\",\"content\":\"\"},{\"role\":\"tool\",\"tool_call_id\":"
     "\"k\",\"content\":\"\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"x\"}}]}",
     TR_REFUSES_NO_TOOLS, "\"tools\":[{\"name\":\"x\"", "\"none\"", NULL, "", ""},
    {"without calls there is nothing to define",
     "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
     TR_REFUSES_NO_TOOLS, "\"messages\"", "\"tool", NULL, "", ""},
};

static void check_list(const char *what, struct str got, const char *expected)
{
    if (expected && !str_eq(got, str_of(expected)))
        fail_msg("%s: \"%.*s\" is not \"%s\"", what, STR_ARG(got), expected);
}

static void test_translations(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(translations); i++) {
        struct tr_policy policy = {
            .model_succession = true, .max_tokens = 4096, .temperature = 0.1};
        policy.amend.refuses = translations[i].refuses;
        struct arena arena;
        struct tr_request out;
        struct api_error err;
        arena_init(&arena, 1u << 20);
        if (!tr_request(&arena, &policy, NULL, str_of(translations[i].body), &out, &err))
            fail_msg("%s: %s", translations[i].what, err.message);
        struct str body = buf_str(&out.body);
        if (str_find(body, str_of(translations[i].has)) < 0 ||
            (translations[i].lacks && str_find(body, str_of(translations[i].lacks)) >= 0))
            fail_msg("%s: %.*s", translations[i].what, STR_ARG(body));
        check_list(translations[i].what, str_of(out.version), translations[i].version);
        check_list(translations[i].what, out.modified, translations[i].modified);
        check_list(translations[i].what, out.ignored, translations[i].ignored);
        buf_done(&out.body);
        arena_done(&arena);
    }
}

/* A refusal that nothing of the client's is lost by is no matter of strictness; others are. */
static void test_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(translations); i++) {
        if (!translations[i].modified || !translations[i].modified[0])
            continue;
        struct tr_policy policy = {.max_tokens = 4096, .temperature = 0.1, .strict = true};
        policy.amend.refuses = translations[i].refuses;
        struct arena arena;
        struct tr_request out;
        struct api_error err;
        arena_init(&arena, 1u << 20);
        bool is_fine = tr_request(&arena, &policy, NULL, str_of(translations[i].body), &out, &err);
        assert_int_equal(is_fine, translations[i].refuses == TR_REFUSES_VERSION);
        if (is_fine)
            buf_done(&out.body);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_texts),   cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_effort_levels), cmocka_unit_test(test_each_cause_once),
        cmocka_unit_test(test_translations),  cmocka_unit_test(test_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

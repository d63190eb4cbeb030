/*
 * What comes back of an answer that is remembered, into what the client makes of it; and what is
 * said where nothing does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "translate/request.h"

#define BYTES_MAX 65536
#define THOUGHT   "{\"type\":\"thinking\",\"thinking\":\"T\",\"signature\":\"S\"}"
#define REDACTED  "{\"type\":\"redacted_thinking\",\"data\":\"R\"}"
#define TEXT      "{\"type\":\"text\",\"text\":\"Let me see.\\n\\nYes.\"}"
#define CALL_A                                                                                     \
    "{\"type\":\"tool_use\",\"id\":\"toolu_a\",\"name\":\"f\",\"input\":{\"x\":1.0,\"y\":[null]}}"
#define CALL_B "{\"type\":\"tool_use\",\"id\":\"toolu_b\",\"name\":\"f\",\"input\":{}}"
#define CODE                                                                                       \
    "{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\",\"name\":\"code_execution\",\"input\":{}" \
    "}"
#define CALL_OF_CODE                                                                               \
    "{\"type\":\"tool_use\",\"id\":\"toolu_b\",\"name\":\"f\",\"input\":{},\"caller\":{\"type\":"  \
    "\"code_execution_20250825\",\"tool_id\":\"srvtoolu_1\"}}"
#define CUSTOM_C                                                                                   \
    "{\"type\":\"tool_use\",\"id\":\"toolu_c\",\"name\":\"c\",\"input\":{\"input\":\"q\"}}"
#define SAYS "\"content\":\"Let me see. Yes.\","
#define SENDS_A                                                                                    \
    "{\"id\":\"toolu_a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
#define ASKS_A SENDS_A "\"{\\\"y\\\": [null], \\\"x\\\": 1}\"}}"
#define ASKS_B                                                                                     \
    "{\"id\":\"toolu_b\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}"
#define ASKS_C                                                                                     \
    "{\"id\":\"toolu_c\",\"type\":\"custom\",\"custom\":{\"name\":\"c\",\"input\":\"q\"}}"

static const struct siphash_key tenant = {1, 2};

/* One remembered answer. */
struct kept {
    struct digest key;
    struct str content; /* .n 0: nothing is remembered */
    unsigned asked;
};

static bool recall(void *arg, struct digest key, struct buf *ret)
{
    struct kept *kept = arg;
    kept->asked++;
    return kept->content.n && digest_eq(kept->key, key) && buf_append_str(ret, kept->content);
}

static struct arena arena;
static struct tr_request request;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1u << 20);
    request = (struct tr_request){.recalled = 0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&request.body);
    arena_done(&arena);
    return 0;
}

/* Translates into `request`. */
static void translate(const struct tr_policy *policy, struct kept *kept, struct str body)
{
    const struct tr_memory memory = {tenant, recall, kept};
    struct tr_policy with_memory = *policy;
    struct api_error error;
    with_memory.max_tokens = 32000;
    with_memory.memory = &memory;
    buf_done(&request.body);
    if (!tr_request(&arena, &with_memory, NULL, body, &request, &error))
        fail_msg("%s\n%.*s", error.message, STR_ARG(body));
}

/* The content of the assistant's turn. */
static struct str sent(void)
{
    struct str body = buf_str(&request.body);
    ptrdiff_t at = str_find(body, STR("\"role\":\"assistant\",\"content\":"));
    if (at < 0)
        return (struct str){0};
    body = (struct str){body.p + at, body.n - (size_t)at};
    ptrdiff_t end = str_find(body, STR("]},{\"role\":"));
    return (struct str){body.p, end < 0 ? body.n : (size_t)end};
}

static void keep(struct kept *kept, struct digest conversation, const char *content)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(str_of(content), &err);
    assert_non_null(doc);
    *kept = (struct kept){.content = str_of(content)};
    assert_true(memory_key_of_content(tenant, conversation, yyjson_doc_get_root(doc), &kept->key));
    yyjson_doc_free(doc);
}

/* Calls ----------------------------------------------------------------------------------- */

static const struct call_case {
    const char *name;
    const char *content;  /* the remembered answer; NULL = none */
    const char *message;  /* the client's members of its assistant message */
    const char *sent;     /* how what goes upstream begins, behind its '[' */
    const char *modified; /* "": nothing is said */
    bool is_strict;
    unsigned refuses;
} call_cases[] = {
    {"all of it, where the client says the same", "[" THOUGHT "," TEXT "," CALL_A "]",
     SAYS "\"tool_calls\":[" ASKS_A "]", THOUGHT "," TEXT "," CALL_A, "", false, 0},
    {"parts instead of a string", "[" THOUGHT "," TEXT "," CALL_A "]",
     "\"content\":[{\"type\":\"text\",\"text\":\" Let me\"},{\"type\":\"text\",\"text\":\"see. "
     "Yes.\"}],\"tool_calls\":[" ASKS_A "]",
     THOUGHT "," TEXT "," CALL_A, "", false, 0},
    {"calls in another order", "[" THOUGHT "," CALL_A "," CALL_B "," CUSTOM_C "]",
     "\"content\":\"\",\"tool_calls\":[" ASKS_C "," ASKS_B "," ASKS_A "]",
     THOUGHT "," CALL_A "," CALL_B "," CUSTOM_C, "", false, 0},
    {"thinking between calls stays there", "[" THOUGHT "," CALL_A "," REDACTED "," CALL_B "]",
     "\"content\":null,\"tool_calls\":[" ASKS_A "," ASKS_B "]",
     THOUGHT "," CALL_A "," REDACTED "," CALL_B, "", false, 0},
    {"a changed text: the thinking in front of it", "[" THOUGHT "," TEXT "," CALL_B "]",
     "\"content\":\"No.\",\"tool_calls\":[" ASKS_B "]",
     THOUGHT ",{\"type\":\"text\",\"text\":\"No.\"}," CALL_B, "", false, 0},
    {"changed arguments: the same", "[" REDACTED "," CALL_A "]",
     "\"tool_calls\":[" SENDS_A "\"{\\\"x\\\":2}\"}}]",
     REDACTED ",{\"type\":\"tool_use\",\"id\":\"toolu_a\",\"name\":\"f\",\"input\":{\"x\":2}}", "",
     false, 0},
    {"arguments that are none: the same", "[" THOUGHT "," CALL_B "]",
     "\"tool_calls\":[{\"id\":\"toolu_b\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"[]\"}}]",
     THOUGHT ",{\"type\":\"tool_use\"", "messages(tool_calls.arguments)", false, 0},
    {"a call left out: the same", "[" THOUGHT "," CALL_A "," CALL_B "]",
     "\"tool_calls\":[" ASKS_A "]", THOUGHT ",{\"type\":\"tool_use\"", "", false, 0},
    {"a text changed between thinking: nothing", "[" THOUGHT "," TEXT "," THOUGHT "," CALL_B "]",
     "\"content\":\"No.\",\"tool_calls\":[" ASKS_B "]", "{\"type\":\"text\",\"text\":\"No.\"}",
     "messages(thinking_dropped)", false, 0},
    {"a mark on the text is kept", "[" THOUGHT "," TEXT "," CALL_B "]",
     "\"content\":[{\"type\":\"text\",\"text\":\"Let me see. Yes.\",\"cache_control\":{\"type\":"
     "\"ephemeral\"}}],\"tool_calls\":[" ASKS_B "]",
     THOUGHT ",{\"type\":\"text\",\"text\":\"Let me see. "
             "Yes.\",\"cache_control\":{\"type\":\"ephemeral\"}}",
     "", false, 0},
    {"what the client echoes wins", "[" THOUGHT "," CALL_B "]",
     "\"thinking_blocks\":[" REDACTED "],\"tool_calls\":[" ASKS_B "]", REDACTED "," CALL_B, "",
     false, 0},
    {"and so do its parts", "[" THOUGHT "," CALL_B "]",
     "\"content\":[" REDACTED "],\"tool_calls\":[" ASKS_B "]", REDACTED "," CALL_B, "", false, 0},
    {"calls as parts of the content", "[" THOUGHT "," TEXT "," CALL_B "]",
     "\"content\":[" TEXT "," CALL_B "]", THOUGHT "," TEXT "," CALL_B, "", false, 0},
    {"a call of the model's code, which the client answers",
     "[" THOUGHT "," CODE "," CALL_OF_CODE "]", "\"tool_calls\":[" ASKS_B "]",
     THOUGHT "," CODE "," CALL_OF_CODE, "", false, 0},
    {"nothing was thought", "[]", "\"tool_calls\":[" ASKS_B "]", CALL_B, "", false, 0},
    {"nothing is remembered, and it is said", NULL, "\"tool_calls\":[" ASKS_B "]", CALL_B,
     "messages(thinking_not_remembered)", false, 0},
    {"in strict mode too", NULL, "\"tool_calls\":[" ASKS_B "]", CALL_B,
     "messages(thinking_not_remembered)", true, 0},
    {"calls that the upstream did not make", NULL,
     "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
     "{\"type\":\"tool_use\",\"id\":\"call_1\"", "", false, 0},
    {"the upstream has refused the blocks", "[" THOUGHT "," CALL_B "]",
     "\"tool_calls\":[" ASKS_B "]", CALL_B, "messages(thinking_dropped)", false,
     TR_REFUSES_THOUGHTS},
};

/* What the cases' calls get as results. */
static void write_results(struct buf *body, const char *message)
{
    static const char *const ids[] = {"toolu_a", "toolu_b", "toolu_c", "call_1"};
    for (size_t i = 0; i < PX_ARRAY_LEN(ids); i++)
        if (strstr(message, ids[i]))
            buf_printf(body, ",{\"role\":\"tool\",\"tool_call_id\":\"%s\",\"content\":\"r\"}",
                       ids[i]);
}

static void run_call_case(const struct call_case *c)
{
    struct kept kept = {.asked = 0};
    struct buf body;
    const struct tr_policy policy = {.strict = c->is_strict, .amend.refuses = c->refuses};
    buf_init(&body, BYTES_MAX);
    buf_printf(&body,
               "{\"model\":\"claude-opus-4-8\",\"reasoning_effort\":\"high\",\"messages\":[{"
               "\"role\":\"user\",\"content\":\"U\"},{\"role\":\"assistant\",%s}",
               c->message);
    write_results(&body, c->message);
    buf_append_z(&body, "]}");
    if (c->content && strcmp(c->content, "[]") == 0) {
        keep(&kept, (struct digest){0, 0}, "[" CALL_B "]"); /* the key of that */
        kept.content = STR("[]");
    } else if (c->content) {
        keep(&kept, (struct digest){0, 0}, c->content);
    }
    translate(&policy, &kept, buf_str(&body));
    struct str begin = arena_printf(&arena, "\"role\":\"assistant\",\"content\":[%s", c->sent);
    if (!str_starts(sent(), begin))
        fail_msg("%s:\nsent   %.*s\nwanted %.*s", c->name, STR_ARG(sent()), STR_ARG(begin));
    if (!str_eq(request.modified, str_of(c->modified)))
        fail_msg("%s: modified %.*s", c->name, STR_ARG(request.modified));
    buf_done(&body);
}

static void test_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(call_cases); i++)
        run_call_case(&call_cases[i]);
}

/* Conversations --------------------------------------------------------------------------- */

#define REQUEST(lead)                                                                              \
    "{\"model\":\"claude-opus-4-8\",\"reasoning_effort\":\"high\",\"messages\":[" lead
#define SYSTEM "{\"role\":\"system\",\"content\":\"Be brief.\"},"
#define IMAGE(data)                                                                                \
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://i.example/" data "\"}}"
#define ASKS(parts)                                                                                \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Is it?\"}," parts "]}"
#define FIRST   SYSTEM ASKS(IMAGE("1"))
#define ANSWERS ",{\"role\":\"assistant\",\"content\":\"Let me see. Yes.\"}"
#define GOES_ON ",{\"role\":\"user\",\"content\":\"Why?\"}]}"

static const struct {
    const char *name, *body;
    bool is_found;
} conversations[] = {
    {"as it was", REQUEST(FIRST) ANSWERS GOES_ON, true},
    {"a mark was put on a part",
     REQUEST(SYSTEM) "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Is it?\","
                     "\"cache_control\":{\"type\":\"ephemeral\"}}," IMAGE("1") "]}" ANSWERS GOES_ON,
     true},
    {"the system prompt in parts",
     REQUEST("{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"Be brief.\"}]},")
         ASKS(IMAGE("1")) ANSWERS GOES_ON,
     true},
    {"another image", REQUEST(SYSTEM) ASKS(IMAGE("2")) ANSWERS GOES_ON, false},
    {"another system prompt",
     REQUEST("{\"role\":\"system\",\"content\":\"Be long.\"},") ASKS(IMAGE("1")) ANSWERS GOES_ON,
     false},
    {"another answer",
     REQUEST(FIRST) ",{\"role\":\"assistant\",\"content\":\"Let me see. No.\"}" GOES_ON, false},
    {"another place", REQUEST(FIRST) ",{\"role\":\"user\",\"content\":\"?\"}" ANSWERS GOES_ON,
     false},
};

static void test_conversations(void **state)
{
    (void)state;
    const struct tr_policy policy = {.strict = false};
    struct kept kept = {.asked = 0};
    translate(&policy, &kept, STR(REQUEST(FIRST) "]}"));
    assert_true(request.place.is_kept);
    keep(&kept, request.place.conversation, "[" THOUGHT "," TEXT "]");
    for (size_t i = 0; i < PX_ARRAY_LEN(conversations); i++) {
        translate(&policy, &kept, str_of(conversations[i].body));
        const bool is_found = str_find(buf_str(&request.body), STR(THOUGHT "," TEXT)) >= 0;
        if (is_found != conversations[i].is_found || request.recalled != is_found)
            fail_msg("%s: %.*s", conversations[i].name, STR_ARG(buf_str(&request.body)));
        assert_int_equal(request.modified.n, 0); /* no tool was called: it may be anybody's */
    }
}

static void test_only_who_thinks_asks(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"claude-opus-4-8\",\"messages\":[" FIRST ANSWERS GOES_ON,
        "{\"model\":\"claude-sonnet-5\",\"reasoning_effort\":\"none\",\"messages\":[" FIRST ANSWERS
            GOES_ON,
        "{\"model\":\"claude-3-haiku-20240307\",\"messages\":[" FIRST ANSWERS GOES_ON,
    };
    const struct tr_policy policy = {.strict = false};
    struct kept kept = {.asked = 0};
    for (size_t i = 0; i < PX_ARRAY_LEN(bodies); i++) {
        translate(&policy, &kept, str_of(bodies[i]));
        assert_false(request.place.is_kept);
    }
    assert_int_equal(kept.asked, 0);
}

/* Answers --------------------------------------------------------------------------------- */

#define ANSWER(content, stop)                                                                      \
    "{\"type\":\"message\",\"id\":\"msg_1\",\"model\":\"m\",\"content\":[" content                 \
    "],\"stop_reason\":\"" stop "\",\"usage\":{}}"

static const struct {
    const char *name, *answer, *content; /* NULL: nothing is kept of it */
    bool is_function_call;
} answers[] = {
    {"thinking and a text", ANSWER(THOUGHT "," TEXT, "end_turn"), "[" THOUGHT "," TEXT "]", false},
    {"thinking and a call", ANSWER(REDACTED "," CALL_B, "tool_use"), "[" REDACTED "," CALL_B "]",
     false},
    {"a call without a thought", ANSWER(CALL_B, "tool_use"), "[]", false},
    {"a text without one", ANSWER(TEXT, "end_turn"), NULL, false},
    {"thinking alone, cut off", ANSWER(THOUGHT, "max_tokens"), NULL, false},
    {"a refusal", ANSWER(THOUGHT "," TEXT, "refusal"), NULL, false},
    {"a function_call, which has no id", ANSWER(THOUGHT "," CALL_B, "tool_use"), NULL, true},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(answers); i++) {
        const struct tr_stream_params params = {.carries_content = true,
                                                .is_function_call = answers[i].is_function_call};
        const struct tr_place place = {.is_kept = true, .key = tenant};
        const struct tr_place nowhere = {.is_kept = false};
        struct tr_stream *s = tr_stream_create(&params);
        struct digest key;
        struct str content = {0};
        struct buf out;
        buf_init(&out, BYTES_MAX);
        assert_false(tr_stream_memo(s, &place, &key, &content)); /* it is not done */
        assert_int_equal(tr_stream_feed_message(s, str_of(answers[i].answer), &out), TR_DONE);
        assert_false(tr_stream_memo(s, &nowhere, &key, &content));
        const bool is_kept = tr_stream_memo(s, &place, &key, &content);
        if (is_kept != (answers[i].content != NULL) ||
            (is_kept && !str_eq(content, str_of(answers[i].content))))
            fail_msg("%s: %.*s", answers[i].name, STR_ARG(content));
        tr_stream_destroy(s);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_conversations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_who_thinks_asks, set_up, tear_down),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

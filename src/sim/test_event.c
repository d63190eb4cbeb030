/*
 * From a request to its answer: texts, stops and usage, the JSON, and the grammar of the stream,
 * which must say the same as the JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sim/event.h"
#include "sim/message.h"
#include "sim/prompt.h"
#include "sim/script.h"

struct spoken {
    struct arena arena;
    struct directives d;
    struct script script;
    struct buf json;   /* as a message */
    struct buf stream; /* as events */
};

static void speak(struct spoken *k, const char *body)
{
    struct json_error e;
    struct sim_error err = {0};
    struct prompt p;
    struct event_cursor c;
    *k = (struct spoken){0};
    arena_init(&k->arena, 64 << 20);
    buf_init(&k->json, 16 << 20);
    buf_init(&k->stream, 64 << 20);
    directives_init(&k->d);
    yyjson_doc *doc = json_parse(str_of(body), &e);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const struct sim_model *m = sim_model_find(json_str(json_get(root, "model")));
    assert_non_null(m);
    if (!prompt_read(&p, root, m->cls->token_percent, &k->arena, &k->d, &err) ||
        !script_build(&k->script, &p, &k->d, m, root, &k->arena, &err))
        fail_msg("%.*s", STR_ARG(err.message));
    yyjson_doc_free(doc); /* the script must not need it any more */
    message_write(&k->json, &k->script);
    event_begin(&c, &k->script);
    while (c.step != EVENT_DONE)
        event_write(&c, &k->script, 123456, &k->stream);
    assert_int_equal(c.n_deltas, event_count_deltas(&k->script));
    assert_false(k->stream.failed);
}

static void hush(struct spoken *k)
{
    buf_done(&k->json);
    buf_done(&k->stream);
    arena_done(&k->arena);
}

/* Joined text of the JSON's text blocks. */
static void json_text(const struct spoken *k, struct buf *to)
{
    struct json_error e;
    yyjson_doc *doc = json_parse(buf_str(&k->json), &e);
    assert_non_null(doc);
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(yyjson_doc_get_root(doc), "content"));
    while ((block = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(json_get(block, "type")), STR("text")))
            buf_append_str(to, json_str(json_get(block, "text")));
    yyjson_doc_free(doc);
}

/* Joined text_delta texts of the stream; every data line must be JSON whose type is the event's. */
static void stream_text(const struct spoken *k, struct buf *to)
{
    struct str rest = buf_str(&k->stream), line, event = {0};
    while (str_split(&rest, '\n', &line)) {
        if (str_starts(line, STR("event: ")))
            event = (struct str){line.p + 7, line.n - 7};
        if (!str_starts(line, STR("data: ")))
            continue;
        struct json_error e;
        yyjson_doc *doc = json_parse((struct str){line.p + 6, line.n - 6}, &e);
        if (!doc)
            fail_msg("no JSON: %.*s", STR_ARG(line));
        yyjson_val *root = yyjson_doc_get_root(doc);
        assert_true(str_eq(json_str(json_get(root, "type")), event));
        if (str_eq(json_str(json_get(json_get(root, "delta"), "type")), STR("text_delta")))
            buf_append_str(to, json_str(json_get(json_get(root, "delta"), "text")));
        yyjson_doc_free(doc);
    }
}

static void assert_answer(const char *body, const char *want)
{
    struct spoken k;
    struct buf text;
    speak(&k, body);
    buf_init(&text, 16 << 20);
    json_text(&k, &text);
    if (text.len != strlen(want) || memcmp(buf_str(&text).p, want, text.len) != 0)
        fail_msg("answered '%.*s', not '%s'", STR_ARG(buf_str(&text)), want);
    buf_reset(&text);
    stream_text(&k, &text);
    assert_int_equal(text.len, strlen(want));
    assert_memory_equal(buf_str(&text).p, want, text.len);
    buf_done(&text);
    hush(&k);
}

static bool has(const struct buf *b, const char *needle)
{
    return str_find(buf_str(b), str_of(needle)) >= 0;
}

#define ASK(extra, user)                                                                           \
    "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1000," extra                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":\"" user "\"}]}"
#define ONLY_JSON "\"system\":\"Respond with a single valid JSON object and nothing else.\","

static void answers_make_sense(void **state)
{
    (void)state;
    assert_answer(ASK("", "What's the capital of France?"), "The capital of France is Paris.");
    assert_answer(ASK("", "What's the population of Paris?"),
                  "The population of Paris is about 2.1 million people within the city limits.");
    assert_answer(ASK("", "Say this is a test"), "This is a test");
    assert_answer(ASK("", "zzz [[sim: nopad]]"), "You said: zzz");
    assert_answer(ASK(ONLY_JSON, "What's the capital of Japan?"),
                  "{\"country\":\"Japan\",\"capital\":\"Tokyo\"}");
    assert_answer(ASK("", "x [[sim: text=\\\"a, b\\\"]]"), "a, b");
    assert_answer(ASK("", "x [[sim: text=\\\"{}\\\" fence piece=3]]"), "```json\n{}\n```");
    assert_answer(ASK("", "x [[sim: words=4]]"), "the river runs down");
    assert_answer(
        "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":9,\"messages\":["
        "{\"role\":\"user\",\"content\":\"Let's play a word association game. I'll start: Sun\"},"
        "{\"role\":\"assistant\",\"content\":\"Warm\"},"
        "{\"role\":\"user\",\"content\":\"Castle\"}]}",
        "Knight");
}

static void books_and_seasons_are_json_when_asked(void **state)
{
    (void)state;
    static const char *const prompts[] = {
        ASK(ONLY_JSON, "Generate a JSON object with information about three random books"),
        ASK("\"system\":\"Always rhyme.\\nRespond with a single valid JSON object and nothing "
            "else.\",",
            "Tell me about the seasons of the year."),
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(prompts); i++) {
        struct spoken k;
        struct buf text;
        struct json_error e;
        speak(&k, prompts[i]);
        buf_init(&text, 65536);
        json_text(&k, &text);
        yyjson_doc *doc = json_parse(buf_str(&text), &e);
        assert_non_null(doc);
        assert_true(yyjson_is_obj(yyjson_doc_get_root(doc)));
        yyjson_doc_free(doc);
        buf_done(&text);
        hush(&k);
    }
}

static void structured_output_fits_the_schema(void **state)
{
    (void)state;
    assert_answer(
        ASK("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{"
            "\"type\":\"object\",\"additionalProperties\":false,"
            "\"properties\":{\"note\":{\"type\":\"string\"},\"kind\":{\"enum\":[\"a\",\"b\"]},"
            "\"n\":{\"type\":[\"integer\",\"null\"]},\"when\":{\"type\":\"string\",\"format\":"
            "\"date\"},"
            "\"list\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/x\"}}},"
            "\"required\":[\"kind\",\"when\"],"
            "\"$defs\":{\"x\":{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"null\"}]}}}}},",
            "hi"),
        "{\"kind\":\"a\",\"when\":\"2026-01-01\",\"note\":\"Hello! How can I help you "
        "today?\",\"n\":1,\"list\":[true]}");
}

static void follows_the_grammar(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK("", "x [[sim: nopad text=\\\"Hi.\\\" blocks=think,text,search,result,cited "
                      "think=omitted stop=refusal category=bio]]"));
    static const char *const order[] = {
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":"
        "\"claude-haiku-4-5-20251001\",\"id\":\"msg_01",
        "\"content\":[],\"container\":null,\"stop_reason\":null,\"stop_sequence\":null,\"stop_"
        "details\":null,",
        "\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"
        "}\n\n"
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "{\"type\":\"thinking_delta\",\"thinking\":\"\"}}\n\n",
        "{\"type\":\"signature_delta\",\"signature\":\"EqQB",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "\"index\":2,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_01",
        "\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
        "\"index\":3,\"content_block\":{\"type\":\"web_search_tool_result\",",
        "\"index\":4,\"content_block\":{\"citations\":[],\"type\":\"text\",\"text\":\"\"}}\n\n",
        "\"index\":4,\"delta\":{\"type\":\"citations_delta\",",
        "\"index\":4,\"delta\":{\"type\":\"text_delta\",",
        "event: message_delta\ndata: "
        "{\"type\":\"message_delta\",\"delta\":{\"container\":null,\"stop_reason\":\"refusal\","
        "\"stop_sequence\":null,\"stop_details\":{\"type\":\"refusal\",\"category\":\"bio\",",
        "\"output_tokens_details\":{\"thinking_tokens\":128},\"server_tool_use\":"
        "{\"web_search_requests\":1,",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    };
    struct str rest = buf_str(&k.stream);
    for (size_t i = 0; i < PX_ARRAY_LEN(order); i++) {
        ptrdiff_t at = str_find(rest, str_of(order[i]));
        if (at < 0)
            fail_msg("not in its place: %s\nin %.*s", order[i], STR_ARG(buf_str(&k.stream)));
        rest = (struct str){rest.p + at + strlen(order[i]), rest.n - (size_t)at - strlen(order[i])};
    }
    assert_int_equal(rest.n, 0);
    hush(&k);
}

static void pads_in_front_of_the_last_brace(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK("", "x [[sim: words=400]]"));
    struct str rest = buf_str(&k.stream), line;
    size_t seen[16] = {0};
    while (str_split(&rest, '\n', &line)) {
        if (!str_starts(line, STR("data: {\"type\":")))
            continue;
        assert_true(str_ends(line, STR("}")));
        size_t n = 0;
        while (line.p[line.n - 2 - n] == ' ')
            n++;
        assert_in_range(n, 0, 15);
        seen[n]++;
    }
    for (size_t i = 0; i < 16; i++)
        assert_true(seen[i] > 0);
    hush(&k);
}

static void stops_where_it_must(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK("\"stop_sequences\":[\"nope\",\" is\"],", "What's the capital of France?"));
    assert_true(has(&k.json, "\"text\":\"The capital of France\""));
    assert_true(has(&k.json, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\" is\""));
    hush(&k);
    speak(&k, "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":3,\"messages\":[{\"role\":\"user\","
              "\"content\":\"What's the capital of France?\"}]}");
    assert_true(has(&k.json, "\"text\":\"The capital of\""));
    assert_true(has(&k.json, "\"stop_reason\":\"max_tokens\""));
    assert_true(has(&k.json, "\"output_tokens\":3,"));
    hush(&k);
    speak(&k,
          "{\"model\":\"claude-opus-5-5\",\"max_tokens\":16,\"thinking\":{\"type\":\"adaptive\"},"
          "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    assert_int_equal(k.script.n_blocks, 1); /* the limit was spent on thinking */
    assert_int_equal(k.script.blocks[0].kind, BLOCK_THINK);
    assert_true(has(&k.json, "\"stop_reason\":\"max_tokens\""));
    hush(&k);
}

static void empty_answers_have_their_forms(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK("", "x [[sim: blocks=none]]"));
    assert_true(has(&k.json, "\"content\":[]"));
    assert_false(has(&k.stream, "content_block"));
    assert_false(has(&k.stream, "ping"));
    hush(&k);
    speak(&k, ASK("", "x [[sim: blocks=empty]]"));
    assert_true(has(&k.json, "\"content\":[{\"type\":\"text\",\"text\":\"\"}]"));
    assert_false(has(&k.stream, "content_block_delta"));
    hush(&k);
    speak(&k, ASK("", "x [[sim: whole]]"));
    assert_true(has(&k.stream, "\"stop_reason\":\"end_turn\""));
    assert_false(has(&k.stream, "message_delta"));
    hush(&k);
}

#define TOOLS                                                                                      \
    "\"tools\":[{\"name\":\"get_weather\",\"input_schema\":{\"type\":\"object\",\"properties\":"   \
    "{\"city\":{\"type\":\"string\"}}}}],"

static void calls_tools(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK(TOOLS, "use get_weather"));
    assert_true(has(&k.json, "\"name\":\"get_weather\",\"input\":{\"city\":\"use get_weather\"},"
                             "\"caller\":{\"type\":\"direct\"}}"));
    assert_true(has(&k.json, "\"stop_reason\":\"tool_use\""));
    hush(&k);
    speak(&k,
          ASK(TOOLS, "x [[sim: tool=get_weather calls=2 args=\\\"{}\\\" blocks=text,tool nopad]]"));
    assert_int_equal(k.script.n_blocks, 3);
    assert_true(has(&k.stream,
                    "\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}"));
    hush(&k);
}

static void stamps_and_line_ends(void **state)
{
    (void)state;
    struct spoken k;
    speak(&k, ASK("", "x [[sim: words=2 stamp eol=crlf pings=1]]"));
    assert_true(has(&k.stream, "\"text\":\"@123456 \"}"));
    assert_true(has(&k.stream, "event: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n"));
    for (size_t i = 0; i < k.stream.len; i++)
        if (k.stream.data[i] == '\n')
            assert_int_equal(k.stream.data[i - 1], '\r');
    hush(&k);
    speak(&k, ASK("", "x [[sim: words=2 eol=cr]]"));
    assert_false(has(&k.stream, "\n"));
    hush(&k);
}

static void long_prompts_keep_their_ends(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_append_z(&body, "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":9,\"messages\":[{\"role\":"
                        "\"user\",\"content\":\"");
    for (int i = 0; i < 60000; i++)
        buf_append_z(&body, "\xc3\xa9 ");
    buf_append_z(&body, "[[sim: words=2]]\"}]}");
    buf_append_char(&body, '\0');
    assert_answer(body.data, "the river");
    buf_done(&body);
}

static void calls_the_tools_that_a_prompt_names(void **state)
{
    (void)state;
    static const struct {
        const char *more, *prompt, *want, *wants_not;
    } cases[] = {
        {"", "use get_time and get_weather", "\"name\":\"get_weather\"", "\"type\":\"text\""},
        {"", "use get_time and get_weather", "\"name\":\"get_time\"", "\"type\":\"text\""},
        {"\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true},",
         "use get_time and get_weather", "\"name\":\"get_weather\"", "get_time"},
        {"\"tool_choice\":{\"type\":\"none\"},", "use get_time", "\"type\":\"text\"", "tool_use"},
        {"", "use get_timeout", "\"type\":\"text\"", "tool_use"}, /* a longer name */
        {"", "please search for boats", "\"type\":\"web_search_tool_result\"", "\"tool_use\""},
        {"", "please search for boats", "\"web_search_result_location\"", "\"tool_use\""},
        {"\"tool_choice\":{\"type\":\"tool\",\"name\":\"web_search\"},", "boats",
         "\"type\":\"server_tool_use\"", "\"tool_use\""},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct spoken k;
        char body[1024];
        snprintf(body, sizeof(body),
                 ASK("%s\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"},"
                     "{\"name\":\"get_weather\",\"input_schema\":{\"type\":\"object\"}},"
                     "{\"name\":\"get_time\",\"input_schema\":{\"type\":\"object\"}}],",
                     "%s"),
                 cases[i].more, cases[i].prompt);
        speak(&k, body);
        if (!has(&k.json, cases[i].want) || has(&k.json, cases[i].wants_not))
            fail_msg("case %zu: %.*s", i, STR_ARG(buf_str(&k.json)));
        hush(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_the_tools_that_a_prompt_names),
        cmocka_unit_test(answers_make_sense),
        cmocka_unit_test(books_and_seasons_are_json_when_asked),
        cmocka_unit_test(structured_output_fits_the_schema),
        cmocka_unit_test(follows_the_grammar),
        cmocka_unit_test(pads_in_front_of_the_last_brace),
        cmocka_unit_test(stops_where_it_must),
        cmocka_unit_test(empty_answers_have_their_forms),
        cmocka_unit_test(calls_tools),
        cmocka_unit_test(stamps_and_line_ends),
        cmocka_unit_test(long_prompts_keep_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

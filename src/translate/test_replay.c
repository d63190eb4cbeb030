/*
 * There and back: an answer goes to a client, which sends the message back as it got it, and the
 * next request holds the upstream's blocks again, byte for byte. Answers are made up at random, the
 * same ones in every run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "translate/request.h"
#include "translate/stream.h"
#include "json/json.h"

#define BYTES_MAX (4u << 20)
#define ROUNDS    600

static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

/* An answer of the upstream: its events, and the blocks as it would send them in one piece. */
struct answer_text {
    struct buf events, blocks;
    unsigned n, calls;
};

static const char *const words[] = {"a",       " ",  "\xc3\xa9",         "\"q\"", "\\",
                                    "\n",      "/",  "\xf0\x9f\x98\x80", "\x01",  "</b>",
                                    "\\u00e9", "\t", "\xe2\x82\xac",     "{",     "word"};

static void make_text(struct buf *to, uint32_t pieces)
{
    for (uint32_t i = 0; i < pieces; i++)
        buf_append_z(to, words[random_below(PX_ARRAY_LEN(words))]);
}

static void event(struct answer_text *a, const char *type, struct str json)
{
    buf_printf(&a->events, "data: {\"type\":\"content_block_%s\",\"index\":%u,", type, a->n);
    buf_append_str(&a->events, json);
    buf_append_z(&a->events, "}\n\n");
}

static void delta(struct answer_text *a, const char *type, const char *member, struct str text)
{
    struct buf json;
    buf_init(&json, BYTES_MAX);
    buf_printf(&json, "\"delta\":{\"type\":\"%s\",\"%s\":", type, member);
    json_write_string(&json, text);
    buf_append_char(&json, '}');
    event(a, "delta", buf_str(&json));
    buf_done(&json);
}

/* In two pieces, cut between characters of one byte. */
static void deltas(struct answer_text *a, const char *type, const char *member, struct str text)
{
    size_t cut = text.n ? random_below((uint32_t)text.n + 1) : 0;
    while (cut > 0 && cut < text.n && ((unsigned char)text.p[cut] & 0xc0) == 0x80)
        cut--;
    delta(a, type, member, (struct str){text.p, cut});
    delta(a, type, member, (struct str){text.p + cut, text.n - cut});
}

static void open_block(struct answer_text *a, struct str start)
{
    struct buf json;
    buf_init(&json, BYTES_MAX);
    buf_append_z(&json, "\"content_block\":");
    buf_append_str(&json, start);
    event(a, "start", buf_str(&json));
    buf_done(&json);
    buf_append_z(&a->blocks, a->n ? "," : "");
}

static void close_block(struct answer_text *a)
{
    buf_printf(&a->events, "data: {\"type\":\"content_block_stop\",\"index\":%u}\n\n", a->n++);
}

static void add_thinking(struct answer_text *a)
{
    struct buf text;
    char signature[32];
    buf_init(&text, BYTES_MAX);
    make_text(&text, random_below(6)); /* often none: omitted */
    snprintf(signature, sizeof(signature), "EqQB+/%u==", random_below(1000));
    open_block(a, STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    deltas(a, "thinking_delta", "thinking", buf_str(&text));
    delta(a, "signature_delta", "signature", str_of(signature));
    close_block(a);
    buf_append_z(&a->blocks, "{\"type\":\"thinking\",\"thinking\":");
    json_write_string(&a->blocks, buf_str(&text));
    buf_printf(&a->blocks, ",\"signature\":\"%s\"}", signature);
    buf_done(&text);
}

static void add_redacted(struct answer_text *a)
{
    char block[64];
    snprintf(block, sizeof(block), "{\"type\":\"redacted_thinking\",\"data\":\"D%u\"}",
             random_below(1000));
    open_block(a, str_of(block));
    close_block(a);
    buf_append_z(&a->blocks, block);
}

static void add_text(struct answer_text *a)
{
    struct buf text;
    buf_init(&text, BYTES_MAX);
    buf_append_z(&text, "t");
    make_text(&text, random_below(6));
    open_block(a, STR("{\"type\":\"text\",\"text\":\"\"}"));
    deltas(a, "text_delta", "text", buf_str(&text));
    close_block(a);
    buf_append_z(&a->blocks, "{\"type\":\"text\",\"text\":");
    json_write_string(&a->blocks, buf_str(&text));
    buf_append_char(&a->blocks, '}');
    buf_done(&text);
}

static void add_call(struct answer_text *a, const char *type, const char *id)
{
    static const char *const inputs[] = {"{}", "{\"a\":12345678901234567890}",
                                         "{\"b\":[1.50,\"\xc3\xa9\\n\"],\"a\":null}"};
    const char *input = inputs[random_below(PX_ARRAY_LEN(inputs))];
    struct buf start;
    buf_init(&start, BYTES_MAX);
    buf_printf(&start, "{\"type\":\"%s\",\"id\":\"%s_%u\",\"name\":\"f\",\"input\":", type, id,
               a->n);
    buf_append_z(&start, "{}}");
    open_block(a, buf_str(&start));
    if (strcmp(input, "{}") != 0)
        deltas(a, "input_json_delta", "partial_json", str_of(input));
    buf_printf(&a->blocks, "{\"type\":\"%s\",\"id\":\"%s_%u\",\"name\":\"f\",\"input\":%s}", type,
               id, a->n, input);
    close_block(a);
    buf_done(&start);
}

/* Anthropic's own tool, and its result. */
static void add_search(struct answer_text *a)
{
    char result[160];
    snprintf(result, sizeof(result),
             "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_%u\",\"content\":[{"
             "\"type\":\"web_search_result\",\"url\":\"u\",\"encrypted_content\":\"E/\"}]}",
             a->n);
    add_call(a, "server_tool_use", "srvtoolu");
    open_block(a, str_of(result));
    close_block(a);
    buf_append_z(&a->blocks, result);
}

static void make_answer(struct answer_text *a)
{
    *a = (struct answer_text){0};
    buf_init(&a->events, BYTES_MAX);
    buf_init(&a->blocks, BYTES_MAX);
    buf_append_z(&a->events,
                 "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":"
                 "\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{}}}"
                 "\n\n");
    bool was_text = false;
    for (uint32_t left = 1 + random_below(6); left; left--) {
        uint32_t kind = random_below(was_text ? 3 : 4); /* two texts in a row would be one */
        was_text = kind == 3;
        if (kind == 0)
            add_thinking(a);
        else if (kind == 1)
            add_redacted(a);
        else if (kind == 2)
            add_search(a);
        else
            add_text(a);
    }
    for (a->calls = 0; a->calls < random_below(3); a->calls++)
        add_call(a, "tool_use", "toolu");
    buf_printf(&a->events,
               "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\"},\"usage\":{}}"
               "\n\ndata: {\"type\":\"message_stop\"}\n\n",
               a->calls ? "tool_use" : "end_turn");
}

/* The one answer that is remembered. */
struct memo {
    struct tr_place place;
    struct digest key;
    struct buf content;
    bool has_content;
};

static void take_memo(struct memo *memo, struct tr_stream *s)
{
    struct str content;
    memo->has_content = tr_stream_memo(s, &memo->place, &memo->key, &content);
    if (memo->has_content)
        buf_append_str(&memo->content, content);
}

static bool recall(void *arg, struct digest key, struct buf *ret)
{
    const struct memo *memo = arg;
    return memo->has_content && digest_eq(key, memo->key) &&
           buf_append_str(ret, buf_str(&memo->content));
}

static void relay(const struct answer_text *a, bool is_stream, struct memo *memo, struct buf *out)
{
    const struct tr_stream_params params = {.is_stream = is_stream, .carries_content = true};
    struct tr_stream *s = tr_stream_create(&params);
    assert_non_null(s);
    if (tr_stream_feed(s, buf_str(&a->events), out) != TR_DONE)
        fail_msg("%s\n%.*s", tr_stream_error(s)->message, STR_ARG(buf_str(&a->events)));
    if (memo)
        take_memo(memo, s);
    tr_stream_destroy(s);
}

/* What a client keeps of a stream: texts joined, details as they came, calls by their index. */
struct kept {
    struct buf content, details, calls, open;
    bool has_call;
};

static void keep_call(struct kept *k, yyjson_val *call)
{
    yyjson_val *function = json_get(call, "function");
    if (json_get(call, "id")) {
        if (k->has_call) {
            json_write_string(&k->calls, buf_str(&k->open));
            buf_append_z(&k->calls, "}},");
        }
        buf_reset(&k->open);
        k->has_call = true;
        buf_append_z(&k->calls, "{\"id\":");
        json_write_string(&k->calls, json_str(json_get(call, "id")));
        buf_append_z(&k->calls,
                     ",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":");
    }
    buf_append_str(&k->open, json_str(json_get(function, "arguments")));
}

static void keep_delta(struct kept *k, yyjson_val *delta)
{
    size_t i, max;
    yyjson_val *v;
    buf_append_str(&k->content, json_str(json_get(delta, "content")));
    yyjson_arr_foreach(json_get(delta, "reasoning_details"), i, max, v)
    {
        buf_append_z(&k->details, k->details.len ? "," : "");
        json_write_value(&k->details, v);
    }
    yyjson_arr_foreach(json_get(delta, "tool_calls"), i, max, v) keep_call(k, v);
}

static void write_kept(struct kept *k, bool keeps_reasoning, struct buf *message)
{
    buf_append_z(message, "{\"role\":\"assistant\",\"content\":");
    json_write_string(message, buf_str(&k->content));
    if (keeps_reasoning) {
        buf_append_z(message, ",\"reasoning_details\":[");
        buf_append_str(message, buf_str(&k->details));
        buf_append_char(message, ']');
    }
    if (k->has_call) {
        buf_append_z(message, ",\"tool_calls\":[");
        buf_append_str(message, buf_str(&k->calls));
        json_write_string(message, buf_str(&k->open));
        buf_append_z(message, "}}]");
    }
    buf_append_char(message, '}');
}

static void message_of_stream(struct str sse, bool keeps_reasoning, struct buf *message)
{
    struct kept k = {0};
    struct buf *bufs[] = {&k.content, &k.details, &k.calls, &k.open};
    struct str line;
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++)
        buf_init(bufs[i], BYTES_MAX);
    while (str_split(&sse, '\n', &line)) {
        if (!str_starts(line, STR("data: {")))
            continue;
        struct json_error err;
        yyjson_doc *doc = json_parse((struct str){line.p + 6, line.n - 6}, &err);
        assert_non_null(doc);
        yyjson_val *choices = json_get(yyjson_doc_get_root(doc), "choices");
        keep_delta(&k, json_get(yyjson_arr_get_first(choices), "delta"));
        yyjson_doc_free(doc);
    }
    write_kept(&k, keeps_reasoning, message);
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++)
        buf_done(bufs[i]);
}

static void message_of_completion(struct str json, struct buf *message)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    assert_non_null(doc);
    yyjson_val *choices = json_get(yyjson_doc_get_root(doc), "choices");
    json_write_value(message, json_get(yyjson_arr_get_first(choices), "message"));
    yyjson_doc_free(doc);
}

static void write_results(const struct answer_text *a, struct buf *body)
{
    for (unsigned i = a->n - a->calls; i < a->n; i++)
        buf_printf(body, ",{\"role\":\"tool\",\"tool_call_id\":\"toolu_%u\",\"content\":\"r\"}", i);
}

static void check_request(struct str body, const struct tr_memory *memory, struct str blocks)
{
    const struct tr_policy policy = {
        .max_tokens = 4096, .thinking_reserve = true, .memory = memory};
    struct arena arena;
    struct tr_request request;
    struct api_error error;
    struct json_error err;
    struct buf got;
    arena_init(&arena, 64u << 20);
    buf_init(&got, BYTES_MAX);
    if (!tr_request(&arena, &policy, NULL, body, &request, &error))
        fail_msg("%s\n%.*s", error.message, STR_ARG(body));
    yyjson_doc *doc = json_parse(buf_str(&request.body), &err);
    yyjson_val *messages = json_get(yyjson_doc_get_root(doc), "messages");
    json_write_value(&got, json_get(yyjson_arr_get(messages, 1), "content"));
    struct str inner = {got.data + 1, got.len - 2};
    if (!str_eq(inner, blocks))
        fail_msg("\nupstream: %.*s\nagain:    %.*s\nclient:   %.*s", STR_ARG(blocks),
                 STR_ARG(inner), STR_ARG(body));
    assert_int_equal(request.ignored.n, 0);
    assert_int_equal(request.modified.n, 0);
    yyjson_doc_free(doc);
    buf_done(&got);
    buf_done(&request.body);
    arena_done(&arena);
}

static void go_round(const struct answer_text *a, bool is_stream)
{
    struct buf out, body;
    buf_init(&out, BYTES_MAX);
    buf_init(&body, BYTES_MAX);
    relay(a, is_stream, NULL, &out);
    buf_append_z(&body,
                 "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":"
                 "\"U\"},");
    if (is_stream)
        message_of_stream(buf_str(&out), true, &body);
    else
        message_of_completion(buf_str(&out), &body);
    write_results(a, &body);
    buf_append_z(&body, ",{\"role\":\"user\",\"content\":\"V\"}]}");
    check_request(buf_str(&body), NULL, buf_str(&a->blocks));
    buf_done(&out);
    buf_done(&body);
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct answer_text a;
        seed = round * 2654435761u;
        make_answer(&a);
        go_round(&a, true);
        go_round(&a, false);
        buf_done(&a.events);
        buf_done(&a.blocks);
    }
}

#define FIRST_MESSAGE                                                                              \
    "{\"model\":\"claude-opus-5-5\",\"messages\":[{\"role\":\"user\",\"content\":\"U\"}"

static void find_place(const struct tr_memory *memory, struct memo *memo)
{
    const struct tr_policy policy = {.max_tokens = 4096, .memory = memory};
    struct arena arena;
    struct tr_request request;
    struct api_error error;
    arena_init(&arena, 1u << 20);
    assert_true(tr_request(&arena, &policy, NULL, STR(FIRST_MESSAGE "]}"), &request, &error));
    memo->place = request.place;
    buf_done(&request.body);
    arena_done(&arena);
}

/* The client keeps nothing of reasoning: what is remembered of the answer stands in. */
static bool go_round_forgetting(const struct answer_text *a)
{
    struct memo memo = {.has_content = false};
    const struct tr_memory memory = {{1, 2}, recall, &memo};
    struct buf out, body;
    buf_init(&out, BYTES_MAX);
    buf_init(&body, BYTES_MAX);
    buf_init(&memo.content, BYTES_MAX);
    find_place(&memory, &memo);
    relay(a, true, &memo, &out);
    buf_append_z(&body, FIRST_MESSAGE ",");
    message_of_stream(buf_str(&out), false, &body);
    write_results(a, &body);
    buf_append_z(&body, ",{\"role\":\"user\",\"content\":\"V\"}]}");
    const bool is_remembered = memo.has_content && memo.content.len > 2;
    if (is_remembered)
        check_request(buf_str(&body), &memory, buf_str(&a->blocks));
    buf_done(&out);
    buf_done(&body);
    buf_done(&memo.content);
    return is_remembered;
}

static void test_there_and_back_by_memory(void **state)
{
    (void)state;
    unsigned remembered = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct answer_text a;
        seed = round * 2654435761u;
        make_answer(&a);
        remembered += go_round_forgetting(&a);
        buf_done(&a.events);
        buf_done(&a.blocks);
    }
    assert_true(remembered > ROUNDS / 2); /* those that think and say anything */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_there_and_back_by_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

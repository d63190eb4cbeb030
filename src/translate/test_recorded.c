/*
 * Recorded answers of the real API, where they are at hand: what the client gets is compared with
 * what a plain reading of the recording says, in chunks and whole, in random cuts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "translate/golden.h"
#include "translate/stream.h"
#include "json/json.h"

#define BYTES_MAX  (64u << 20)
#define BLOCKS_MAX 256
#define CUTS       8

/* A block as the recording has it when all its pieces are joined. */
struct block {
    char type[64], caller[64], answers[64];
    struct buf text;
};

struct recording {
    struct block blocks[BLOCKS_MAX];
    size_t n, base; /* `base`: blocks of messages that ended */
    int64_t before[5], now[5];
    char stop[64];
};

static const char *const counts[5] = {"input_tokens", "cache_creation_input_tokens",
                                      "cache_read_input_tokens", "output_tokens", NULL};

static void copy(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", STR_ARG(s));
}

static void read_usage(struct recording *r, yyjson_val *usage)
{
    for (size_t i = 0; i < 4; i++)
        json_to_int(json_get(usage, counts[i]), &r->now[i]);
    json_to_int(json_get(json_get(usage, "output_tokens_details"), "thinking_tokens"), &r->now[4]);
}

static struct block *add_block(struct recording *r, yyjson_val *block)
{
    assert_true(r->n < BLOCKS_MAX);
    struct block *b = &r->blocks[r->n++];
    memset(b, 0, sizeof(*b));
    buf_init(&b->text, BYTES_MAX);
    copy(b->type, sizeof(b->type), json_str(json_get(block, "type")));
    yyjson_val *caller = json_get(block, "caller");
    if (!str_eq(json_str(json_get(caller, "type")), STR("direct")))
        copy(b->caller, sizeof(b->caller), json_str(json_get(caller, "tool_id")));
    copy(b->answers, sizeof(b->answers), json_str(json_get(block, "tool_use_id")));
    buf_append_str(&b->text, json_str(json_get(block, "text")));
    yyjson_val *input = json_get(block, "input");
    if (strcmp(b->type, "tool_use") == 0 && yyjson_obj_size(input) > 0)
        json_write_value(&b->text, input);
    return b;
}

static void read_message(struct recording *r, yyjson_val *message)
{
    size_t i, n;
    yyjson_val *block;
    for (size_t k = 0; k < 5; k++) {
        r->before[k] += r->now[k];
        r->now[k] = 0;
    }
    r->base = r->n;
    read_usage(r, json_get(message, "usage"));
    copy(r->stop, sizeof(r->stop), json_str(json_get(message, "stop_reason")));
    yyjson_arr_foreach(json_get(message, "content"), i, n, block) add_block(r, block);
}

static void read_event(struct recording *r, yyjson_val *event)
{
    struct str type = json_str(json_get(event, "type"));
    yyjson_val *delta = json_get(event, "delta");
    int64_t index = 0;
    json_to_int(json_get(event, "index"), &index);
    if (str_eq(type, STR("message_start")))
        read_message(r, json_get(event, "message"));
    else if (str_eq(type, STR("content_block_start")))
        add_block(r, json_get(event, "content_block"));
    if (str_eq(type, STR("content_block_delta"))) {
        struct buf *text = &r->blocks[r->base + (size_t)index].text;
        buf_append_str(text, json_str(json_get(delta, "text")));
        buf_append_str(text, json_str(json_get(delta, "partial_json")));
    }
    if (str_eq(type, STR("message_delta"))) {
        read_usage(r, json_get(event, "usage"));
        if (json_get(delta, "stop_reason"))
            copy(r->stop, sizeof(r->stop), json_str(json_get(delta, "stop_reason")));
    }
}

static void read_sse(struct recording *r, struct str body)
{
    struct str line;
    while (str_split(&body, '\n', &line)) {
        if (!str_starts(line, STR("data:")))
            continue;
        struct json_error err;
        yyjson_doc *doc = json_parse(str_trim((struct str){line.p + 5, line.n - 5}), &err);
        assert_non_null(doc);
        read_event(r, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
}

static bool is_blank_at(const struct buf *b, bool at_end)
{
    char c = at_end ? b->data[b->len - 1] : b->data[0];
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Non-empty texts joined: nothing between neighbours, a paragraph where other blocks stand between.
 */
static void join_texts(const struct recording *r, struct buf *to)
{
    const struct block *last = NULL;
    bool is_apart = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct block *b = &r->blocks[i];
        if (strcmp(b->type, "text") != 0) {
            is_apart = true;
        } else if (b->text.len > 0) {
            if (last && is_apart && !is_blank_at(&last->text, true) &&
                !is_blank_at(&b->text, false))
                buf_append_z(to, "\n\n");
            buf_append_str(to, buf_str(&b->text));
            is_apart = false;
            last = b;
        }
    }
}

/* Whether block `i` is a call that the client must answer. */
static bool is_open_call(const struct recording *r, size_t i)
{
    if (strcmp(r->blocks[i].type, "tool_use") != 0)
        return false;
    for (size_t k = i + 1; k < r->n; k++)
        if (r->blocks[i].caller[0] && strcmp(r->blocks[k].answers, r->blocks[i].caller) == 0)
            return false;
    return true;
}

static void join_arguments(const struct recording *r, struct buf *to)
{
    for (size_t i = 0; i < r->n; i++) {
        if (!is_open_call(r, i))
            continue;
        buf_append_str(to, r->blocks[i].text.len ? buf_str(&r->blocks[i].text) : STR("{}"));
        buf_append_char(to, '\n');
    }
}

static const char *finish_of(const struct recording *r, bool has_calls)
{
    if (strcmp(r->stop, "max_tokens") == 0 || strcmp(r->stop, "model_context_window_exceeded") == 0)
        return "length";
    if (strcmp(r->stop, "refusal") == 0)
        return "content_filter";
    return has_calls ? "tool_calls" : "stop";
}

/* What a client makes of an answer. */
struct heard {
    struct buf content, calls[32];
    size_t n;
    char finish[32];
    int64_t usage[3];
};

static void hear_calls(struct heard *h, yyjson_val *message)
{
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(json_get(message, "tool_calls"), i, n, call)
    {
        int64_t at = (int64_t)i;
        json_to_int(json_get(call, "index"), &at);
        assert_in_range(at, 0, 31);
        if (json_get(call, "id")) {
            assert_int_equal(at, h->n); /* numbered without gaps, each begun once */
            buf_init(&h->calls[h->n++], BYTES_MAX);
        }
        assert_true((size_t)at < h->n);
        buf_append_str(&h->calls[at], json_str(json_get(json_get(call, "function"), "arguments")));
    }
}

static void hear(struct heard *h, struct str json)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    yyjson_val *message = json_get(choice, "message");
    if (!message)
        message = json_get(choice, "delta");
    buf_append_str(&h->content, json_str(json_get(message, "content")));
    hear_calls(h, message);
    struct str finish = json_str(json_get(choice, "finish_reason"));
    if (finish.n)
        copy(h->finish, sizeof(h->finish), finish);
    yyjson_val *usage = json_get(root, "usage");
    json_to_int(json_get(usage, "prompt_tokens"), &h->usage[0]);
    json_to_int(json_get(usage, "completion_tokens"), &h->usage[1]);
    json_to_int(json_get(usage, "total_tokens"), &h->usage[2]);
    yyjson_doc_free(doc);
}

static void hear_chunks(struct heard *h, struct str sse)
{
    struct str line;
    bool is_done = false;
    while (str_split(&sse, '\n', &line)) {
        assert_false(is_done && line.n > 0);
        if (str_eq(line, STR("data: [DONE]")))
            is_done = true;
        else if (str_starts(line, STR("data: ")))
            hear(h, (struct str){line.p + 6, line.n - 6});
    }
    assert_true(is_done);
}

static void feed(struct tr_stream *s, struct str body, unsigned seed, struct buf *out)
{
    for (size_t i = 0; i < body.n;) {
        seed = seed * 1103515245u + 12345u;
        size_t n = 1 + (seed >> 16) % (seed % 3 ? 40 : 4000);
        if (n > body.n - i)
            n = body.n - i;
        tr_stream_feed(s, (struct str){body.p + i, n}, out);
        i += n;
    }
}

static void play(const char *id, struct str body, bool is_sse, bool is_stream, unsigned seed,
                 struct heard *h)
{
    struct tr_stream_params params = {.is_stream = is_stream, .include_usage = true};
    struct tr_stream *s = tr_stream_create(&params);
    struct buf out;
    assert_non_null(s);
    buf_init(&out, BYTES_MAX);
    if (is_sse)
        feed(s, body, seed, &out);
    else
        tr_stream_feed_message(s, body, &out);
    if (tr_stream_end(s, &out) != TR_DONE)
        fail_msg("%s: %s", id, tr_stream_error(s)->message);
    assert_true(utf8_is_valid(buf_str(&out)));
    *h = (struct heard){0};
    buf_init(&h->content, BYTES_MAX);
    if (is_stream)
        hear_chunks(h, buf_str(&out));
    else
        hear(h, buf_str(&out));
    tr_stream_destroy(s);
    buf_done(&out);
}

static void compare(const char *id, const struct recording *r, struct heard *h)
{
    struct buf content, calls, heard_calls;
    buf_init(&content, BYTES_MAX);
    buf_init(&calls, BYTES_MAX);
    buf_init(&heard_calls, BYTES_MAX);
    join_texts(r, &content);
    join_arguments(r, &calls);
    for (size_t i = 0; i < h->n; i++) {
        buf_append_str(&heard_calls, buf_str(&h->calls[i]));
        buf_append_char(&heard_calls, '\n');
        buf_done(&h->calls[i]);
    }
    bool is_refused = strcmp(r->stop, "refusal") == 0; /* the text is then withheld */
    if (!is_refused && !str_eq(buf_str(&content), buf_str(&h->content)))
        fail_msg("%s: content\n%.*s\nexpected\n%.*s", id, STR_ARG(buf_str(&h->content)),
                 STR_ARG(buf_str(&content)));
    if (!is_refused && !str_eq(buf_str(&calls), buf_str(&heard_calls)))
        fail_msg("%s: calls\n%.*s\nexpected\n%.*s", id, STR_ARG(buf_str(&heard_calls)),
                 STR_ARG(buf_str(&calls)));
    assert_string_equal(h->finish, finish_of(r, calls.len > 0));
    int64_t prompt = 0;
    for (size_t i = 0; i < 3; i++)
        prompt += r->before[i] + r->now[i];
    int64_t output = r->before[3] + r->now[3];
    assert_int_equal(h->usage[0], prompt);
    assert_int_equal(h->usage[1], output);
    assert_int_equal(h->usage[2], prompt + output);
    buf_done(&content);
    buf_done(&calls);
    buf_done(&heard_calls);
    buf_done(&h->content);
}

/* Compares; whether the answer has text. */
static bool check_exchange(const char *id, struct str body, bool is_sse)
{
    bool has_text = false;
    static struct recording r;
    r = (struct recording){0};
    if (is_sse) {
        read_sse(&r, body);
    } else {
        struct json_error err;
        yyjson_doc *doc = json_parse(body, &err);
        read_message(&r, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    for (unsigned i = 0; i < CUTS; i++) {
        struct heard h;
        play(id, body, is_sse, i % 2 == 0, i + 1, &h);
        compare(id, &r, &h);
    }
    for (size_t i = 0; i < r.n; i++) {
        has_text |= strcmp(r.blocks[i].type, "text") == 0 && r.blocks[i].text.len > 0;
        buf_done(&r.blocks[i].text);
    }
    return has_text;
}

struct tally {
    unsigned streamed, whole, with_text;
};

/* The kinds that are answers of the Messages API; others (batches, files, lists) are not ours. */
static void check_line(yyjson_val *record, struct tally *tally)
{
    struct str path = json_str(json_get(record, "path"));
    struct str body = json_str(json_get(record, "response_body"));
    int64_t status = 0;
    char id[64];
    copy(id, sizeof(id), json_str(json_get(record, "id")));
    json_to_int(json_get(record, "status"), &status);
    if (status != 200 || str_find(path, STR("/v1/messages")) < 0)
        return;
    bool is_sse = str_find(body, STR("event: message_start")) >= 0 && body.p[0] != '{';
    bool is_message = body.p[0] == '{' && str_find(body, STR("\"stop_reason\"")) >= 0 &&
                      str_find(path, STR("batches")) < 0;
    if (!is_sse && !is_message)
        return;
    tally->with_text += check_exchange(id, body, is_sse);
    if (is_sse)
        tally->streamed++;
    else
        tally->whole++;
}

static void test_recorded(void **state)
{
    (void)state;
    char path[1024];
    const char *shared = getenv("SHARED_DIR");
    const char *name = "fixtures/anthropic_exchanges.jsonl";
    if (shared)
        snprintf(path, sizeof(path), "%s/%s", shared, name);
    else
        snprintf(path, sizeof(path), "%s/../shared/%s", golden_root(), name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: no recordings at %s\n", path);
        skip();
    }
    struct buf file = golden_read_file(path);
    struct str rest = buf_str(&file), line;
    struct tally tally = {0};
    while (str_split(&rest, '\n', &line)) {
        struct json_error err;
        yyjson_doc *doc = line.n ? json_parse(line, &err) : NULL;
        if (doc)
            check_line(yyjson_doc_get_root(doc), &tally);
        yyjson_doc_free(doc);
    }
    buf_done(&file);
    print_message("count: recorded answers, read in the library: %u streamed and %u whole, %u of "
                  "them with text, %d cuts each, 0 failed\n",
                  tally.streamed, tally.whole, tally.with_text, CUTS);
    assert_true(tally.streamed > 0 && tally.whole > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

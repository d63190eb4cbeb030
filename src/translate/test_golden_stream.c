/*
 * The cases in tests/golden/stream: what the upstream streams, what the client gets, in chunks and
 * in one piece, however the bytes are cut. tests/golden/README.md says how a case is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scarce.h"
#include "base/utf8.h"
#include "translate/golden.h"
#include "translate/stream.h"
#include "translate/translation.h"
#include "json/json.h"

#define OUT_BYTES_MAX (64u << 20)
#define CREATED       1700000000
#define RANDOM_CUTS   25

static const char default_start[] =
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\",\"role\":"
    "\"assistant\",\"model\":\"claude-opus-5-5\",\"content\":[],\"stop_reason\":null,"
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}";

/* One way to send the events, and to ask for the answer. */
struct way {
    bool is_stream, include_usage;
    const char *line_end;
    unsigned pad_seed; /* 0 = no padding */
    unsigned cut_seed; /* 0 = in one piece, 1 = byte by byte */
    long scarce_from;  /* the allocation that fails, from 1 on; 0 = none */
    bool is_scarcity_lasting;
    bool is_plain; /* without the copy of the blocks */
};

struct outcome {
    struct buf out;
    enum tr_state state;
    struct api_error error;
    struct tr_usage usage;
    char finish[32], model[64];
    bool was_scarce; /* an allocation has failed */
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static void put_event(struct buf *b, const struct way *way, struct str name, struct str data)
{
    unsigned seed = way->pad_seed;
    if (name.n)
        buf_printf(b, "event: %.*s%s", STR_ARG(name), way->line_end);
    buf_append_z(b, "data: ");
    bool is_padded = seed && data.n && data.p[data.n - 1] == '}';
    if (is_padded) { /* as the API does: blanks in front of the last brace and behind it */
        buf_append(b, data.p, data.n - 1);
        buf_printf(b, "%*s}%*s", (int)(next_random(&seed) % 16), "", (int)(next_random(&seed) % 16),
                   "");
    } else {
        buf_append_str(b, data);
    }
    buf_append_z(b, way->line_end);
    buf_append_z(b, way->line_end);
}

static void put_json(struct buf *b, const struct way *way, struct str json)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    struct str name = doc ? json_str(json_get(yyjson_doc_get_root(doc), "type")) : STR("");
    put_event(b, way, name, json);
    yyjson_doc_free(doc);
}

static struct str word(struct str *line)
{
    struct str w = {0};
    str_split(line, ' ', &w);
    return w;
}

static void put_block_event(struct buf *b, const struct way *way, const char *type,
                            struct str index, const char *member, struct str json)
{
    struct buf event;
    buf_init(&event, OUT_BYTES_MAX);
    buf_printf(&event, "{\"type\":\"%s\",\"index\":%.*s", type, STR_ARG(index));
    if (member)
        buf_printf(&event, ",\"%s\":%.*s", member, STR_ARG(json));
    buf_append_char(&event, '}');
    put_event(b, way, str_of(type), buf_str(&event));
    buf_done(&event);
}

static void put_text_delta(struct buf *b, const struct way *way, struct str index, struct str text)
{
    struct buf delta;
    buf_init(&delta, OUT_BYTES_MAX);
    buf_printf(&delta, "{\"type\":\"text_delta\",\"text\":%.*s}", STR_ARG(text));
    put_block_event(b, way, "content_block_delta", index, "delta", buf_str(&delta));
    buf_done(&delta);
}

static void put_end(struct buf *b, const struct way *way, struct str reason, struct str usage)
{
    struct buf event;
    buf_init(&event, OUT_BYTES_MAX);
    buf_printf(&event,
               "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%.*s\","
               "\"stop_sequence\":null,\"stop_details\":null},\"usage\":%.*s}",
               STR_ARG(reason), STR_ARG(usage.n ? usage : STR("{\"output_tokens\":5}")));
    put_event(b, way, STR("message_delta"), buf_str(&event));
    buf_done(&event);
}

static const struct str text_block = {"{\"type\":\"text\",\"text\":\"\"}", 25};

static bool put_line(struct buf *b, const struct way *way, struct str line)
{
    struct str rest = line, verb = word(&rest);
    if (line.n == 0 || line.p[0] == '#')
        return true;
    if (line.p[0] == '{') {
        put_json(b, way, line);
        return true;
    }
    if (str_eq(verb, STR("start")))
        put_json(b, way, str_of(default_start));
    else if (str_eq(verb, STR("ping")))
        put_event(b, way, STR("ping"), STR("{\"type\": \"ping\"}"));
    else if (str_eq(verb, STR("done")))
        put_event(b, way, STR("message_stop"), STR("{\"type\":\"message_stop\"}"));
    else if (str_eq(verb, STR("data")))
        put_event(b, way, STR(""), rest);
    else if (str_eq(verb, STR("comment")))
        buf_printf(b, ": %.*s%s%s", STR_ARG(rest), way->line_end, way->line_end);
    else if (str_eq(verb, STR("raw")))
        buf_append_str(b, rest);
    else {
        struct str first = word(&rest);
        if (str_eq(verb, STR("block")))
            put_block_event(b, way, "content_block_start", first, "content_block", rest);
        else if (str_eq(verb, STR("delta")))
            put_block_event(b, way, "content_block_delta", first, "delta", rest);
        else if (str_eq(verb, STR("text")))
            put_text_delta(b, way, first, rest);
        else if (str_eq(verb, STR("stop")))
            put_block_event(b, way, "content_block_stop", first, NULL, rest);
        else if (str_eq(verb, STR("end")))
            put_end(b, way, first, rest);
        else if (str_eq(verb, STR("event")))
            put_event(b, way, first, rest);
        else if (str_eq(verb, STR("say"))) {
            put_block_event(b, way, "content_block_start", first, "content_block", text_block);
            put_text_delta(b, way, first, rest);
            put_block_event(b, way, "content_block_stop", first, NULL, rest);
        } else
            return false;
    }
    return true;
}

static void put_upstream(const struct golden_case *c, const struct way *way, struct buf *b)
{
    struct str text = golden_section(c, "upstream"), line;
    while (str_split(&text, '\n', &line))
        if (!put_line(b, way, line))
            fail_msg("%.*s: unknown line: %.*s", STR_ARG(c->name), STR_ARG(line));
}

/* Feeds a copy of each piece, exactly as large, so that a read behind its end is noticed. */
static void feed_copy(struct tr_stream *s, struct str bytes, struct buf *out)
{
    char *copy = malloc(bytes.n + (bytes.n == 0));
    assert_non_null(copy);
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    tr_stream_feed(s, (struct str){copy, bytes.n}, out);
    free(copy);
}

static void feed_cut(struct tr_stream *s, struct str bytes, const struct way *way, struct buf *out)
{
    unsigned seed = way->cut_seed;
    size_t i = 0;
    while (i < bytes.n) {
        size_t n = seed == 0 ? bytes.n : seed == 1 ? 1 : 1 + next_random(&seed) % 97;
        if (n > bytes.n - i)
            n = bytes.n - i;
        if (way->scarce_from)
            tr_stream_feed(s, (struct str){bytes.p + i, n}, out);
        else
            feed_copy(s, (struct str){bytes.p + i, n}, out);
        i += n;
    }
}

/* The table that the request left: client names, one a line, custom tools behind "custom ". */
static const struct tool_names *names_of(const struct golden_case *c, struct arena *arena)
{
    struct api_error err;
    struct translation t = {.arena = arena, .err = &err};
    struct str text = golden_section(c, "tools"), line;
    while (str_split(&text, '\n', &line)) {
        bool is_custom = str_starts(line, STR("custom "));
        if (line.n == 0)
            continue;
        struct str client = is_custom ? (struct str){line.p + 7, line.n - 7} : line;
        struct str name = tool_name_upstream(&t, client);
        assert_non_null(name.p);
        if (is_custom)
            tool_name_set_custom(t.tool_names, name);
    }
    return t.tool_names;
}

static unsigned forms_of(const struct golden_case *c)
{
    static const struct {
        const char *word;
        enum tr_reasoning_form form;
    } words[] = {{"reasoning_content", TR_REASONING_CONTENT},
                 {"reasoning_details", TR_REASONING_DETAILS},
                 {"reasoning", TR_REASONING_PLAIN},
                 {"thinking_blocks", TR_REASONING_BLOCKS},
                 {"content_blocks", TR_REASONING_CONTENT_BLOCKS}};
    unsigned forms = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        if (golden_says(c, "options", words[i].word))
            forms |= words[i].form;
    return forms;
}

static void note_outcome(const struct tr_stream *s, struct outcome *ret)
{
    ret->state = tr_stream_state(s);
    if (ret->state == TR_FAILED)
        ret->error = *tr_stream_error(s);
    else
        ret->error.status = 0;
    ret->usage = *tr_stream_usage(s);
    snprintf(ret->finish, sizeof(ret->finish), "%.*s", STR_ARG(tr_stream_finish_reason(s)));
    snprintf(ret->model, sizeof(ret->model), "%.*s", STR_ARG(tr_stream_model(s)));
}

static void play(const struct golden_case *c, const struct way *way, struct outcome *ret)
{
    struct arena arena;
    arena_init(&arena, 1u << 20);
    struct tr_stream_params params = {
        .is_stream = way->is_stream,
        .include_usage = way->include_usage,
        .is_json_object = golden_says(c, "options", "json_object"),
        .is_structured = golden_says(c, "options", "structured"),
        .carries_content = !way->is_plain && golden_says(c, "options", "carries"),
        .reasoning_forms = forms_of(c),
        .anthropic_usage = golden_says(c, "options", "anthropic_usage"),
        .created_unix_s = CREATED,
        .metadata = str_trim(golden_section(c, "metadata")),
        .tool_names = names_of(c, &arena),
        .is_function_call = golden_says(c, "options", "function_call"),
    };
    struct buf sse;
    buf_init(&sse, OUT_BYTES_MAX);
    put_upstream(c, way, &sse);
    *ret = (struct outcome){.state = TR_FAILED, .error.status = 500};
    buf_init(&ret->out, OUT_BYTES_MAX);
    if (way->scarce_from)
        scarce_begin(way->scarce_from - 1, way->is_scarcity_lasting);
    struct tr_stream *s = tr_stream_create(&params);
    if (s && golden_has(c, "json"))
        tr_stream_feed_message(s, golden_section(c, "json"), &ret->out);
    else if (s)
        feed_cut(s, buf_str(&sse), way, &ret->out);
    if (s)
        tr_stream_end(s, &ret->out);
    ret->was_scarce = scarce_end() && way->scarce_from;
    if (s)
        note_outcome(s, ret);
    else
        assert_true(ret->was_scarce);
    buf_done(&sse);
    tr_stream_destroy(s);
    arena_done(&arena);
}

/* What every chunk must have, whatever it says. */
static void check_skeleton(const struct golden_case *c, yyjson_val *chunk, bool include_usage)
{
    int64_t created = 0;
    if (!str_starts(json_str(json_get(chunk, "id")), STR("chatcmpl-")) ||
        !str_eq(json_str(json_get(chunk, "object")), STR("chat.completion.chunk")) ||
        !json_to_int(json_get(chunk, "created"), &created) || created != CREATED ||
        !yyjson_is_str(json_get(chunk, "model")))
        fail_msg("%.*s: a chunk's skeleton", STR_ARG(c->name));
    yyjson_val *usage = yyjson_obj_get(chunk, "usage");
    yyjson_val *choice = yyjson_arr_get_first(json_get(chunk, "choices"));
    if (include_usage ? !usage || yyjson_is_null(usage) != (choice != NULL) : usage != NULL)
        fail_msg("%.*s: a chunk's usage", STR_ARG(c->name));
    if (!choice)
        return;
    yyjson_val *logprobs = yyjson_obj_get(choice, "logprobs");
    yyjson_val *finish = yyjson_obj_get(choice, "finish_reason");
    bool has_delta = yyjson_obj_size(json_get(choice, "delta")) > 0;
    if (!yyjson_is_null(logprobs) || !finish || has_delta != yyjson_is_null(finish))
        fail_msg("%.*s: a chunk's choice", STR_ARG(c->name));
}

static void transcribe_chunk(const struct golden_case *c, yyjson_val *chunk, bool include_usage,
                             struct buf *to)
{
    yyjson_val *error = json_get(chunk, "error");
    if (error) {
        buf_append_z(to, "error ");
        json_write_value(to, error);
        return;
    }
    check_skeleton(c, chunk, include_usage);
    yyjson_val *choice = yyjson_arr_get_first(json_get(chunk, "choices"));
    struct str finish = json_str(json_get(choice, "finish_reason"));
    if (!choice) {
        buf_append_z(to, "usage ");
        json_write_value(to, json_get(chunk, "usage"));
    } else if (finish.n) {
        buf_printf(to, "finish %.*s", STR_ARG(finish));
        struct str tier = json_str(json_get(chunk, "service_tier"));
        if (tier.n)
            buf_printf(to, " tier %.*s", STR_ARG(tier));
    } else if (json_get(json_get(choice, "delta"), "role")) {
        struct buf role;
        buf_init(&role, 4096);
        json_write_value(&role, json_get(choice, "delta"));
        golden_equal(c, "role chunk", buf_str(&role),
                     STR("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"));
        buf_done(&role);
        buf_append_z(to, "role");
    } else {
        json_write_value(to, json_get(choice, "delta"));
    }
}

/* The event stream that went to the client, one line an event. */
static void transcribe(const struct golden_case *c, struct str sse, bool include_usage,
                       struct buf *to)
{
    while (sse.n > 0) {
        ptrdiff_t n = str_find(sse, STR("\n\n"));
        if (n < 0)
            fail_msg("%.*s: an unfinished event", STR_ARG(c->name));
        struct str event = {sse.p, (size_t)n};
        sse = (struct str){sse.p + n + 2, sse.n - (size_t)n - 2};
        if (str_eq(event, STR(": ping"))) {
            buf_append_z(to, "ping\n");
            continue;
        }
        if (!str_starts(event, STR("data: ")))
            fail_msg("%.*s: not data: %.*s", STR_ARG(c->name), STR_ARG(event));
        struct str data = {event.p + 6, event.n - 6};
        if (str_eq(data, STR("[DONE]"))) {
            buf_append_z(to, "done\n");
            continue;
        }
        struct json_error err;
        yyjson_doc *doc = json_parse(data, &err);
        if (!doc)
            fail_msg("%.*s: not JSON: %.*s", STR_ARG(c->name), STR_ARG(data));
        transcribe_chunk(c, yyjson_doc_get_root(doc), include_usage, to);
        buf_append_char(to, '\n');
        yyjson_doc_free(doc);
    }
}

/* The expected lines, JSON in them made compact. */
static void normalise(const struct golden_case *c, struct str text, struct buf *to)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        if (line.n == 0)
            continue;
        const char *json = memchr(line.p, '{', line.n);
        size_t n = json ? (size_t)(json - line.p) : line.n;
        buf_append(to, line.p, n);
        if (json)
            golden_compact(c, (struct str){json, line.n - n}, to);
        buf_append_char(to, '\n');
    }
}

static void expect_chunks(const struct golden_case *c, const struct outcome *o, bool include_usage)
{
    struct buf actual, expected;
    buf_init(&actual, OUT_BYTES_MAX);
    buf_init(&expected, OUT_BYTES_MAX);
    transcribe(c, buf_str(&o->out), include_usage, &actual);
    normalise(c, golden_section(c, "chunks"), &expected);
    golden_equal(c, "chunks", buf_str(&actual), buf_str(&expected));
    buf_done(&actual);
    buf_done(&expected);
}

static void write_counts(yyjson_val *usage, struct buf *to)
{
    static const char *const paths[][2] = {
        {"prompt_tokens", NULL},
        {"completion_tokens", NULL},
        {"total_tokens", NULL},
        {"prompt_tokens_details", "cached_tokens"},
        {"prompt_tokens_details", "cache_write_tokens"},
        {"completion_tokens_details", "reasoning_tokens"},
    };
    buf_append_z(to, "usage");
    for (size_t i = 0; i < PX_ARRAY_LEN(paths); i++) {
        yyjson_val *v = json_get(usage, paths[i][0]);
        int64_t n = -1;
        json_to_int(paths[i][1] ? json_get(v, paths[i][1]) : v, &n);
        buf_printf(to, " %" PRId64, n);
    }
    buf_append_char(to, '\n');
}

/* The completion as the lines of the case's section "completion". */
static void transcribe_completion(yyjson_val *root, struct buf *to)
{
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    json_write_value(to, json_get(choice, "message"));
    buf_printf(to, "\nfinish %.*s\n", STR_ARG(json_str(json_get(choice, "finish_reason"))));
    write_counts(json_get(root, "usage"), to);
    yyjson_val *own = json_get(json_get(root, "usage"), "anthropic");
    if (own) {
        buf_append_z(to, "anthropic ");
        json_write_value(to, own);
        buf_append_char(to, '\n');
    }
    static const char *const others[] = {"service_tier", "metadata"};
    for (size_t i = 0; i < PX_ARRAY_LEN(others); i++) {
        yyjson_val *v = json_get(root, others[i]);
        if (!v)
            continue;
        buf_printf(to, "%s ", others[i]);
        json_write_value(to, v);
        buf_append_char(to, '\n');
    }
}

static void check_completion_skeleton(const struct golden_case *c, yyjson_val *root)
{
    int64_t created = 0, index = -1;
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    if (!str_starts(json_str(json_get(root, "id")), STR("chatcmpl-")) ||
        !str_eq(json_str(json_get(root, "object")), STR("chat.completion")) ||
        !json_to_int(json_get(root, "created"), &created) || created != CREATED ||
        yyjson_arr_size(json_get(root, "choices")) != 1 ||
        !json_to_int(json_get(choice, "index"), &index) || index != 0 ||
        !yyjson_is_null(yyjson_obj_get(choice, "logprobs")))
        fail_msg("%.*s: the completion's skeleton", STR_ARG(c->name));
}

static void expect_completion(const struct golden_case *c, const struct outcome *o)
{
    struct json_error err;
    struct buf actual, expected;
    yyjson_doc *doc = json_parse(buf_str(&o->out), &err);
    if (!doc)
        fail_msg("%.*s: not JSON: %.*s", STR_ARG(c->name), STR_ARG(buf_str(&o->out)));
    buf_init(&actual, OUT_BYTES_MAX);
    buf_init(&expected, OUT_BYTES_MAX);
    check_completion_skeleton(c, yyjson_doc_get_root(doc));
    transcribe_completion(yyjson_doc_get_root(doc), &actual);
    normalise(c, golden_section(c, "completion"), &expected);
    golden_equal(c, "completion", buf_str(&actual), buf_str(&expected));
    yyjson_doc_free(doc);
    buf_done(&actual);
    buf_done(&expected);
}

/* "503 server_error overloaded | Overloaded"; a code of none is written "-". */
static void expect_error(const struct golden_case *c, const struct outcome *o)
{
    char line[1400];
    const struct api_error *e = &o->error;
    snprintf(line, sizeof(line), "%d %s %s | %s", e->status, e->type, e->code[0] ? e->code : "-",
             e->message);
    golden_equal(c, "error", str_of(line), str_trim(golden_section(c, "failed")));
}

static void check_same(const struct golden_case *c, const struct way *way,
                       const struct outcome *first)
{
    struct outcome o;
    char what[128];
    snprintf(
        what, sizeof(what), "other ends, cuts or padding (%s, line end of %zu, pad %u, cut %u)",
        way->is_stream ? "stream" : "whole", strlen(way->line_end), way->pad_seed, way->cut_seed);
    play(c, way, &o);
    golden_equal(c, what, buf_str(&o.out), buf_str(&first->out));
    assert_int_equal(o.state, first->state);
    assert_memory_equal(&o.usage, &first->usage, sizeof(o.usage));
    assert_string_equal(o.error.message, first->error.message);
    assert_string_equal(o.finish, first->finish);
    buf_done(&o.out);
}

/* However the bytes come, the output is the same to the byte. */
static void check_ways(const struct golden_case *c, struct way way, const struct outcome *first)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    for (size_t i = 0; i < PX_ARRAY_LEN(ends); i++) {
        way.line_end = ends[i];
        for (way.cut_seed = 0; way.cut_seed < 2 + RANDOM_CUTS; way.cut_seed++) {
            way.pad_seed = way.cut_seed % 3;
            check_same(c, &way, first);
        }
    }
}

/* The whole answer, or its beginning and an error that says so. Only the copy may be missing. */
static void expect_scarce(const struct golden_case *c, const struct way *way,
                          const struct outcome *o, const struct outcome *full,
                          const struct outcome *plain)
{
    if (o->state == TR_DONE) {
        if (!str_eq(buf_str(&o->out), buf_str(&plain->out)))
            golden_equal(c, "without memory", buf_str(&o->out), buf_str(&full->out));
        assert_memory_equal(&o->usage, &full->usage, sizeof(o->usage));
        return;
    }
    struct str out = buf_str(&o->out), whole = buf_str(&full->out);
    if (o->state != TR_FAILED || (o->error.status < 500 && full->state != TR_FAILED))
        fail_msg("%.*s: state %d, status %d", STR_ARG(c->name), o->state, o->error.status);
    assert_true(o->error.message[0] || o->error.status == 500);
    size_t same = 0;
    for (size_t i = 0; i < out.n && i < whole.n && out.p[i] == whole.p[i]; i++)
        if (i > 0 && out.p[i] == '\n' && out.p[i - 1] == '\n')
            same = i + 1;
    struct str rest = {out.p + same, out.n - same};
    bool is_error = way->is_stream && str_starts(rest, STR("data: {\"error\":{")) &&
                    str_find(rest, STR("\n\n")) == (ptrdiff_t)rest.n - 2;
    if (rest.n > 0 && !is_error)
        fail_msg("%.*s: not the beginning: %.*s", STR_ARG(c->name), STR_ARG(rest));
}

static void check_scarce(const struct golden_case *c, struct way way, const struct outcome *full)
{
    struct outcome plain;
    way.cut_seed = 2;
    way.is_plain = true;
    play(c, &way, &plain);
    way.is_plain = false;
    for (int is_lasting = 0; is_lasting < 2; is_lasting++) {
        struct outcome o = {.was_scarce = true};
        way.is_scarcity_lasting = is_lasting;
        for (way.scarce_from = 1; o.was_scarce; way.scarce_from++) {
            play(c, &way, &o);
            expect_scarce(c, &way, &o, full, &plain);
            buf_done(&o.out);
        }
    }
    buf_done(&plain.out);
}

/* The content deltas of a transcript joined are what the completion says. */
static void check_content(const struct golden_case *c, const struct outcome *chunks,
                          const struct outcome *whole)
{
    struct buf joined;
    struct json_error err;
    buf_init(&joined, OUT_BYTES_MAX);
    struct str sse = buf_str(&chunks->out), line;
    while (str_split(&sse, '\n', &line)) {
        if (!str_starts(line, STR("data: {")))
            continue;
        yyjson_doc *doc = json_parse((struct str){line.p + 6, line.n - 6}, &err);
        yyjson_val *choices = json_get(yyjson_doc_get_root(doc), "choices");
        yyjson_val *delta = json_get(yyjson_arr_get_first(choices), "delta");
        buf_append_str(&joined, json_str(json_get(delta, "content")));
        yyjson_doc_free(doc);
    }
    yyjson_doc *doc = json_parse(buf_str(&whole->out), &err);
    yyjson_val *choices = json_get(yyjson_doc_get_root(doc), "choices");
    yyjson_val *message = json_get(yyjson_arr_get_first(choices), "message");
    struct str content = json_str(json_get(message, "content"));
    if (!json_get(message, "refusal"))
        golden_equal(c, "content, streamed and not", buf_str(&joined),
                     content.p ? content : STR(""));
    yyjson_doc_free(doc);
    buf_done(&joined);
}

static void check_equal_answers(const struct golden_case *c, const struct outcome *chunks,
                                const struct outcome *whole)
{
    assert_int_equal(chunks->state, whole->state);
    assert_string_equal(chunks->finish, whole->finish);
    assert_string_equal(chunks->model, whole->model);
    assert_memory_equal(&chunks->usage, &whole->usage, sizeof(whole->usage));
    if (chunks->state == TR_DONE)
        check_content(c, chunks, whole);
}

static void run_case(const struct golden_case *c)
{
    struct way stream_way = {.is_stream = true,
                             .include_usage = golden_says(c, "options", "include_usage"),
                             .line_end = "\n"};
    struct way whole_way = {.line_end = "\n"};
    struct outcome chunks, whole;
    play(c, &stream_way, &chunks);
    play(c, &whole_way, &whole);
    bool has_failed = golden_has(c, "failed");
    assert_true(utf8_is_valid(buf_str(&chunks.out)));
    expect_chunks(c, &chunks, stream_way.include_usage);
    if (has_failed) {
        if (chunks.state != TR_FAILED || whole.state != TR_FAILED || whole.out.len > 0)
            fail_msg("%.*s: did not fail, or wrote an answer", STR_ARG(c->name));
        expect_error(c, &chunks);
        expect_error(c, &whole);
    } else {
        if (chunks.state != TR_DONE || whole.state != TR_DONE)
            fail_msg("%.*s: failed: %s", STR_ARG(c->name), chunks.error.message);
        expect_completion(c, &whole);
    }
    check_equal_answers(c, &chunks, &whole);
    check_ways(c, stream_way, &chunks);
    check_ways(c, whole_way, &whole);
    check_scarce(c, stream_way, &chunks);
    check_scarce(c, whole_way, &whole);
    buf_done(&chunks.out);
    buf_done(&whole.out);
}

static void test_golden_stream(void **state)
{
    (void)state;
    size_t n = golden_run("stream", run_case);
    print_message("%zu cases\n", n);
    assert_true(n >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

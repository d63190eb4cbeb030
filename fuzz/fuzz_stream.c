/*
 * Stream translation. The first byte says how the rest is meant: the event stream itself, a script
 * that writes a mostly well-formed one, or a whole message. Whatever comes in:
 *
 * - any cut gives the same output, and chunks and completion say the same;
 * - what goes out is valid JSON in valid UTF-8, each chunk of the shape that clients know, and ends
 *   in exactly one way;
 * - "tool_calls" is the finish reason only with tool calls, and "stop" only without;
 * - the deltas that are read without a tree are those that a parser would read.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/delta.h"
#include "translate/stream.h"
#include "translate/translation.h"
#include "json/json.h"

#define OUT_BYTES_MAX (64u << 20)

enum flag {
    FLAG_SCRIPT = 1,
    FLAG_MESSAGE = 2,
    FLAG_JSON_OBJECT = 4,
    FLAG_STRUCTURED = 8,
    FLAG_NAMES = 16,
    FLAG_FUNCTIONS = 32,
    FLAG_CARRIES = 64,
    FLAG_WANTED = 128,
    FLAG_FORMS = 256 /* other members for reasoning, and the upstream's usage */
};

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* --- the script ------------------------------------------------------------------------------- */

#define CALLED_BY_CODE                                                                             \
    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"h\",\"caller\":{\"type\":\"c\",\"tool_id\":"   \
    "\"srv\"}}"

static const char *const blocks[] = {
    "{\"type\":\"text\",\"text\":\"\"}",
    "{\"type\":\"text\",\"text\":\"x \"}",
    "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}",
    "{\"type\":\"redacted_thinking\",\"data\":\"ZGF0YQ==\"}",
    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}",
    "{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"g\",\"input\":{\"a\":[1,\"\\n\"]}}",
    CALLED_BY_CODE,
    "{\"type\":\"server_tool_use\",\"id\":\"srv\",\"name\":\"s\",\"input\":{}}",
    "{\"type\":\"code_execution_tool_result\",\"tool_use_id\":\"srv\",\"content\":{}}",
    "{\"type\":\"hologram\"}",
    "{\"type\":\"text\",\"text\":\"\",\"citations\":[{\"url\":\"u\",\"title\":\"t\"}]}",
};

static const char *const deltas[][2] = {
    {"text_delta", "text"},           {"input_json_delta", "partial_json"},
    {"thinking_delta", "thinking"},   {"signature_delta", "signature"},
    {"citations_delta", "citations"}, {"sparkle_delta", "sparkle"},
};

static const char *const stops[] = {"end_turn", "stop_sequence", "max_tokens", "tool_use",
                                    "refusal",  "pause_turn",    "new_reason", ""};

static void put(struct buf *to, const char *type, const char *rest)
{
    buf_printf(to, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
}

static void put_start(struct buf *to, unsigned arg)
{
    char rest[512];
    snprintf(rest, sizeof(rest),
             ",\"message\":{\"id\":\"msg_%u\",\"model\":\"m\",\"content\":[%s],"
             "\"stop_reason\":%s,\"usage\":{\"input_tokens\":%u,\"output_tokens\":1}}",
             arg, arg & 32 ? blocks[arg % PX_ARRAY_LEN(blocks)] : "",
             arg & 64 ? "\"end_turn\"" : "null", arg);
    put(to, "message_start", rest);
}

static void put_delta(struct buf *to, unsigned arg, unsigned index, struct str text)
{
    const char *const *d = deltas[arg % PX_ARRAY_LEN(deltas)];
    struct buf rest;
    buf_init(&rest, OUT_BYTES_MAX);
    buf_printf(&rest, ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":", index, d[0], d[1]);
    json_write_string(&rest, text);
    buf_append(&rest, "}\0", 2);
    put(to, "content_block_delta", rest.data);
    buf_done(&rest);
}

/* Operations of one byte and an argument of one byte; a delta takes its text from what follows. */
static void write_script(struct str in, struct buf *to)
{
    unsigned index = 0;
    char rest[256];
    for (size_t i = 0; i + 1 < in.n; i += 2) {
        unsigned op = (unsigned char)in.p[i] % 12, arg = (unsigned char)in.p[i + 1];
        size_t n = arg >> 4 < in.n - i - 2 ? arg >> 4 : in.n - i - 2;
        if (op == 0) {
            put_start(to, arg);
        } else if (op <= 2) {
            snprintf(rest, sizeof(rest), ",\"index\":%u,\"content_block\":%s", ++index,
                     blocks[arg % PX_ARRAY_LEN(blocks)]);
            put(to, "content_block_start", rest);
        } else if (op <= 6) {
            put_delta(to, arg, index, (struct str){in.p + i + 2, n});
            i += n;
        } else if (op == 7) {
            snprintf(rest, sizeof(rest), ",\"index\":%u", index);
            put(to, "content_block_stop", rest);
        } else if (op == 8) {
            snprintf(rest, sizeof(rest),
                     ",\"delta\":{\"stop_reason\":\"%s\"},\"usage\":{\"output_tokens\":%u}",
                     stops[arg % PX_ARRAY_LEN(stops)], arg);
            put(to, "message_delta", rest);
        } else if (op == 9) {
            put(to, "message_stop", "");
        } else if (op == 10) {
            put(to, arg % 8 ? "ping" : "error",
                arg % 16 ? "" : ",\"error\":{\"type\":\"api_error\"}");
        } else {
            buf_append(to, in.p + i + 2, n);
            i += n;
        }
    }
}

/* --- one run ---------------------------------------------------------------------------------- */

struct outcome {
    struct buf out;
    enum tr_state state;
    struct tr_usage usage;
    char finish[32];
};

/* The client's names of the scripts' tools: "f" is a custom one, "g" has another name. */
static const struct tool_names *make_names(struct arena *arena)
{
    struct api_error err;
    struct translation t = {.arena = arena, .err = &err};
    require(tool_name_upstream(&t, STR("f")).p && tool_name_upstream(&t, STR("g\xc3\xa9")).p);
    tool_name_set_custom(t.tool_names, STR("f"));
    return t.tool_names;
}

static void play(struct str in, unsigned flags, unsigned forms, bool is_stream, unsigned seed,
                 struct outcome *ret)
{
    struct arena arena;
    arena_init(&arena, 1u << 16);
    struct tr_stream_params params = {
        .is_stream = is_stream,
        .tool_names = flags & FLAG_NAMES ? make_names(&arena) : NULL,
        .is_function_call = flags & FLAG_FUNCTIONS,
        .include_usage = true,
        .is_json_object = flags & FLAG_JSON_OBJECT,
        .is_structured = flags & FLAG_STRUCTURED,
        .carries_content = flags & FLAG_CARRIES,
        .wanted = {.is_json = flags & FLAG_WANTED, .schema = STR("{\"minProperties\":2}")},
        .reasoning_forms = forms,
        .anthropic_usage = flags & FLAG_FORMS};
    struct tr_stream *s = tr_stream_create(&params);
    require(s != NULL);
    *ret = (struct outcome){0};
    buf_init(&ret->out, OUT_BYTES_MAX);
    for (size_t i = 0; i < in.n && !(flags & FLAG_MESSAGE);) {
        seed = seed * 1103515245u + 12345u;
        size_t n = seed == 12345u ? in.n : 1 + (seed >> 16) % 60;
        if (n > in.n - i)
            n = in.n - i;
        char *copy = malloc(n);
        require(copy != NULL);
        memcpy(copy, in.p + i, n);
        tr_stream_feed(s, (struct str){copy, n}, &ret->out);
        free(copy);
        i += n;
    }
    if (flags & FLAG_MESSAGE)
        tr_stream_feed_message(s, in, &ret->out);
    ret->state = tr_stream_end(s, &ret->out);
    ret->usage = *tr_stream_usage(s);
    snprintf(ret->finish, sizeof(ret->finish), "%.*s", STR_ARG(tr_stream_finish_reason(s)));
    require(tr_stream_unmet(s).n == 0 || (flags & FLAG_WANTED && !is_stream));
    for (size_t i = 0; i < tr_stream_unmet(s).n; i++)
        require(tr_stream_unmet(s).p[i] >= ' ' && tr_stream_unmet(s).p[i] <= '~');
    if (ret->state == TR_FAILED)
        require(tr_stream_error(s)->status >= 400 && tr_stream_error(s)->type[0]);
    tr_stream_destroy(s);
    arena_done(&arena);
}

/* --- what a client makes of it ---------------------------------------------------------------- */

struct heard {
    struct buf content, calls; /* of all calls: index and arguments */
    struct buf thoughts;       /* in all texts and lists of blocks but content_blocks */
    struct buf blocks;         /* in content_blocks */
    struct buf usage;          /* the upstream's */
    unsigned n_calls, finishes, errors, dones;
    bool is_refused;
};

static void hear_calls(struct heard *h, yyjson_val *message)
{
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(json_get(message, "tool_calls"), i, n, call)
    {
        if (json_get(call, "id")) {
            h->n_calls++;
            buf_printf(&h->calls, "\ncall %.*s ", STR_ARG(json_str(json_get(call, "id"))));
        }
        buf_append_str(&h->calls, json_str(json_get(json_get(call, "function"), "arguments")));
        buf_append_str(&h->calls, json_str(json_get(json_get(call, "custom"), "input")));
    }
    yyjson_val *legacy = json_get(message, "function_call");
    if (json_get(legacy, "name"))
        h->n_calls++;
    buf_append_str(&h->calls, json_str(json_get(legacy, "arguments")));
}

/* Texts of blocks or, in deltas of content_blocks, of pieces. */
static void hear_blocks(struct buf *to, yyjson_val *list)
{
    static const char *const texts[] = {"text", "thinking", "data"};
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(list, i, n, block)
    {
        yyjson_val *delta = json_get(block, "delta");
        for (size_t k = 0; k < PX_ARRAY_LEN(texts); k++)
            buf_append_str(to, json_str(json_get(delta ? delta : block, texts[k])));
    }
}

static void hear_thoughts(struct heard *h, yyjson_val *message)
{
    struct buf *lists[] = {&h->thoughts, &h->thoughts, &h->blocks};
    static const char *const names[] = {"reasoning_details", "thinking_blocks", "content_blocks"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        hear_blocks(lists[i], json_get(message, names[i]));
    buf_append_str(&h->thoughts, json_str(json_get(message, "reasoning_content")));
    buf_append_str(&h->thoughts, json_str(json_get(message, "reasoning")));
}

static bool is_one_of(struct str s, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, str_of(words[i])))
            return true;
    return false;
}

static void check_delta(yyjson_val *delta)
{
    static const char *const members[] = {
        "role",      "content",           "refusal",         "tool_calls",     "annotations",
        "reasoning", "reasoning_content", "thinking_blocks", "content_blocks", "function_call",
        "citations", "reasoning_details", "refusal_category"};
    size_t i, n;
    yyjson_val *key, *v;
    require(yyjson_is_obj(delta));
    yyjson_obj_foreach(delta, i, n, key, v)
    {
        require(is_one_of(json_str(key), members, PX_ARRAY_LEN(members)));
    }
    yyjson_arr_foreach(json_get(delta, "tool_calls"), i, n, v)
    {
        require(json_is_number(json_get(v, "index")));
        require(json_get(v, "function") != NULL || json_get(v, "custom") != NULL);
    }
}

/* What every chunk has, whatever it says. */
static void check_chunk(yyjson_val *root)
{
    static const char *const reasons[] = {"stop", "length", "tool_calls", "content_filter",
                                          "function_call"};
    size_t i, n;
    yyjson_val *choice;
    require(str_eq(json_str(json_get(root, "object")), STR("chat.completion.chunk")));
    require(str_starts(json_str(json_get(root, "id")), STR("chatcmpl-")));
    require(json_str(json_get(root, "model")).p && json_is_number(json_get(root, "created")));
    require(yyjson_is_arr(json_get(root, "choices")));
    require(yyjson_arr_size(json_get(root, "choices")) + (json_get(root, "usage") != NULL) == 1);
    yyjson_arr_foreach(json_get(root, "choices"), i, n, choice)
    {
        yyjson_val *reason = yyjson_obj_get(choice, "finish_reason");
        require(json_is_number(json_get(choice, "index")) && reason != NULL);
        require(yyjson_is_null(reason) ||
                is_one_of(json_str(reason), reasons, PX_ARRAY_LEN(reasons)));
        check_delta(json_get(choice, "delta"));
    }
}

static void hear(struct heard *h, struct str json)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    require(doc != NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    yyjson_val *message = json_get(choice, "message");
    if (!message && !json_get(root, "error"))
        check_chunk(root);
    if (!message)
        message = json_get(choice, "delta");
    buf_append_str(&h->content, json_str(json_get(message, "content")));
    hear_calls(h, message);
    hear_thoughts(h, message);
    yyjson_val *own = json_get(json_get(root, "usage"), "anthropic");
    require(!own || json_write_value(&h->usage, own));
    h->is_refused |= json_get(message, "refusal") != NULL;
    h->finishes += json_get(choice, "finish_reason") != NULL;
    h->errors += json_get(root, "error") != NULL;
    require(h->errors == 0 || h->finishes == 0);
    yyjson_doc_free(doc);
}

static void hear_chunks(struct heard *h, struct str sse)
{
    while (sse.n > 0) {
        ptrdiff_t n = str_find(sse, STR("\n\n"));
        require(n >= 0 && h->dones == 0 && h->errors == 0);
        struct str event = {sse.p, (size_t)n};
        sse = (struct str){sse.p + n + 2, sse.n - (size_t)n - 2};
        if (str_eq(event, STR(": ping")))
            continue;
        require(str_starts(event, STR("data: ")));
        if (str_eq(event, STR("data: [DONE]")))
            h->dones++;
        else
            hear(h, (struct str){event.p + 6, event.n - 6});
    }
}

static void heard_init(struct heard *h)
{
    *h = (struct heard){0};
    buf_init(&h->content, OUT_BYTES_MAX);
    buf_init(&h->calls, OUT_BYTES_MAX);
    buf_init(&h->thoughts, OUT_BYTES_MAX);
    buf_init(&h->blocks, OUT_BYTES_MAX);
    buf_init(&h->usage, OUT_BYTES_MAX);
}

static void heard_done(struct heard *h)
{
    buf_done(&h->content);
    buf_done(&h->calls);
    buf_done(&h->thoughts);
    buf_done(&h->blocks);
    buf_done(&h->usage);
}

static void check_finish(const char *finish, bool is_function_call, unsigned calls)
{
    bool is_calls = strcmp(finish, is_function_call ? "function_call" : "tool_calls") == 0;
    bool is_stop = strcmp(finish, "stop") == 0;
    require(is_calls || is_stop || strcmp(finish, "length") == 0 ||
            strcmp(finish, "content_filter") == 0);
    require(!is_calls || calls > 0);
    require(!is_stop || calls == 0);
}

/* `is_one_form`: pieces of several would come in another order. */
static void check_answers(const struct outcome *chunks, const struct outcome *whole,
                          bool is_function_call, bool is_one_form)
{
    struct heard a, b;
    heard_init(&a);
    heard_init(&b);
    require(utf8_is_valid(buf_str(&chunks->out)) && utf8_is_valid(buf_str(&whole->out)));
    hear_chunks(&a, buf_str(&chunks->out));
    require(chunks->state == whole->state);
    require(memcmp(&chunks->usage, &whole->usage, sizeof(whole->usage)) == 0);
    if (chunks->state == TR_DONE) {
        hear(&b, buf_str(&whole->out));
        require(a.dones == 1 && a.finishes == 1 && a.errors == 0 && b.finishes == 1);
        require(strcmp(chunks->finish, whole->finish) == 0 && a.is_refused == b.is_refused);
        require(a.is_refused || str_eq(buf_str(&a.content), buf_str(&b.content)));
        require(a.is_refused || str_eq(buf_str(&a.calls), buf_str(&b.calls)));
        require(!is_one_form || str_eq(buf_str(&a.thoughts), buf_str(&b.thoughts)));
        require(a.is_refused || str_eq(buf_str(&a.blocks), buf_str(&b.blocks)));
        require(str_eq(buf_str(&a.usage), buf_str(&b.usage)));
        require(!is_function_call || a.n_calls <= 1);
        check_finish(chunks->finish, is_function_call, a.n_calls);
    } else {
        require(chunks->state == TR_FAILED && whole->out.len == 0 && a.dones == 0);
        require(a.finishes == 0 && a.errors == (chunks->out.len > 0));
    }
    heard_done(&a);
    heard_done(&b);
}

static void check_cut(const struct outcome *cut, const struct outcome *whole)
{
    require(cut->state == whole->state && str_eq(buf_str(&cut->out), buf_str(&whole->out)));
    require(memcmp(&cut->usage, &whole->usage, sizeof(whole->usage)) == 0);
    require(strcmp(cut->finish, whole->finish) == 0);
}

/* What is read without a tree is what a parser reads, and would be written in the same way. */
static void check_scan(struct str data)
{
    struct delta scanned, read;
    struct json_error err;
    struct buf text;
    if (!delta_scan(data, &scanned))
        return;
    yyjson_doc *doc = json_parse(data, &err);
    require(doc != NULL && delta_read(yyjson_doc_get_root(doc), &read));
    require(scanned.kind == read.kind && scanned.index == read.index);
    buf_init(&text, OUT_BYTES_MAX);
    require(piece_write(&text, read.text));
    require(scanned.text.is_escaped && str_eq(scanned.text.s, buf_str(&text)));
    buf_done(&text);
    yyjson_doc_free(doc);
}

static void check_scans(struct str in)
{
    struct str line;
    while (str_split(&in, '\n', &line)) {
        if (str_starts(line, STR("data: ")))
            line = (struct str){line.p + 6, line.n - 6};
        check_scan(line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const unsigned seed = data[1];
    unsigned flags = data[0] | (seed & 128u) << 1;
    struct str in = {(const char *)data + 2, size - 2};
    struct buf script;
    buf_init(&script, OUT_BYTES_MAX);
    if (flags & FLAG_SCRIPT) {
        flags &= ~(unsigned)FLAG_MESSAGE;
        write_script(in, &script);
        in = buf_str(&script);
    }
    check_scans(in);
    struct outcome chunks, cut, whole, whole_cut;
    const unsigned forms = flags & FLAG_FORMS ? seed % 32 : 0;
    const bool is_one_form = forms && (forms & (forms - 1)) == 0;
    play(in, flags, forms, true, 0, &chunks);
    play(in, flags, forms, true, seed + 1, &cut);
    play(in, flags, forms, false, 0, &whole);
    play(in, flags, forms, false, seed + 2, &whole_cut);
    check_cut(&cut, &chunks);
    check_cut(&whole_cut, &whole);
    check_answers(&chunks, &whole, flags & FLAG_FUNCTIONS, is_one_form);
    buf_done(&chunks.out);
    buf_done(&cut.out);
    buf_done(&whole.out);
    buf_done(&whole_cut.out);
    buf_done(&script);
    return 0;
}

/*
 * Turns a prompt and its directives into blocks, then cuts them where a limit or a stop sequence
 * says so.
 */
#include "sim/script.h"

#include <string.h>

#include "base/id.h"
#include "base/utf8.h"
#include "sim/answer.h"
#include "sim/bind.h"
#include "sim/schema_instance.h"
#include "sim/token.h"

#define END_TOKENS        3   /* what ends an answer counts too */
#define LONG_PROMPT_BYTES 200 /* prompts that models which may think do think about */
#define ARGS_BYTES_MAX    (1024 * 1024)
#define ID_BYTES          40
#define BLOCKS_MAX        4096 /* with every call of every tool */

struct builder {
    struct script *s;
    struct directives *d;
    const struct prompt *p;
    const struct sim_model *model;
    yyjson_val *root;
    struct arena *arena;
    struct sim_error *err;
};

static uint32_t hash(struct str s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h;
}

/* An id as the API makes them: prefix, "01" and 22 characters. */
static struct str make_id(struct arena *a, const char *prefix)
{
    char text[ID_BYTES];
    size_t n = strlen(prefix) + 24;
    id_random(text, n + 1 < sizeof(text) ? n + 1 : sizeof(text), prefix);
    memcpy(text + strlen(prefix), "01", 2);
    return arena_strdup(a, str_of(text));
}

/* --- which blocks ---------------------------------------------------------------------------- */

static struct str thinking_type(yyjson_val *root)
{
    return json_str(json_get(json_get(root, "thinking"), "type"));
}

static enum think_display decide_thinking(const struct builder *b)
{
    struct str type = thinking_type(b->root);
    struct str display = json_str(json_get(json_get(b->root, "thinking"), "display"));
    if (b->d->think != THINK_UNSET)
        return b->d->think;
    if (str_eq(type, STR("disabled")))
        return THINK_NONE;
    if (str_eq(type, STR("between_tools")) && !b->p->tool_result.p)
        return THINK_NONE;
    bool is_hard = b->p->user.n > LONG_PROMPT_BYTES || b->d->loop >= 0;
    if (!type.p && !(b->model->cls->thinks_by_default && is_hard))
        return THINK_NONE;
    if (display.p)
        return str_eq(display, STR("omitted")) ? THINK_OMITTED : THINK_TEXT;
    return b->model->cls->shows_thinking ? THINK_TEXT : THINK_OMITTED;
}

static bool is_client_tool(yyjson_val *tool)
{
    struct str type = json_str(json_get(tool, "type"));
    return !type.p || str_eq(type, STR("custom"));
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Whether a text holds a name, not as a part of a longer one. */
static bool names_it(struct str text, struct str name)
{
    ptrdiff_t at;
    for (bool is_first = true; name.n > 2 && (at = str_find(text, name)) >= 0; is_first = false) {
        size_t end = (size_t)at + name.n;
        bool is_joined = at > 0 ? is_word_char(text.p[at - 1]) : !is_first;
        if (!is_joined && (end == text.n || !is_word_char(text.p[end])))
            return true;
        text = (struct str){text.p + end, text.n - end};
    }
    return false;
}

/* The client's tools in turn, for a loop. */
static struct str nth_tool(yyjson_val *tools, size_t n)
{
    size_t n_tools = 0;
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(tools);
    while ((tool = yyjson_arr_iter_next(&it)))
        n_tools += is_client_tool(tool);
    it = yyjson_arr_iter_with(tools);
    while ((tool = yyjson_arr_iter_next(&it)))
        if (is_client_tool(tool) && n-- % n_tools == 0)
            return json_str(json_get(tool, "name"));
    return (struct str){0};
}

/* Every tool that the prompt names is wanted; joined by commas. */
static struct str named_tools(const struct builder *b, bool only_one)
{
    struct str names = {0};
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(b->root, "tools"));
    while ((tool = yyjson_arr_iter_next(&it))) {
        struct str name = json_str(json_get(tool, "name"));
        if (!is_client_tool(tool) || !names_it(b->p->user, name))
            continue;
        names = names.p ? arena_printf(b->arena, "%.*s,%.*s", STR_ARG(names), STR_ARG(name)) : name;
        if (only_one)
            return names;
    }
    return names;
}

/* The names of the tools to call; .p NULL = none. */
static struct str decide_tool(const struct builder *b)
{
    yyjson_val *tools = json_get(b->root, "tools"), *choice = json_get(b->root, "tool_choice");
    struct str type = json_str(json_get(choice, "type"));
    bool is_looping = b->d->loop >= 0;
    if (is_looping && (int64_t)b->p->n_results >= b->d->loop)
        return (struct str){0};
    if (b->d->tool.p)
        return b->d->tool;
    if (str_eq(type, STR("none")))
        return (struct str){0};
    if (str_eq(type, STR("tool")))
        return json_str(json_get(choice, "name"));
    if (is_looping)
        return nth_tool(tools, b->p->n_results);
    if (b->p->tool_result.p && !str_eq(type, STR("any")))
        return (struct str){0};
    struct str named =
        named_tools(b, yyjson_is_true(json_get(choice, "disable_parallel_tool_use")));
    return named.p || !str_eq(type, STR("any")) ? named : nth_tool(tools, 0);
}

static yyjson_val *find_tool(yyjson_val *root, struct str name)
{
    yyjson_val *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(root, "tools"));
    while ((tool = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(json_get(tool, "name")), name))
            return tool;
    return NULL;
}

/* The call of a server's tool that the prompt asks for, or that the request forces. */
static enum block_kind decide_server_call(const struct builder *b)
{
    yyjson_val *choice = json_get(b->root, "tool_choice"), *tool;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(b->root, "tools"));
    if (str_eq(json_str(json_get(choice, "type")), STR("none")) || b->d->stop.p)
        return BLOCK_KINDS;
    while ((tool = yyjson_arr_iter_next(&it))) {
        struct str name = json_str(json_get(tool, "name"));
        enum block_kind call = is_client_tool(tool) ? BLOCK_KINDS : block_call_of(name);
        if (call != BLOCK_KINDS &&
            (names_it(b->p->user, name) || str_eq(json_str(json_get(choice, "name")), name) ||
             (call == BLOCK_SEARCH && str_find(b->p->user, STR("earch")) >= 0)))
            return call;
    }
    return BLOCK_KINDS;
}

static bool has_result(yyjson_val *content, struct str id)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (str_eq(json_str(json_get(block, "tool_use_id")), id))
            return true;
    }
    return false;
}

/*
 * The call of a server's tool that waits for its result: the turn paused there, or its code waits
 * for tools that the client has answered now. NULL when this is no such turn.
 */
static yyjson_val *waiting_call(yyjson_val *root)
{
    yyjson_val *messages = json_get(root, "messages"), *block, *found = NULL;
    yyjson_val *last = yyjson_arr_get_last(messages);
    yyjson_val *first = yyjson_arr_get_first(json_get(last, "content"));
    size_t i, max, n = yyjson_arr_size(messages);
    if (n > 1 && str_eq(json_str(json_get(first, "type")), STR("tool_result")))
        last = yyjson_arr_get(messages, n - 2);
    if (!str_eq(json_str(json_get(last, "role")), STR("assistant")))
        return NULL;
    yyjson_arr_foreach(json_get(last, "content"), i, max, block)
    {
        if (str_eq(json_str(json_get(block, "type")), STR("server_tool_use")) &&
            !has_result(json_get(last, "content"), json_str(json_get(block, "id"))))
            found = block;
    }
    return found;
}

/* Whether only code may call this tool. */
static bool is_for_code(const struct builder *b, struct str name)
{
    size_t i, max;
    yyjson_val *caller, *callers = json_get(find_tool(b->root, name), "allowed_callers");
    yyjson_arr_foreach(callers, i, max, caller)
    {
        if (str_eq(json_str(caller), STR("direct")))
            return false;
    }
    return yyjson_arr_size(callers) > 0;
}

/* Whether the turn is to pause here. */
static bool must_pause(const struct builder *b)
{
    if (!str_eq(b->d->stop, STR("pause_turn")))
        return false;
    int64_t n_searches = 0;
    size_t i, max;
    yyjson_val *block, *last = yyjson_arr_get_last(json_get(b->root, "messages"));
    yyjson_arr_foreach(json_get(last, "content"), i, max, block)
    {
        n_searches += str_eq(json_str(json_get(block, "type")), STR("server_tool_use"));
    }
    return n_searches < b->d->pauses;
}

static void push(struct directives *d, enum block_kind kind)
{
    if (kind != BLOCK_KINDS)
        d->blocks[d->n_blocks++] = kind;
}

static void default_blocks(struct builder *b, struct str tool, yyjson_val *waiting)
{
    struct directives *d = b->d;
    d->n_blocks = 0;
    push(d, waiting ? block_result_of(json_str(json_get(waiting, "name"))) : BLOCK_KINDS);
    push(d, decide_thinking(b) != THINK_NONE ? BLOCK_THINK : BLOCK_KINDS);
    if (tool.p) {
        push(d, is_for_code(b, tool) ? BLOCK_CODE : BLOCK_KINDS);
        push(d, BLOCK_TOOL);
        return;
    }
    enum block_kind call = waiting ? BLOCK_KINDS : decide_server_call(b);
    if (call != BLOCK_KINDS) {
        push(d, call);
        push(d, block_result_of(str_of(block_form(call)->tool)));
        push(d, call == BLOCK_SEARCH ? BLOCK_CITED : BLOCK_KINDS);
    }
    push(d, BLOCK_TEXT);
    push(d, must_pause(b) ? BLOCK_SEARCH : BLOCK_KINDS);
}

/* --- what is in them -------------------------------------------------------------------------- */

static struct str thinking_text(const struct builder *b, enum think_display display)
{
    if (display != THINK_TEXT)
        return STR("");
    struct str about = utf8_cut(b->p->user, 80);
    if (!about.n && b->p->tool_result.p)
        return arena_printf(b->arena, "Result %zu is here. What follows from it?", b->p->n_results);
    return arena_printf(b->arena, "The user wrote: \"%.*s\". A short and direct answer will do.",
                        STR_ARG(about));
}

static struct str tool_input(const struct builder *b, struct str name)
{
    if (b->d->args.p)
        return b->d->args;
    struct buf json;
    buf_init(&json, ARGS_BYTES_MAX);
    struct str text = utf8_cut(b->p->user, 60);
    if (b->d->loop >= 0)
        text = arena_printf(b->arena, "step %zu", b->p->n_results + 1);
    schema_instance(&json, json_get(find_tool(b->root, name), "input_schema"), text);
    struct str s =
        json.len && json.data[0] == '{' ? arena_strdup(b->arena, buf_str(&json)) : STR("{}");
    buf_done(&json);
    return s;
}

static struct str server_input(const struct builder *b, const struct block_form *form)
{
    struct buf json;
    if (form->input)
        return str_of(form->input);
    buf_init(&json, 4096);
    buf_append_z(&json, "{\"query\": ");
    json_write_string(&json, utf8_cut(b->p->user, 100));
    buf_append_char(&json, '}');
    struct str s = arena_strdup(b->arena, buf_str(&json));
    buf_done(&json);
    return s;
}

static bool add_tools(struct builder *b, struct str names, struct str caller)
{
    struct script *s = b->s;
    if (!names.n)
        return sim_error_bad(b->err, b->arena, "sim: there is no tool to call");
    for (int64_t i = 0; i < s->d->calls; i++) {
        struct str rest = names, name;
        while (str_split(&rest, ',', &name)) {
            s->blocks[s->n_blocks++] = (struct script_block){
                .kind = BLOCK_TOOL,
                .text = tool_input(b, name),
                .id = make_id(b->arena, "toolu_"),
                .name = arena_strdup(b->arena, name),
                .caller = caller,
            };
        }
    }
    return true;
}

/* Blocks in all, each call of a tool being one of its own. */
static size_t count_blocks(const struct directives *d, struct str tools)
{
    size_t n = 1, n_names = 1;
    for (size_t i = 0; i < tools.n; i++)
        n_names += tools.p[i] == ',';
    for (size_t i = 0; i < d->n_blocks; i++)
        n += d->blocks[i] == BLOCK_TOOL ? n_names * (size_t)d->calls : 1;
    return n;
}

/* The share of the answer for one more text block when `left` of them are still to come. */
static struct str take_share(struct str *rest, size_t left)
{
    size_t goal = left > 1 ? rest->n / left : rest->n, n = 0;
    while (n < goal)
        n += token_bytes((struct str){rest->p + n, rest->n - n});
    struct str share = {rest->p, n};
    *rest = (struct str){rest->p + n, rest->n - n};
    return share;
}

static struct script_block make_call(struct builder *b, enum block_kind kind)
{
    const struct block_form *form = block_form(kind);
    b->s->usage.searches += kind == BLOCK_SEARCH;
    b->s->usage.fetches += kind == BLOCK_FETCH;
    bool is_code = kind == BLOCK_CODE || kind == BLOCK_BASH || kind == BLOCK_EDIT;
    if (is_code && !b->s->container.p)
        b->s->container = make_id(b->arena, "container_");
    return (struct script_block){
        .kind = kind,
        .id = make_id(b->arena, kind == BLOCK_MCP ? "mcptoolu_" : "srvtoolu_"),
        .name = str_of(form->tool),
        .text = server_input(b, form)};
}

static struct script_block make_thinking(const struct builder *b)
{
    enum think_display display = decide_thinking(b);
    if (display == THINK_NONE)
        display = THINK_OMITTED;
    return (struct script_block){
        .kind = BLOCK_THINK, .display = display, .text = thinking_text(b, display)};
}

static bool fill_blocks(struct builder *b, struct str answer, struct str tool, yyjson_val *waiting)
{
    struct script *s = b->s;
    size_t n_texts = 0;
    struct str call = arena_strdup(b->arena, json_str(json_get(waiting, "id"))), code = {0};
    for (size_t i = 0; i < s->d->n_blocks; i++)
        n_texts += s->d->blocks[i] == BLOCK_TEXT || s->d->blocks[i] == BLOCK_CITED;
    for (size_t i = 0; i < s->d->n_blocks; i++) {
        enum block_kind kind = s->d->blocks[i];
        struct script_block block = {.kind = kind, .citation = s->d->citation};
        enum block_shape shape = block_form(kind)->shape;
        if (kind == BLOCK_TOOL) {
            if (!add_tools(b, tool, code))
                return false;
            continue;
        }
        if (kind == BLOCK_TEXT || kind == BLOCK_CITED)
            block.text = take_share(&answer, n_texts--);
        if (shape == BLOCK_IS_THINKING)
            block = make_thinking(b);
        if (shape == BLOCK_IS_CALL) {
            block = make_call(b, kind);
            call = block.id;
        }
        if (shape == BLOCK_IS_RESULT)
            block.id = call.n ? call : make_id(b->arena, "srvtoolu_");
        if (kind == BLOCK_CODE ||
            kind == BLOCK_OUTPUT) /* tools in between are called by the code */
            code = kind == BLOCK_CODE ? block.id : (struct str){0};
        s->was_compacted |= kind == BLOCK_COMPACTION;
        s->blocks[s->n_blocks++] = block;
    }
    return true;
}

/* Whether a call is for the client: not one whose code went on with its answer already. */
static bool is_open_call(const struct script *s, size_t at)
{
    const struct script_block *call = &s->blocks[at];
    for (size_t i = at + 1; i < s->n_blocks && call->caller.p; i++)
        if (s->blocks[i].kind == BLOCK_OUTPUT && str_eq(s->blocks[i].id, call->caller))
            return false;
    return call->kind == BLOCK_TOOL;
}

/* --- how it ends ------------------------------------------------------------------------------ */

/* Cuts the answer at the first stop sequence that it holds. */
static void apply_stop_sequences(struct builder *b, struct str *answer)
{
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(b->root, "stop_sequences"));
    size_t cut = answer->n;
    while ((one = yyjson_arr_iter_next(&it))) {
        ptrdiff_t at = str_find(*answer, json_str(one));
        if (at < 0 || (size_t)at >= cut)
            continue;
        cut = (size_t)at;
        b->s->stop_reason = STR("stop_sequence");
        b->s->stop_sequence = arena_strdup(b->arena, json_str(one));
    }
    answer->n = cut;
}

static struct str cut_tokens(struct str s, int64_t n_tokens)
{
    size_t n = 0;
    for (; n_tokens > 0 && n < s.n; n_tokens--)
        n += token_bytes((struct str){s.p + n, s.n - n});
    return (struct str){s.p, n};
}

static int64_t thinking_tokens(const struct builder *b)
{
    static const struct {
        const char *effort;
        int64_t tokens;
    } efforts[] = {{"low", 16}, {"medium", 64}, {"high", 128}, {"xhigh", 256}, {"max", 512}};
    struct str effort = json_str(json_get(json_get(b->root, "output_config"), "effort"));
    for (size_t i = 0; i < PX_ARRAY_LEN(efforts); i++)
        if (str_eq(effort, str_of(efforts[i].effort)))
            return efforts[i].tokens;
    return b->model->cls->thinks_less ? 64 : 128; /* medium or high by default */
}

/* Counts the output and drops what max_tokens does not admit. */
static void apply_max_tokens(struct builder *b)
{
    struct script *s = b->s;
    int64_t max = INT64_MAX / 200, used = 0;
    json_to_int(json_get(b->root, "max_tokens"), &max);
    max = max * 100 / b->model->cls->token_percent;
    if (s->d->words >= 0 || s->d->tokens >= 0 || s->d->has_text)
        max = INT64_MAX / 200; /* whoever asks for a certain length means it */
    for (size_t i = 0; i < s->n_blocks; i++) {
        struct script_block *block = &s->blocks[i];
        bool is_thinking = block->kind == BLOCK_THINK || block->kind == BLOCK_REDACTED;
        bool is_given = block_form(block->kind)->shape == BLOCK_IS_RESULT; /* by the server */
        int64_t n = is_thinking ? thinking_tokens(b) : is_given ? 0 : token_count(block->text);
        if (used + n > max) {
            if (!is_thinking)
                block->text = cut_tokens(block->text, max - used);
            s->usage.thinking += is_thinking ? max - used : 0;
            used = max;
            s->n_blocks = block->text.n || is_thinking ? i + 1 : i;
            s->stop_reason = STR("max_tokens");
            s->stop_sequence = (struct str){0};
            break;
        }
        used += n;
        s->usage.thinking += is_thinking ? n : 0;
    }
    if (!str_eq(s->stop_reason, STR("max_tokens")))
        used += END_TOKENS;
    s->usage.output = used * b->model->cls->token_percent / 100;
    s->usage.thinking = s->usage.thinking * b->model->cls->token_percent / 100;
}

static void apply_stop(struct builder *b)
{
    struct script *s = b->s;
    const struct directives *d = b->d;
    if (!d->stop.p || (str_eq(d->stop, STR("pause_turn")) && !must_pause(b)))
        return;
    s->stop_reason = d->stop;
    s->stop_sequence = (struct str){0};
    if (str_eq(d->stop, STR("stop_sequence"))) {
        yyjson_val *first = yyjson_arr_get_first(json_get(b->root, "stop_sequences"));
        s->stop_sequence = d->sequence.p ? d->sequence
                           : first       ? arena_strdup(b->arena, json_str(first))
                                         : STR("STOP");
    }
    if (str_eq(d->stop, STR("refusal"))) {
        s->category = d->category;
        s->explanation = d->explanation;
    }
}

static void apply_usage(struct builder *b)
{
    struct script_usage *u = &b->s->usage;
    const struct directives *d = b->d;
    const struct cache_usage *cache = &b->p->cache;
    int64_t left = b->p->input_tokens - cache->read - cache->write;
    u->cache_read = d->cached >= 0 ? d->cached : cache->read;
    u->cache_write = d->cache_write >= 0 ? d->cache_write : cache->write;
    u->cache_write_1h = d->cache_write >= 0 ? 0 : cache->write_1h;
    u->input = d->input >= 0 ? d->input : left > 0 ? left : 1;
    u->delta_input = d->delta_input >= 0 ? d->delta_input : u->input;
    if (d->output >= 0)
        u->output = d->output;
    else if (d->tokens >= 0)
        u->output = d->tokens;
}

bool script_build(struct script *s, const struct prompt *p, struct directives *d,
                  const struct sim_model *model, yyjson_val *root, struct arena *a,
                  struct sim_error *err)
{
    struct builder b = {s, d, p, model, root, a, err};
    *s = (struct script){.d = d, .model = str_of(model->id), .stop_reason = STR("end_turn")};
    s->id = make_id(a, "msg_");
    s->seed = hash(s->id) | 1;
    yyjson_val *waiting = waiting_call(root);
    struct str tool = decide_tool(&b);
    yyjson_val *forced = find_tool(root, tool);
    if (!d->tool.p && forced && !is_client_tool(forced) && block_call_of(tool) != BLOCK_KINDS)
        tool = (struct str){0};
    if (!d->has_blocks)
        default_blocks(&b, tool, waiting);
    size_t n_blocks = count_blocks(d, tool);
    if (n_blocks > BLOCKS_MAX)
        return sim_error_bad(err, a, "sim: too many blocks");
    s->blocks = arena_alloc(a, n_blocks * sizeof(*s->blocks));
    yyjson_val *format = json_get(json_get(root, "output_config"), "format");
    if (!format)
        format = json_get(root, "output_format"); /* as the beta named it */
    struct str answer = answer_text(p, s->d, json_get(format, "schema"), a);
    if (!s->blocks || !s->id.p || !answer.p)
        return sim_error_set(err, a, 500, "Internal server error");
    apply_stop_sequences(&b, &answer);
    if (!fill_blocks(&b, answer, tool, waiting))
        return false;
    for (size_t i = 0; i < s->n_blocks; i++)
        if (is_open_call(s, i))
            s->stop_reason = STR("tool_use");
    apply_max_tokens(&b);
    apply_stop(&b);
    apply_usage(&b);
    return bind_sign(s, root, model, a) || sim_error_set(err, a, 500, "Internal server error");
}

/* --- cuts ------------------------------------------------------------------------------------- */

size_t script_piece(const struct script *s, const struct script_block *b, size_t offset)
{
    struct str rest = {b->text.p + offset, b->text.n - offset};
    if (s->d->piece > 0) { /* whole characters, at least one */
        size_t n = utf8_cut(rest, (size_t)s->d->piece).n;
        while (n == 0 || (n < rest.n && ((unsigned char)rest.p[n] & 0xc0) == 0x80))
            n++;
        return n < rest.n ? n : rest.n;
    }
    if (s->d->words >= 0 || s->d->tokens >= 0)
        return token_bytes(rest);
    if (block_form(b->kind)->shape == BLOCK_IS_CALL) { /* cut anywhere, between characters */
        size_t n = utf8_cut(rest, 3 + (s->seed + offset * 7) % 9).n;
        return n ? n : rest.n;
    }
    /* A first delta of one token, then a few at a time: how recorded streams look. */
    size_t n_tokens = offset == 0 ? 1 : 1 + (s->seed / 3 + offset * 5) % 6, n = 0;
    for (; n_tokens > 0 && n < rest.n; n_tokens--)
        n += token_bytes((struct str){rest.p + n, rest.n - n});
    return n;
}

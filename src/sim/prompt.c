/*
 * Walks system, messages and tools once: texts for the answer, tokens for the usage.
 */
#include "sim/prompt.h"

#include "base/utf8.h"
#include "sim/token.h"

#define TEXT_MAX       65536 /* of one message, as far as an answer looks at it */
#define TOKENS_BASE    7     /* the frame around a conversation */
#define TOKENS_MESSAGE 3     /* the frame around each further message */
#define TOKENS_IMAGE   1600

struct reader {
    struct prompt *p;
    struct arena *arena;
    int64_t tokens;
};

/* Tokens of every string inside a value, keys included: tools, inputs, schemas. */
static int64_t count_value(yyjson_val *v)
{
    int64_t n = 0;
    yyjson_val *one;
    if (!v)
        return 0;
    if (yyjson_is_str(v) || yyjson_is_raw(v))
        return token_count((struct str){unsafe_yyjson_get_str(v), yyjson_get_len(v)});
    if (yyjson_is_arr(v)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        while ((one = yyjson_arr_iter_next(&it)))
            n += count_value(one);
        return n;
    }
    if (yyjson_is_obj(v)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(v);
        while ((one = yyjson_obj_iter_next(&it)))
            n += token_count(json_str(one)) + count_value(yyjson_obj_iter_get_val(one)) + 1;
        return n;
    }
    return 1;
}

static int64_t count_content(yyjson_val *content);

int64_t prompt_count_block(yyjson_val *block)
{
    struct str type = json_str(json_get(block, "type"));
    if (str_eq(type, STR("text")))
        return token_count(json_str(json_get(block, "text")));
    if (str_eq(type, STR("tool_result")))
        return count_content(json_get(block, "content"));
    if (str_eq(type, STR("image")) || str_eq(type, STR("document")))
        return TOKENS_IMAGE;
    return count_value(block);
}

static int64_t count_content(yyjson_val *content)
{
    if (yyjson_is_str(content))
        return token_count(json_str(content));
    int64_t n = 0;
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    while ((block = yyjson_arr_iter_next(&it)))
        n += prompt_count_block(block);
    return n;
}

static void note_media(struct reader *r, yyjson_val *block)
{
    yyjson_val *source = json_get(block, "source");
    struct str type = json_str(json_get(source, "media_type"));
    r->p->media_type = arena_strdup(r->arena, type.p ? type : json_str(json_get(block, "type")));
    r->tokens += TOKENS_IMAGE;
}

/* The text's beginning and end: directives may stand at either, what lies between is only echoed.
 */
static struct str keep_ends(struct arena *a, struct str s)
{
    if (s.n <= TEXT_MAX / 2)
        return arena_strdup(a, s);
    struct str head = utf8_cut(s, TEXT_MAX / 4), tail = {s.p + s.n - TEXT_MAX / 4, TEXT_MAX / 4};
    while (tail.n && ((unsigned char)tail.p[0] & 0xc0) == 0x80) {
        tail.p++;
        tail.n--;
    }
    return arena_printf(a, "%.*s%.*s", STR_ARG(head), STR_ARG(tail));
}

/* Text of a content value (string or blocks), joined by line ends; counts its tokens. */
static struct str read_content(struct reader *r, yyjson_val *content, bool is_last_user)
{
    if (yyjson_is_str(content)) {
        r->tokens += token_count(json_str(content));
        return keep_ends(r->arena, json_str(content));
    }
    struct buf b;
    buf_init(&b, TEXT_MAX);
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    while ((block = yyjson_arr_iter_next(&it))) {
        struct str type = json_str(json_get(block, "type"));
        struct str text = json_str(json_get(block, "text"));
        if (str_eq(type, STR("text"))) {
            r->tokens += token_count(text);
            if (b.len)
                buf_append_char(&b, '\n');
            buf_append_str(&b, keep_ends(r->arena, text));
        } else if (str_eq(type, STR("tool_result"))) {
            struct str result = read_content(r, json_get(block, "content"), false);
            if (is_last_user)
                r->p->tool_result = result.p ? result : STR("");
        } else if (str_eq(type, STR("image")) || str_eq(type, STR("document"))) {
            note_media(r, block);
        } else {
            r->tokens += count_value(block);
        }
    }
    struct str s = b.len ? arena_strdup(r->arena, buf_str(&b)) : STR("");
    buf_done(&b);
    return s;
}

static struct str join_lines(struct arena *a, struct str x, struct str y)
{
    if (!x.n)
        return y;
    struct str s = arena_printf(a, "%.*s\n%.*s", STR_ARG(x), STR_ARG(y));
    return s.p ? s : x;
}

static void read_messages(struct reader *r, yyjson_val *messages)
{
    struct prompt *p = r->p;
    yyjson_val *m, *last_user = NULL;
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    while ((m = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(json_get(m, "role")), STR("user")))
            last_user = m;
    it = yyjson_arr_iter_with(messages);
    size_t n = yyjson_arr_size(messages);
    for (size_t i = 0; (m = yyjson_arr_iter_next(&it)); i++) {
        struct str role = json_str(json_get(m, "role"));
        yyjson_val *content = json_get(m, "content");
        r->tokens += i > 0 ? TOKENS_MESSAGE : 0;
        bool is_user = str_eq(role, STR("user")), is_system = str_eq(role, STR("system"));
        bool is_prefill = i + 1 == n && str_eq(role, STR("assistant"));
        if (!is_system && !is_prefill && m != last_user && !(is_user && p->n_users == 0)) {
            r->tokens += count_content(content); /* its text is not looked at: spare the copy */
            p->n_users += is_user;
            continue;
        }
        struct str text = read_content(r, content, m == last_user);
        if (is_system)
            p->system = join_lines(r->arena, p->system, text);
        else if (is_prefill)
            p->prefill = text;
        if (is_user && p->n_users++ == 0)
            p->first_user = text;
        if (m == last_user)
            p->user = text;
    }
}

/* Whether a message is more than the results of tools. */
static bool has_text(yyjson_val *message)
{
    yyjson_val *content = json_get(message, "content"), *block;
    if (yyjson_is_str(content))
        return true;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    while ((block = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(json_get(block, "type")), STR("text")))
            return true;
    return false;
}

static size_t count_results(yyjson_val *message)
{
    size_t n = 0;
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(json_get(message, "content"));
    while ((block = yyjson_arr_iter_next(&it)))
        n += str_eq(json_str(json_get(block, "type")), STR("tool_result"));
    return n;
}

/*
 * In a loop of tools the last user message is results only: what was asked stands further up. Of
 * its directives those hold on that say how the whole loop goes.
 */
static bool read_task(struct reader *r, yyjson_val *messages, struct directives *d,
                      struct sim_error *err)
{
    yyjson_val *m, *task = NULL;
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    while ((m = yyjson_arr_iter_next(&it))) {
        if (!str_eq(json_str(json_get(m, "role")), STR("user")))
            continue;
        if (has_text(m)) {
            task = m;
            r->p->n_results = 0;
        } else {
            r->p->n_results += count_results(m);
        }
    }
    if (!task || r->p->n_results == 0)
        return true;
    struct directives asked;
    struct str text;
    int64_t tokens = r->tokens; /* counted already */
    directives_init(&asked);
    bool ok = directives_take(&asked, read_content(r, json_get(task, "content"), false), r->arena,
                              err, &text);
    r->tokens = tokens;
    if (ok && asked.loop >= 0) {
        d->loop = asked.loop;
        d->think = d->think == THINK_UNSET ? asked.think : d->think;
        d->tool = d->tool.p ? d->tool : asked.tool;
        d->args = d->args.p ? d->args : asked.args;
        d->calls = asked.calls;
    }
    return ok;
}

bool prompt_read(struct prompt *p, yyjson_val *root, unsigned token_percent, struct arena *a,
                 struct directives *d, struct sim_error *err)
{
    *p = (struct prompt){.system = STR(""), .user = STR(""), .first_user = STR("")};
    struct reader r = {.p = p, .arena = a, .tokens = TOKENS_BASE};
    p->system = read_content(&r, json_get(root, "system"), false);
    p->media_type = (struct str){0};
    read_messages(&r, json_get(root, "messages"));
    yyjson_val *tools = json_get(root, "tools");
    if (yyjson_arr_size(tools) > 0)
        r.tokens += PROMPT_TOKENS_TOOLS + count_value(tools);
    r.tokens += count_value(json_get(json_get(root, "output_config"), "format"));
    p->input_tokens = r.tokens * token_percent / 100;
    if (!p->user.p || !p->system.p)
        return sim_error_set(err, a, 500, "Internal server error");
    return read_task(&r, json_get(root, "messages"), d, err) &&
           directives_take(d, p->user, a, err, &p->user);
}

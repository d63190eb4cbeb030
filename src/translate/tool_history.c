/*
 * Pairs calls and results by id, legacy function calls by name. A result is matched to the first
 * open call that has its id and no result yet, so that an id used twice in a turn works too.
 */
#include "translate/tool_history.h"

#include <stdint.h>

#include "translate/content.h"
#include "translate/fields.h"
#include "translate/tool_id.h"

#define TURN_CALLS_MAX 4096 /* in one assistant turn; pairs are compared, this bounds the work */
#define BUCKETS        256
#define NO_RESULT      "No result was provided."

struct call {
    struct call *next;           /* in the turn's order */
    struct call *next_in_bucket; /* in the same order */
    struct str client_id;        /* sanitised; of a function_call its name; empty = it has none */
    const struct tool_use *use;
    struct tool_result *result; /* NULL = none yet */
    enum cache_ttl cache;
    struct origin origin; /* of the result; none where it is made up */
};

struct tool_history {
    struct call *first, *last;
    struct call *bucket_first[BUCKETS], *bucket_last[BUCKETS];
    size_t calls, results;
    size_t functions; /* function_calls since the conversation began: their ids */
};

bool tool_history_is_open(const struct translation *t)
{
    return t->tool_history && t->tool_history->calls > 0;
}

bool tool_history_has_results(const struct translation *t)
{
    return t->tool_history && t->tool_history->results > 0;
}

static size_t bucket_of(struct str client_id)
{
    return tool_id_hash(client_id) % BUCKETS;
}

static struct call *find(const struct tool_history *h, struct str client_id, bool is_function)
{
    struct call *c = h ? h->bucket_first[bucket_of(client_id)] : NULL;
    while (c &&
           (c->result || c->use->is_function != is_function || !str_eq(c->client_id, client_id)))
        c = c->next_in_bucket;
    return c;
}

/* Whether the turn has a call with this upstream id already. */
static bool is_taken(const struct tool_history *h, struct str id)
{
    struct call *c = h->bucket_first[bucket_of(id)];
    while (c && !(str_eq(c->client_id, id) && str_eq(c->use->id, id)))
        c = c->next_in_bucket;
    return c != NULL;
}

/* The call that its message gives as a block already. */
static bool is_same_call(const struct tool_history *h, const struct tool_use *use,
                         struct str client_id)
{
    bool may_be = h && client_id.n && !use->is_own && !use->is_function;
    struct call *c = may_be ? h->bucket_first[bucket_of(client_id)] : NULL;
    while (c &&
           !(c->use->is_own && c->use->message == use->message && str_eq(c->client_id, client_id)))
        c = c->next_in_bucket;
    return c != NULL;
}

static bool remember(struct translation *t, struct str client_id, const struct tool_use *use)
{
    struct tool_history *h = t->tool_history;
    if (h->calls == TURN_CALLS_MAX)
        return refuse(
            t, "array_above_max_length", path_of(t, "messages[%zu].tool_calls", use->message),
            "An assistant turn with more than %d tool calls is not supported.", TURN_CALLS_MAX);
    struct call *c = arena_alloc(t->arena, sizeof(*c));
    if (!c)
        return refuse_memory(t);
    c->client_id = client_id;
    c->use = use;
    size_t i = bucket_of(client_id);
    if (h->last)
        h->last->next = c;
    else
        h->first = c;
    h->last = c;
    if (h->bucket_last[i])
        h->bucket_last[i]->next_in_bucket = c;
    else
        h->bucket_first[i] = c;
    h->bucket_last[i] = c;
    h->calls++;
    return true;
}

/* Its id upstream: the client's, or one of ours where that says nothing or says it twice. */
static bool open_call(struct translation *t, struct tool_use *use, struct str client_id)
{
    struct tool_history *h = t->tool_history;
    if (!h && !(h = t->tool_history = arena_alloc(t->arena, sizeof(*h))))
        return refuse_memory(t);
    use->id = client_id;
    if (use->is_function) {
        use->id = arena_printf(t->arena, "fc_%zu", h->functions++);
    } else if (client_id.n == 0 || is_taken(h, client_id)) {
        if (!repair(t, "tool_calls.id", repair_path(t, "messages[%zu].tool_calls", use->message)))
            return false;
        use->id = arena_printf(t->arena, "toolu_px_%zu_%zu", use->message, h->calls);
    }
    return use->id.p ? remember(t, client_id, use) : refuse_memory(t);
}

bool tool_history_open(struct translation *t, struct blocks *blocks)
{
    struct block *before = NULL, *next;
    for (struct block *b = blocks->first; b; b = next) {
        next = b->next;
        if (b->kind == BLOCK_TOOL_USE) {
            struct tool_use *use = b->tool_use;
            struct str id = use->client_id;
            if (!use->is_function)
                id = tool_id_upstream(t->arena, use->client_id);
            if (use->client_id.n && !id.p)
                return refuse_memory(t);
            if (before && is_same_call(t->tool_history, use, id)) { /* that stands in front */
                before->next = next;
                before->cache = b->cache > before->cache ? b->cache : before->cache;
                if (!next)
                    blocks->last = before;
                continue;
            }
            if (!open_call(t, use, id))
                return false;
        }
        before = b;
    }
    return true;
}

/* A call as the client gives it. */
struct given_call {
    size_t message, index;
    const struct content_part *part; /* a tool_use block; NULL = of the message's own members */
    bool is_function;
    struct str client_id, name;
    enum cache_ttl cache;
    struct tool_use use;
};

static const char *call_path(struct translation *t, const struct given_call *g, const char *member)
{
    if (g->part)
        return content_path(t, g->part, member);
    if (g->is_function)
        return path_of(t, "messages[%zu].function_call%s", g->message, member);
    return path_of(t, "messages[%zu].tool_calls[%zu]%s", g->message, g->index, member);
}

static bool add_call(struct translation *t, const struct given_call *g, struct blocks *to)
{
    struct tool_use *use = arena_alloc(t->arena, sizeof(*use));
    if (!use)
        return refuse_memory(t);
    struct block *block = blocks_add_kind(t, to, BLOCK_TOOL_USE);
    if (!block)
        return false;
    *use = g->use;
    use->message = g->message;
    use->is_function = g->is_function;
    use->is_own = g->part != NULL;
    use->client_id = g->is_function ? g->name : g->client_id;
    use->name = tool_name_upstream(t, g->name);
    block->tool_use = use;
    block->cache = g->cache;
    return use->name.p != NULL;
}

/* What is no JSON object is wrapped into one: the upstream takes nothing else. */
static bool wrap_input(struct translation *t, struct given_call *g, enum tool_input form)
{
    g->use.input = form;
    return repair(t, "tool_calls.arguments", t->policy->strict ? call_path(t, g, "") : "");
}

static bool read_input_text(struct translation *t, struct given_call *g, struct str text)
{
    struct json_error err;
    g->use.text = str_trim(text);
    if (g->use.text.n == 0)
        return true;
    yyjson_doc *doc = json_parse(g->use.text, &err);
    if (!doc && err.is_memory)
        return refuse_memory(t);
    if (!doc) {
        g->use.text = text;
        return wrap_input(t, g, INPUT_INVALID);
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_object = yyjson_is_obj(root), is_null = yyjson_is_null(root);
    yyjson_doc_free(doc);
    if (is_null)
        return true;
    g->use.input = INPUT_JSON; /* the client's text, and so digit for digit */
    return is_object || wrap_input(t, g, INPUT_RAW);
}

/* Nothing at all means no arguments. */
static bool read_input(struct translation *t, struct given_call *g, yyjson_val *v)
{
    g->use.input = INPUT_EMPTY;
    if (!v)
        return true;
    if (yyjson_is_str(v))
        return read_input_text(t, g, json_str(v));
    g->use.value = v;
    g->use.input = INPUT_VALUE;
    return yyjson_is_obj(v) || wrap_input(t, g, INPUT_RAW_VALUE);
}

static bool read_name(struct translation *t, struct given_call *g, yyjson_val *holder,
                      const char *member)
{
    yyjson_val *name = json_get(holder, "name");
    if (!name)
        return refuse_missing(t, call_path(t, g, member));
    return want_string(t, call_path(t, g, member), name, &g->name);
}

static bool read_id(struct translation *t, struct given_call *g, yyjson_val *holder)
{
    yyjson_val *id = json_get(holder, "id");
    return !id || yyjson_is_str(id) ? (g->client_id = json_str(id), true)
                                    : refuse_type(t, call_path(t, g, ".id"), "a string", id);
}

/* What answers give beside the call itself, to be sent back; see open_call in answer.c. */
static bool read_extra(struct given_call *g, struct str name, yyjson_val *v)
{
    if (str_eq(name, STR("caller")) && yyjson_is_obj(v))
        g->use.caller = v;
    else if (str_eq(name, STR("toolset_name")) && yyjson_is_str(v))
        g->use.toolset = json_str(v);
    else
        return false;
    return true;
}

/* Takes the members that have nothing to do with the kind of call, and lists those unknown. */
static bool read_call_members(struct translation *t, struct given_call *g, yyjson_val *v)
{
    static const char *const known[] = {"id", "type", "index", "function", "custom"};
    size_t i, max;
    yyjson_val *key, *member;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        bool is_known = yyjson_is_null(member) || read_extra(g, json_str(key), member);
        for (size_t k = 0; k < PX_ARRAY_LEN(known); k++)
            is_known |= str_eq(json_str(key), str_of(known[k]));
        const char *path = t->policy->strict && !is_known ? call_path(t, g, "") : "";
        if (!is_known && !ignore_member(t, "messages.tool_calls", path, json_str(key)))
            return false;
    }
    return true;
}

static bool read_custom(struct translation *t, struct given_call *g, yyjson_val *custom)
{
    yyjson_val *input = json_get(custom, "input");
    if (!yyjson_is_obj(custom))
        return refuse_missing(t, call_path(t, g, ".custom"));
    if (input && !want_string(t, call_path(t, g, ".custom.input"), input, &g->use.text))
        return false;
    g->use.input = INPUT_CUSTOM;
    return read_name(t, g, custom, ".custom.name");
}

static bool read_function(struct translation *t, struct given_call *g, yyjson_val *function)
{
    if (!function)
        return refuse_missing(t, call_path(t, g, ".function"));
    if (!yyjson_is_obj(function))
        return refuse_type(t, call_path(t, g, ".function"), "an object", function);
    return read_name(t, g, function, ".function.name") &&
           read_input(t, g, json_get(function, "arguments"));
}

static bool read_tool_call(struct translation *t, struct given_call *g, yyjson_val *v,
                           struct blocks *to)
{
    if (!yyjson_is_obj(v))
        return refuse_type(t, call_path(t, g, ""), "an object", v);
    if (!read_id(t, g, v) || !read_call_members(t, g, v))
        return false;
    yyjson_val *type = json_get(v, "type"), *custom = json_get(v, "custom");
    struct str word = json_str(type);
    if (type && !str_eq(word, STR("function")) && !str_eq(word, STR("custom")))
        return refuse(t, "invalid_value", call_path(t, g, ".type"),
                      "Invalid value for '%s': expected \"function\" or \"custom\".",
                      call_path(t, g, ".type"));
    bool is_custom = str_eq(word, STR("custom")) || (!type && custom);
    bool is_fine =
        is_custom ? read_custom(t, g, custom) : read_function(t, g, json_get(v, "function"));
    return is_fine && add_call(t, g, to);
}

static bool read_function_call(struct translation *t, size_t index, yyjson_val *v,
                               struct blocks *to)
{
    struct given_call g = {.message = index, .is_function = true};
    if (!yyjson_is_obj(v))
        return refuse_type(t, call_path(t, &g, ""), "an object", v);
    return read_name(t, &g, v, ".name") && read_input(t, &g, json_get(v, "arguments")) &&
           add_call(t, &g, to);
}

bool tool_history_read_calls(struct translation *t, size_t index, yyjson_val *message,
                             struct blocks *to)
{
    yyjson_val *calls = json_get(message, "tool_calls"), *v;
    yyjson_val *function_call = json_get(message, "function_call");
    if (calls && !yyjson_is_arr(calls))
        return refuse_type(t, path_of(t, "messages[%zu].tool_calls", index), "an array of objects",
                           calls);
    size_t i, max;
    yyjson_arr_foreach(calls, i, max, v)
    {
        struct given_call g = {.message = index, .index = i};
        if (!read_tool_call(t, &g, v, to))
            return false;
    }
    return !function_call || read_function_call(t, index, function_call, to);
}

bool tool_history_read_own_call(struct translation *t, const struct content_part *p)
{
    struct given_call g = {.message = p->message, .part = p};
    read_extra(&g, STR("caller"), json_get(p->v, "caller"));
    read_extra(&g, STR("toolset_name"), json_get(p->v, "toolset_name"));
    return read_id(t, &g, p->v) && read_name(t, &g, p->v, ".name") &&
           read_input(t, &g, json_get(p->v, "input")) && content_cache(t, p, &g.cache) &&
           add_call(t, &g, p->to);
}

/* A result as the client gives it. */
struct given_result {
    size_t message;
    const struct content_part *part; /* a tool_result block; NULL = a message */
    bool is_function;
    struct str client_id; /* or the function's name */
    enum cache_ttl cache;
    struct tool_result result;
};

/* The upstream takes markers inside of results too; one for the whole says the same. */
static void raise_markers(struct given_result *g)
{
    for (struct block *b = g->result.content.first; b; b = b->next) {
        g->cache = b->cache > g->cache ? b->cache : g->cache;
        b->cache = CACHE_NONE;
    }
}

/* What answers no call is kept as what the user says. */
static bool add_orphan(struct translation *t, struct given_result *g, struct blocks *user)
{
    static const char *const members[] = {".tool_call_id", ".name", ".tool_use_id"};
    const char *member = members[g->part ? 2 : g->is_function];
    const char *path = "";
    if (t->policy->strict)
        path = g->part ? content_path(t, g->part, member)
                       : path_of(t, "messages[%zu]%s", g->message, member);
    if (!repair(t, "tool->user", path))
        return false;
    struct str label =
        arena_printf(t->arena, "Result of an earlier tool call%s%.*s%s", g->client_id.n ? " (" : "",
                     STR_ARG(g->client_id), g->client_id.n ? "):" : ":");
    if (!label.p)
        return refuse_memory(t);
    if (!blocks_add(t, user, label, CACHE_NONE))
        return false;
    blocks_move(user, &g->result.content);
    user->last->cache = g->cache;
    return true;
}

static bool add_result(struct translation *t, struct given_result *g, struct blocks *user)
{
    struct tool_history *h = t->tool_history;
    struct str id = g->is_function ? g->client_id : tool_id_upstream(t->arena, g->client_id);
    if (g->client_id.n && !id.p)
        return refuse_memory(t);
    struct call *call = find(h, id, g->is_function);
    raise_markers(g);
    if (!call)
        return add_orphan(t, g, user);
    call->result = arena_alloc(t->arena, sizeof(*call->result));
    if (!call->result)
        return refuse_memory(t);
    *call->result = g->result;
    call->result->id = call->use->id;
    call->cache = g->cache;
    call->origin = t->origin;
    h->results++;
    return true;
}

bool tool_history_read_result(struct translation *t, size_t index, yyjson_val *message,
                              bool is_function, struct blocks *user)
{
    const char *member = is_function ? "name" : "tool_call_id";
    struct given_result g = {.message = index, .is_function = is_function};
    yyjson_val *id = json_get(message, member), *is_error = json_get(message, "is_error");
    if (id && !yyjson_is_str(id))
        return refuse_type(t, path_of(t, "messages[%zu].%s", index, member), "a string", id);
    if (is_error &&
        !want_bool(t, path_of(t, "messages[%zu].is_error", index), is_error, &g.result.is_error))
        return false;
    g.client_id = json_str(id);
    if (cache_has_marker(message) &&
        !cache_read_marker(t, path_of(t, "messages[%zu]", index), message, &g.cache))
        return false;
    return content_read(t, index, SPEAKER_TOOL, json_get(message, "content"), &g.result.content) &&
           add_result(t, &g, user);
}

bool tool_history_read_own_result(struct translation *t, const struct content_part *p)
{
    struct given_result g = {.message = p->message, .part = p};
    yyjson_val *id = json_get(p->v, "tool_use_id"), *is_error = json_get(p->v, "is_error");
    if (id && !yyjson_is_str(id))
        return refuse_type(t, content_path(t, p, ".tool_use_id"), "a string", id);
    if (is_error && !want_bool(t, content_path(t, p, ".is_error"), is_error, &g.result.is_error))
        return false;
    g.client_id = json_str(id);
    return content_cache(t, p, &g.cache) &&
           content_read_inner(t, p, json_get(p->v, "content"), &g.result.content) &&
           add_result(t, &g, p->to);
}

static bool make_up(struct translation *t, const struct call *call, struct tool_result *result)
{
    result->id = call->use->id;
    result->is_error = true;
    return repair(t, "tool_result",
                  repair_path(t, "messages[%zu].tool_calls", call->use->message)) &&
           blocks_add(t, &result->content, STR(NO_RESULT), CACHE_NONE);
}

bool tool_history_settle(struct translation *t, struct blocks *to)
{
    struct tool_history *h = t->tool_history;
    if (!h)
        return true;
    for (struct call *call = h->first; call; call = call->next) {
        struct tool_result *result = call->result;
        if (!result) {
            result = arena_alloc(t->arena, sizeof(*result));
            if (!result)
                return refuse_memory(t);
            if (!make_up(t, call, result))
                return false;
        }
        struct block *block = blocks_add_kind(t, to, BLOCK_TOOL_RESULT);
        if (!block)
            return false;
        block->tool_result = result;
        block->cache = call->cache;
        block->origin = call->origin;
    }
    *h = (struct tool_history){.functions = h->functions};
    return true;
}

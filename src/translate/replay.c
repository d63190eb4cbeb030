/*
 * Rebuilds thinking blocks from what clients echo. A block without its signature is refused
 * upstream, so text alone never becomes one.
 */
#include "translate/replay.h"

#include <string.h>

#include "translate/block.h"
#include "translate/part.h"

static bool add_thinking(struct translation *t, struct blocks *to, struct str text,
                         struct str signature)
{
    struct thought *thought = arena_alloc(t->arena, sizeof(*thought));
    struct block *block = thought ? blocks_add_kind(t, to, BLOCK_THINKING) : NULL;
    if (!block)
        return refuse_memory(t);
    *thought = (struct thought){text.p ? text : STR(""), signature};
    block->thought = thought;
    t->has_thinking = true;
    return true;
}

static bool add_redacted(struct translation *t, struct blocks *to, struct str data)
{
    struct block *block = blocks_add_kind(t, to, BLOCK_REDACTED);
    if (!block)
        return false;
    block->text = data;
    t->has_thinking = true;
    return true;
}

static bool is_text_or_none(yyjson_val *v)
{
    return !v || yyjson_is_str(v);
}

/* One of the upstream's own blocks. *ret_is_lost: it is none that could be sent. */
static bool add_block(struct translation *t, yyjson_val *v, struct blocks *to, bool *ret_is_lost)
{
    struct str type = json_str(json_get(v, "type"));
    struct str data = json_str(json_get(v, "data"));
    struct str signature = json_str(json_get(v, "signature"));
    yyjson_val *text = json_get(v, "thinking");
    if (str_eq(type, STR("redacted_thinking")) && data.n)
        return add_redacted(t, to, data);
    if (str_eq(type, STR("thinking")) && is_text_or_none(text) && signature.n)
        return add_thinking(t, to, json_str(text), signature);
    *ret_is_lost = true;
    return true;
}

/* All blocks of an answer but its calls: `content` says the others again. */
static bool read_content_blocks(struct translation *t, yyjson_val *list, struct blocks *to,
                                bool *ret_is_lost)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        struct str type = json_str(json_get(v, "type"));
        bool is_ours = str_eq(type, STR("thinking")) || str_eq(type, STR("redacted_thinking"));
        if (is_ours && !add_block(t, v, to, ret_is_lost))
            return false;
    }
    return true;
}

/* Entries of reasoning_details that make one block: clients keep a stream's pieces as they came. */
struct group {
    yyjson_arr_iter from; /* stands before the first */
    size_t entries, texts, bytes;
    struct str text; /* the last piece */
    struct str signature;
    int64_t index; /* -1: not said */
};

static yyjson_val *text_of(yyjson_val *entry)
{
    static const char *const names[] = {"text", "summary", "thinking"};
    yyjson_val *text = NULL;
    for (size_t i = 0; i < PX_ARRAY_LEN(names) && !text; i++)
        text = json_get(entry, names[i]);
    return text;
}

static bool join(struct translation *t, const struct group *g, struct str *ret)
{
    *ret = g->text;
    if (g->texts < 2)
        return true;
    char *all = arena_alloc(t->arena, g->bytes), *at = all;
    if (!all)
        return refuse_memory(t);
    yyjson_arr_iter it = g->from;
    for (size_t i = 0; i < g->entries; i++) {
        struct str piece = json_str(text_of(yyjson_arr_iter_next(&it)));
        if (piece.n)
            memcpy(at, piece.p, piece.n);
        at += piece.n;
    }
    *ret = (struct str){all, g->bytes};
    return true;
}

static bool close_group(struct translation *t, struct group *g, struct blocks *to,
                        bool *ret_is_lost)
{
    struct group closed = *g;
    *g = (struct group){.index = -1};
    if (closed.entries == 0)
        return true;
    if (closed.signature.n == 0) {
        *ret_is_lost = true;
        return true;
    }
    struct str text;
    return join(t, &closed, &text) && add_thinking(t, to, text, closed.signature);
}

/* Whether an entry goes on with the block of the ones before it. */
static bool continues(const struct group *g, int64_t index)
{
    return g->entries && g->signature.n == 0 && (g->index < 0 || index < 0 || g->index == index);
}

static bool add_entry(struct translation *t, struct group *g, const yyjson_arr_iter *at,
                      yyjson_val *entry, struct blocks *to, bool *ret_is_lost)
{
    int64_t index = -1;
    json_to_int(json_get(entry, "index"), &index);
    if (!continues(g, index) && !close_group(t, g, to, ret_is_lost))
        return false;
    if (g->entries == 0) {
        g->from = *at;
        g->index = index;
    }
    struct str text = json_str(text_of(entry));
    g->entries++;
    g->bytes += text.n;
    if (text.n) {
        g->texts++;
        g->text = text;
    }
    g->signature = json_str(json_get(entry, "signature"));
    return true;
}

static bool is_ours(yyjson_val *entry)
{
    yyjson_val *format = json_get(entry, "format");
    return !format || str_eq(json_str(format), STR(PART_REASONING_FORMAT));
}

static bool is_text_entry(yyjson_val *entry, struct str type)
{
    return (str_eq(type, STR("reasoning.text")) || str_eq(type, STR("reasoning.summary"))) &&
           is_text_or_none(text_of(entry)) && is_text_or_none(json_get(entry, "signature"));
}

/* A piece of a stream has no signature, but the last, which has no text. */
static bool is_thinking_piece(const struct group *g, yyjson_val *v)
{
    yyjson_val *text = json_get(v, "thinking"), *signature = json_get(v, "signature");
    if (!str_eq(json_str(json_get(v, "type")), STR("thinking")) || !is_text_or_none(text) ||
        !is_text_or_none(signature))
        return false;
    return json_str(signature).n == 0 || (g->entries > 0 && json_str(text).n == 0);
}

/* LiteLLM's: whole blocks, or the pieces of a stream as they came. */
static bool read_thinking_blocks(struct translation *t, yyjson_val *list, struct blocks *to,
                                 bool *ret_is_lost)
{
    struct group g = {.index = -1};
    yyjson_arr_iter it = yyjson_arr_iter_with(list), at;
    yyjson_val *v;
    for (at = it; (v = yyjson_arr_iter_next(&it)) != NULL; at = it) {
        if (is_thinking_piece(&g, v)) {
            if (!add_entry(t, &g, &at, v, to, ret_is_lost))
                return false;
        } else if (!close_group(t, &g, to, ret_is_lost) || !add_block(t, v, to, ret_is_lost)) {
            return false;
        }
    }
    return close_group(t, &g, to, ret_is_lost);
}

/* What OpenRouter began, and this server answers. */
static bool read_details(struct translation *t, yyjson_val *list, struct blocks *to,
                         bool *ret_is_lost)
{
    struct group g = {.index = -1};
    yyjson_arr_iter it = yyjson_arr_iter_with(list), at;
    yyjson_val *entry;
    for (at = it; (entry = yyjson_arr_iter_next(&it)) != NULL; at = it) {
        struct str type = json_str(json_get(entry, "type"));
        struct str data = json_str(json_get(entry, "data"));
        if (is_ours(entry) && is_text_entry(entry, type)) {
            if (!add_entry(t, &g, &at, entry, to, ret_is_lost))
                return false;
            continue;
        }
        if (!close_group(t, &g, to, ret_is_lost))
            return false;
        bool is_redacted = is_ours(entry) && str_eq(type, STR("reasoning.encrypted")) && data.n &&
                           !json_get(entry, "signature");
        if (!is_redacted)
            *ret_is_lost = true;
        else if (!add_redacted(t, to, data))
            return false;
    }
    return close_group(t, &g, to, ret_is_lost);
}

static const struct source {
    const char *name;
    bool (*read)(struct translation *t, yyjson_val *list, struct blocks *to, bool *ret_is_lost);
} sources[] = {
    {"thinking_blocks", read_thinking_blocks},
    {"reasoning_details", read_details},
    {"content_blocks", read_content_blocks},
};

static bool report_lost(struct translation *t, size_t index, const char *name)
{
    const char *path = t->policy->strict ? path_of(t, "messages[%zu]", index) : "";
    return ignore_member(t, "messages", path, str_of(name));
}

bool replay_is_taken(const struct translation *t)
{
    const unsigned refuses = t->policy->amend.refuses;
    /* Blocks of another prompt can only be dropped by the upstream where thinking is adaptive. */
    const bool may_bind =
        t->thinking.type == THINKING_UNSAID || t->thinking.type == THINKING_ADAPTIVE;
    if ((refuses & TR_REFUSES_THOUGHTS) || ((refuses & TR_REFUSES_PREFIX) && !may_bind))
        return false;
    return t->model.thinking_adaptive || t->model.thinking_enabled;
}

bool replay_read(struct translation *t, size_t index, yyjson_val *message, struct blocks *ret)
{
    t->has_own_reasoning = false;
    for (size_t i = 0; i < PX_ARRAY_LEN(sources) && !t->has_own_reasoning; i++) {
        yyjson_val *list = json_get(message, sources[i].name);
        bool is_lost = list && !yyjson_is_arr(list);
        if (!list || (yyjson_is_arr(list) && yyjson_arr_size(list) == 0))
            continue;
        if (!replay_is_taken(t))
            is_lost = true;
        else if (!is_lost && !sources[i].read(t, list, ret, &is_lost))
            return false;
        if (is_lost && !report_lost(t, index, sources[i].name))
            return false;
        t->has_own_reasoning = ret->first != NULL;
    }
    return true;
}

bool replay_part(struct translation *t, size_t index, yyjson_val *part, struct blocks *ret)
{
    bool is_lost = !replay_is_taken(t);
    if (t->has_own_reasoning)
        return true;
    if (!is_lost && !add_block(t, part, ret, &is_lost))
        return false;
    return !is_lost || report_lost(t, index, "content.thinking");
}

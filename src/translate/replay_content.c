/*
 * Takes back the copy of an assistant's content that an answer carried (carrier.h): where the
 * client's flat fields still say the same, the blocks go upstream as they came from there.
 */
#include "translate/carrier.h"
#include "translate/content.h"
#include "translate/replay.h"
#include "translate/text.h"
#include "translate/tool_history.h"

/* Answers have dozens of blocks; the walks below may be quadratic in them. */
#define CARRIED_BLOCKS_MAX 512

/* What decides which blocks of a message are left out. */
struct surroundings {
    bool has_words;    /* one of its texts is not blank */
    bool is_spoken_to; /* a user speaks before the assistant does again */
};

static yyjson_val *carried(yyjson_val *message)
{
    yyjson_val *details = json_get(message, "reasoning_details"), *entry, *last = NULL;
    size_t i, max;
    yyjson_arr_foreach(details, i, max, entry)
    {
        if (str_eq(json_str(json_get(entry, "format")), STR(CARRIER_FORMAT)))
            last = entry;
    }
    return json_get(last, "data");
}

static bool is_list_of_blocks(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!json_str(json_get(block, "type")).n)
            return false;
    }
    return yyjson_is_arr(content) && yyjson_arr_size(content) > 0 &&
           yyjson_arr_size(content) <= CARRIED_BLOCKS_MAX;
}

static bool is_type(yyjson_val *block, const char *type)
{
    return str_eq(json_str(json_get(block, "type")), str_of(type));
}

/* What is left of several texts. */
struct letters {
    struct str text;
    yyjson_arr_iter parts;
};

/* -1 at the end. Blanks differ: some were put between blocks, others cut off around JSON. */
static int next_letter(struct letters *l)
{
    for (;;) {
        while (l->text.n > 0) {
            char c = l->text.p[0];
            l->text = (struct str){l->text.p + 1, l->text.n - 1};
            if (c != ' ' && (c < '\t' || c > '\r'))
                return (unsigned char)c;
        }
        yyjson_val *part = yyjson_arr_iter_next(&l->parts);
        if (!part)
            return -1;
        if (is_type(part, "text"))
            l->text = json_str(json_get(part, "text"));
    }
}

static bool is_same_text(yyjson_val *content, yyjson_val *flat)
{
    struct letters a = {.parts = yyjson_arr_iter_with(content)};
    struct letters b = {.text = json_str(flat), .parts = yyjson_arr_iter_with(flat)};
    for (;;) {
        int c = next_letter(&a);
        if (c != next_letter(&b))
            return false;
        if (c < 0)
            return true;
    }
}

static bool is_direct(yyjson_val *call)
{
    struct str caller = json_str(json_get(json_get(call, "caller"), "type"));
    return caller.n == 0 || str_eq(caller, STR("direct"));
}

/* The calls that the client knows are those of the blocks, in order. */
static bool is_same_calls(yyjson_val *content, yyjson_val *calls)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_iter rest = yyjson_arr_iter_with(calls);
    yyjson_val *call = yyjson_arr_iter_next(&rest);
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!is_type(block, "tool_use"))
            continue;
        bool is_known =
            call && str_eq(json_str(json_get(call, "id")), json_str(json_get(block, "id")));
        if (is_known)
            call = yyjson_arr_iter_next(&rest);
        else if (is_direct(block))
            return false;
    }
    return call == NULL;
}

/* *ret is NULL where there is no such copy. */
static bool read_data(struct translation *t, yyjson_val *message, yyjson_val **ret)
{
    struct str data = json_str(carried(message));
    struct json_error err = {0};
    yyjson_doc *doc = data.n ? json_parse(data, &err) : NULL;
    if (!doc)
        return !err.is_memory || refuse_memory(t);
    struct kept_doc *kept = arena_alloc(t->arena, sizeof(*kept));
    if (!kept) {
        yyjson_doc_free(doc);
        return refuse_memory(t);
    }
    *kept = (struct kept_doc){t->docs, doc};
    t->docs = kept;
    yyjson_val *content = yyjson_doc_get_root(doc);
    bool is_same = is_list_of_blocks(content) && !json_get(message, "function_call") &&
                   is_same_text(content, json_get(message, "content")) &&
                   is_same_calls(content, json_get(message, "tool_calls"));
    *ret = is_same ? content : NULL;
    return true;
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

/* Whether a user speaks behind `message` before the assistant does; `left` messages follow it. */
static bool is_spoken_to(yyjson_val *message, size_t left)
{
    for (; left > 0; left--) {
        message = unsafe_yyjson_get_next(message); /* there are `left` more */
        struct str role = json_str(json_get(message, "role"));
        if (str_eq(role, STR("assistant")))
            return false;
        if (str_eq(role, STR("user")))
            return true;
    }
    return false;
}

static bool has_words(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (is_type(block, "text") && !text_is_blank(json_str(json_get(block, "text"))))
            return true;
    }
    return false;
}

/*
 * What the upstream wrote and does not take back: empty texts, blank ones without another, and a
 * call of its own tools that waits for its result while the user has said something else.
 */
static bool is_left_out(const struct surroundings *around, yyjson_val *content, yyjson_val *block)
{
    if (is_type(block, "text")) {
        struct str text = json_str(json_get(block, "text"));
        return text.n == 0 || (text_is_blank(text) && !around->has_words);
    }
    return around->is_spoken_to && is_type(block, "server_tool_use") &&
           !has_result(content, json_str(json_get(block, "id")));
}

/* A call that the client answers. */
static bool add_call(struct translation *t, const struct content_part *part)
{
    if (!tool_history_read_own_call(t, part))
        return false;
    if (!is_direct(part->v))
        part->to->last->tool_use->caller = json_get(part->v, "caller");
    return true;
}

/* Not one whose code went on upstream, having its answer. */
static bool is_for_client(yyjson_val *content, yyjson_val *call)
{
    return is_direct(call) ||
           !has_result(content, json_str(json_get(json_get(call, "caller"), "tool_id")));
}

static bool add_block(struct translation *t, size_t message, size_t index, yyjson_val *content,
                      yyjson_val *v, struct blocks *to)
{
    struct str type = json_str(json_get(v, "type"));
    const struct content_part part = {
        .message = message, .index = index, .speaker = SPEAKER_ASSISTANT, .v = v, .to = to};
    if (str_eq(type, STR("thinking")) || str_eq(type, STR("redacted_thinking")))
        return replay_part(t, message, v, to);
    if (str_eq(type, STR("tool_use")) && is_for_client(content, v))
        return add_call(t, &part);
    struct block *block = blocks_add_kind(t, to, BLOCK_VALUE);
    if (!block)
        return false;
    block->value = v;
    return true;
}

bool replay_read_content(struct translation *t, size_t index, yyjson_val *message,
                         struct blocks *ret, bool *ret_is_read)
{
    yyjson_val *content = NULL, *block;
    if (replay_is_taken(t) && !read_data(t, message, &content))
        return false;
    *ret_is_read = content != NULL;
    t->has_own_reasoning = false;
    if (!content)
        return true;
    const size_t left = yyjson_arr_size(t->field[FIELD_messages]) - index - 1;
    const struct surroundings around = {has_words(content), is_spoken_to(message, left)};
    size_t i, max;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!is_left_out(&around, content, block) && !add_block(t, index, i, content, block, ret))
            return false;
    }
    return true;
}

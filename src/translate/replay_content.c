/*
 * Takes back the copy of an assistant's content that an answer carried (carrier.h): where the
 * client's flat fields still say the same, the blocks go upstream as they came from there.
 */
#include "translate/carrier.h"
#include "translate/content.h"
#include "translate/own_content.h"
#include "translate/replay.h"
#include "translate/text.h"
#include "translate/tool_history.h"

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

yyjson_val *replay_parse(struct translation *t, struct str json)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    if (!doc && err.is_memory)
        t->arena->failed = true; /* which refuses the request in the end */
    struct kept_doc *kept = doc ? arena_alloc(t->arena, sizeof(*kept)) : NULL;
    if (!kept) {
        yyjson_doc_free(doc);
        return NULL;
    }
    *kept = (struct kept_doc){t->docs, doc};
    t->docs = kept;
    return yyjson_doc_get_root(doc);
}

static yyjson_val *read_data(struct translation *t, yyjson_val *message)
{
    struct str data = json_str(carried(message));
    yyjson_val *content = data.n ? replay_parse(t, data) : NULL;
    return own_content_is_list(content) && own_content_is_said(t->arena, content, message) ? content
                                                                                           : NULL;
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
        if (own_content_is(block, "text") && !text_is_blank(json_str(json_get(block, "text"))))
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
    if (own_content_is(block, "text")) {
        struct str text = json_str(json_get(block, "text"));
        return text.n == 0 || (text_is_blank(text) && !around->has_words);
    }
    return around->is_spoken_to && own_content_is(block, "server_tool_use") &&
           !own_content_has_result(content, json_str(json_get(block, "id")));
}

/* A call that the client answers. */
static bool add_call(struct translation *t, const struct content_part *part)
{
    if (!tool_history_read_own_call(t, part))
        return false;
    if (!own_content_is_direct(part->v))
        part->to->last->tool_use->caller = json_get(part->v, "caller");
    return true;
}

static bool add_block(struct translation *t, size_t message, size_t index, yyjson_val *content,
                      yyjson_val *v, struct blocks *to)
{
    const struct content_part part = {
        .message = message, .index = index, .speaker = SPEAKER_ASSISTANT, .v = v, .to = to};
    if (own_content_is_thought(v))
        return replay_part(t, message, v, to);
    if (own_content_is_for_client(content, v))
        return add_call(t, &part);
    struct block *block = blocks_add_kind(t, to, BLOCK_VALUE);
    if (!block)
        return false;
    block->value = v;
    return true;
}

bool replay_add(struct translation *t, size_t index, yyjson_val *message, yyjson_val *content,
                struct blocks *to)
{
    const size_t left = yyjson_arr_size(t->field[FIELD_messages]) - index - 1;
    const struct surroundings around = {has_words(content), is_spoken_to(message, left)};
    size_t i, max;
    yyjson_val *block;
    t->has_own_reasoning = false;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!is_left_out(&around, content, block) && !add_block(t, index, i, content, block, to))
            return false;
    }
    return true;
}

bool replay_read_content(struct translation *t, size_t index, yyjson_val *message,
                         struct blocks *ret, bool *ret_is_read)
{
    yyjson_val *content = replay_is_taken(t) ? read_data(t, message) : NULL;
    *ret_is_read = content != NULL;
    t->has_own_reasoning = false;
    return !content || replay_add(t, index, message, content, ret);
}

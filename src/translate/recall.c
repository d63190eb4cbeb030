/*
 * Looks an assistant message up and decides how much of its answer goes in: all of it where the
 * client still says the same, its thinking where that stood in front, else nothing.
 */
#include "translate/recall.h"

#include "translate/carrier.h"
#include "translate/fields.h"
#include "translate/own_content.h"
#include "translate/replay.h"

#define NOT_REMEMBERED "messages(thinking_not_remembered)"
#define DROPPED        "messages(thinking_dropped)"

void recall_begin(struct translation *t)
{
    const struct tr_memory *memory = t->policy->memory;
    bool thinks = reasoning_is_on(t) || t->thinking.type == THINKING_BETWEEN_TOOLS;
    if (!memory || !thinks)
        return;
    t->out->place = (struct tr_place){.is_kept = true, .key = memory->key};
    t->conversation = siphash_begin(memory->key);
}

void recall_pass(struct translation *t, yyjson_val *message)
{
    if (t->out->place.is_kept)
        memory_add_message(&t->conversation, message);
}

void recall_end(struct translation *t)
{
    if (t->out->place.is_kept)
        t->out->place.conversation = siphash_end(&t->conversation);
}

/*
 * Said in strict mode too: the client can mend it as little as the proxy, and a conversation must
 * outlive a restart.
 */
static bool report(struct translation *t, const char *what)
{
    return report_add_own(t->arena, &t->report.modified, str_of(what)) || refuse_memory(t);
}

/* Its own blocks among the parts of the message, or marks that the answer's blocks lack. */
static bool has_own_parts(yyjson_val *message, bool *ret_has_marks)
{
    size_t i, max;
    yyjson_val *part, *content = json_get(message, "content");
    bool has_thoughts = false;
    *ret_has_marks = false;
    yyjson_arr_foreach(content, i, max, part)
    {
        has_thoughts |= own_content_is_thought(part);
        *ret_has_marks |= cache_has_marker(part);
    }
    return has_thoughts;
}

static bool has_thinking(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (own_content_is_thought(block))
            return true;
    }
    return false;
}

/* NULL: nothing is remembered of the message. */
static yyjson_val *look_up(struct translation *t, struct digest key)
{
    const struct tr_memory *memory = t->policy->memory;
    struct buf json;
    buf_init(&json, CARRIER_BYTES_MAX);
    yyjson_val *content = NULL;
    if (memory->recall(memory->arg, key, &json))
        content = replay_parse(t, buf_str(&json));
    if (json.failed)
        t->arena->failed = true;
    buf_done(&json);
    return content;
}

static bool add_thoughts(struct translation *t, size_t index, yyjson_val *content,
                         struct blocks *to)
{
    size_t i, max;
    yyjson_val *block;
    t->has_own_reasoning = false; /* which would make the next call skip them */
    yyjson_arr_foreach(content, i, max, block)
    {
        if (own_content_is_thought(block) && !replay_part(t, index, block, to))
            return false;
    }
    t->has_own_reasoning = true;
    return true;
}

bool recall_read(struct translation *t, size_t index, yyjson_val *message, struct blocks *ret,
                 bool *ret_is_read)
{
    struct digest key;
    bool has_marks;
    *ret_is_read = false;
    if (!t->out->place.is_kept || t->has_own_reasoning || has_own_parts(message, &has_marks) ||
        !memory_key_of_message(t->policy->memory->key, siphash_end(&t->conversation), message,
                               &key))
        return true;
    yyjson_val *content = look_up(t, key);
    if (!content && memory_is_of_upstream(message)) {
        t->out->unremembered++;
        return report(t, NOT_REMEMBERED);
    }
    if (!has_thinking(content))
        return true; /* nothing is missing */
    if (!replay_is_taken(t))
        return report(t, DROPPED);
    *ret_is_read = !has_marks && own_content_is_list(content) &&
                   own_content_is_said(t->arena, content, message);
    if (!*ret_is_read && !own_content_thinks_first(content))
        return report(t, DROPPED);
    t->out->recalled++;
    return *ret_is_read ? replay_add(t, index, message, content, ret)
                        : add_thoughts(t, index, content, ret);
}

/*
 * Hashes what clients keep of a message whatever they do to its form: texts without blanks, ids of
 * calls in any order, other parts as they are.
 */
#include "translate/memory.h"

#include <string.h>

#include "translate/own_content.h"

#define UPSTREAM_ID "toolu_"
#define RUN_BYTES   512

/* Keeps what is hashed apart: none of these stands in a text without blanks. */
#define BEHIND_ROLE    STR("\n")
#define BEFORE_PART    STR("\t")
#define BEFORE_CALL    STR("\v")
#define BEFORE_RESULT  STR("\f")
#define BEHIND_MESSAGE STR("\r")

/* In runs: the texts of a conversation are most of what is hashed. */
static void add_text(struct siphash *to, struct str text)
{
    char run[RUN_BYTES];
    for (size_t i = 0; i < text.n;) {
        size_t n = 0;
        for (; i < text.n && n < sizeof(run); i++) {
            run[n] = text.p[i];
            n += (unsigned char)text.p[i] > ' '; /* controls are as good as blank */
        }
        siphash_add(to, (struct str){run, n});
    }
}

/* Marks move along a conversation and say nothing. */
static bool is_mark(struct str name)
{
    return str_eq(name, STR("cache_control")) || str_eq(name, STR("prompt_cache_breakpoint"));
}

static void add_value(struct siphash *to, yyjson_val *v)
{
    size_t i, n;
    yyjson_val *key, *member;
    siphash_add(to, BEFORE_PART);
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, i, n, key, member)
        {
            if (is_mark(json_str(key)))
                continue;
            siphash_add(to, json_str(key));
            add_value(to, member);
        }
    }
    yyjson_arr_foreach(v, i, n, member)
    {
        add_value(to, member);
    }
    siphash_add(to, yyjson_is_str(v) ? json_str(v) : json_number_text(v));
}

static void add_content(struct siphash *to, yyjson_val *content)
{
    size_t i, n;
    yyjson_val *part;
    if (yyjson_is_str(content))
        add_text(to, json_str(content));
    yyjson_arr_foreach(content, i, n, part)
    {
        yyjson_val *text = json_get(part, "text");
        if (yyjson_is_str(text))
            add_text(to, json_str(text));
        else if (!own_content_is_thought(part))
            add_value(to, part);
    }
}

void memory_add_message(struct siphash *conversation, yyjson_val *message)
{
    size_t i, n;
    yyjson_val *call, *calls = json_get(message, "tool_calls");
    siphash_add(conversation, json_str(json_get(message, "role")));
    siphash_add(conversation, BEHIND_ROLE);
    add_content(conversation, json_get(message, "content"));
    yyjson_arr_foreach(calls, i, n, call)
    {
        siphash_add(conversation, BEFORE_CALL);
        siphash_add(conversation, json_str(json_get(call, "id")));
    }
    siphash_add(conversation, BEFORE_RESULT);
    siphash_add(conversation, json_str(json_get(message, "tool_call_id")));
    siphash_add(conversation, BEHIND_MESSAGE);
}

static struct digest key_of_call(struct siphash_key key, struct str id)
{
    struct siphash s = siphash_begin(key);
    siphash_add(&s, BEFORE_CALL);
    siphash_add(&s, id);
    return siphash_end(&s);
}

static struct siphash begin_text(struct siphash_key key, struct digest conversation)
{
    struct siphash s = siphash_begin(key);
    siphash_add(&s, (struct str){(const char *)&conversation, sizeof(conversation)});
    return s;
}

static bool is_smaller(struct str a, struct str b)
{
    const int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order < 0 || (order == 0 && a.n < b.n);
}

/* The smallest of the ids, so that their order does not count. */
static void take_id(struct str *smallest, struct str id)
{
    if (id.n && (smallest->n == 0 || is_smaller(id, *smallest)))
        *smallest = id;
}

static struct str id_of_message(yyjson_val *message)
{
    struct str id = {0};
    size_t i, n;
    yyjson_val *call, *calls = json_get(message, "tool_calls");
    yyjson_val *part, *content = json_get(message, "content");
    yyjson_arr_foreach(calls, i, n, call)
    {
        take_id(&id, json_str(json_get(call, "id")));
    }
    yyjson_arr_foreach(content, i, n, part)
    {
        if (own_content_is(part, "tool_use"))
            take_id(&id, json_str(json_get(part, "id")));
    }
    return id;
}

bool memory_key_of_message(struct siphash_key key, struct digest conversation, yyjson_val *message,
                           struct digest *ret)
{
    const struct str id = id_of_message(message);
    yyjson_val *calls = json_get(message, "tool_calls"), *content = json_get(message, "content");
    if (id.n) {
        *ret = key_of_call(key, id);
        return true;
    }
    struct siphash s = begin_text(key, conversation);
    const size_t before = s.n;
    size_t i, n;
    yyjson_val *part;
    if (yyjson_is_str(content))
        add_text(&s, json_str(content));
    yyjson_arr_foreach(content, i, n, part)
    {
        add_text(&s, json_str(json_get(part, "text")));
    }
    *ret = siphash_end(&s);
    return s.n > before && yyjson_arr_size(calls) == 0 && !json_get(message, "function_call");
}

bool memory_key_of_content(struct siphash_key key, struct digest conversation, yyjson_val *content,
                           struct digest *ret)
{
    struct siphash s = begin_text(key, conversation);
    const size_t before = s.n;
    struct str id = {0};
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block)
    {
        if (own_content_is(block, "text"))
            add_text(&s, json_str(json_get(block, "text")));
        if (own_content_is_for_client(content, block))
            take_id(&id, json_str(json_get(block, "id")));
    }
    *ret = id.n ? key_of_call(key, id) : siphash_end(&s);
    return id.n || s.n > before;
}

bool memory_is_of_upstream(yyjson_val *message)
{
    return str_starts(id_of_message(message), STR(UPSTREAM_ID));
}

/*
 * Compares blocks with flat fields, forgiving what clients do to the form of a message.
 */
#include "translate/own_content.h"

#include "translate/carrier.h"
#include "translate/text.h"

bool own_content_is_list(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!json_str(json_get(block, "type")).n)
            return false;
    }
    return yyjson_is_arr(content) && yyjson_arr_size(content) > 0 &&
           yyjson_arr_size(content) <= OWN_BLOCKS_MAX;
}

bool own_content_is(yyjson_val *block, const char *type)
{
    return str_eq(json_str(json_get(block, "type")), str_of(type));
}

bool own_content_is_thought(yyjson_val *block)
{
    return own_content_is(block, "thinking") || own_content_is(block, "redacted_thinking");
}

bool own_content_is_direct(yyjson_val *block)
{
    struct str caller = json_str(json_get(json_get(block, "caller"), "type"));
    return caller.n == 0 || str_eq(caller, STR("direct"));
}

bool own_content_has_result(yyjson_val *content, struct str id)
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

bool own_content_is_for_client(yyjson_val *content, yyjson_val *block)
{
    return own_content_is(block, "tool_use") &&
           (own_content_is_direct(block) ||
            !own_content_has_result(content,
                                    json_str(json_get(json_get(block, "caller"), "tool_id"))));
}

bool own_content_thinks_first(yyjson_val *content)
{
    size_t i, max;
    yyjson_val *block;
    bool is_begun = false;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (is_begun && own_content_is_thought(block))
            return false;
        is_begun |= !own_content_is_thought(block);
    }
    return true;
}

/* Texts ----------------------------------------------------------------------------------- */

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
            const char c = l->text.p[0];
            l->text = (struct str){l->text.p + 1, l->text.n - 1};
            if (!text_is_blank_char(c))
                return (unsigned char)c;
        }
        yyjson_val *part = yyjson_arr_iter_next(&l->parts);
        if (!part)
            return -1;
        if (own_content_is(part, "text"))
            l->text = json_str(json_get(part, "text"));
    }
}

static bool is_same_text(yyjson_val *content, yyjson_val *flat)
{
    struct letters a = {.parts = yyjson_arr_iter_with(content)};
    struct letters b = {.text = json_str(flat), .parts = yyjson_arr_iter_with(flat)};
    for (;;) {
        const int c = next_letter(&a);
        if (c != next_letter(&b))
            return false;
        if (c < 0)
            return true;
    }
}

/* Calls ----------------------------------------------------------------------------------- */

static bool is_empty_input(yyjson_val *input)
{
    return !input || (yyjson_is_obj(input) && yyjson_obj_size(input) == 0);
}

/* Arguments that are JSON in a string; nothing at all means none. */
static bool is_same_json(struct arena *arena, yyjson_val *input, struct str text)
{
    struct json_error err = {0};
    text = str_trim(text);
    if (text.n == 0)
        return is_empty_input(input);
    yyjson_doc *doc = json_parse(text, &err);
    arena->failed |= !doc && err.is_memory;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_same = yyjson_is_null(root) ? is_empty_input(input) : json_is_same(root, input);
    yyjson_doc_free(doc);
    return is_same;
}

static bool is_same_input(struct arena *arena, yyjson_val *block, yyjson_val *call)
{
    yyjson_val *input = json_get(block, "input"), *custom = json_get(call, "custom");
    if (custom)
        return json_is_same(json_get(input, "input"), json_get(custom, "input"));
    yyjson_val *arguments = json_get(json_get(call, "function"), "arguments");
    if (!arguments || yyjson_is_str(arguments))
        return is_same_json(arena, input, json_str(arguments));
    return json_is_same(input, arguments);
}

static yyjson_val *find_call(yyjson_val *calls, struct str id)
{
    size_t i, max;
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, max, call)
    {
        if (str_eq(json_str(json_get(call, "id")), id))
            return call;
    }
    return NULL;
}

/* Calls of a program may have been answered before the client heard of them. */
static bool is_same_calls(struct arena *arena, yyjson_val *content, yyjson_val *calls)
{
    const size_t n_calls = yyjson_is_arr(calls) ? yyjson_arr_size(calls) : 0;
    size_t i, max, n_known = 0;
    yyjson_val *block;
    if (n_calls > OWN_BLOCKS_MAX)
        return false;
    yyjson_arr_foreach(content, i, max, block)
    {
        if (!own_content_is(block, "tool_use"))
            continue;
        yyjson_val *call = find_call(calls, json_str(json_get(block, "id")));
        if (call ? !is_same_input(arena, block, call) : own_content_is_direct(block))
            return false;
        n_known += call != NULL;
    }
    return n_known == n_calls;
}

bool own_content_is_said(struct arena *arena, yyjson_val *content, yyjson_val *message)
{
    return !json_get(message, "function_call") &&
           is_same_text(content, json_get(message, "content")) &&
           is_same_calls(arena, content, json_get(message, "tool_calls"));
}

/*
 * messages: the shape of each, then the order of turns - tool calls and their results, system
 * messages in between, how a conversation may end.
 */
#include <stdio.h>

#include "sim/validate_part.h"
#include "sim/wire.h"

#define MESSAGES_MAX 100000
#define TURN_IDS_MAX 256 /* tool calls in one turn: pairs are compared, this bounds the work */

static bool is_role(yyjson_val *message, const char *role)
{
    return str_eq(json_str(yyjson_obj_get(message, "role")), str_of(role));
}

static bool check_content(struct check *c, size_t i, yyjson_val *content, struct str role,
                          bool is_last)
{
    bool may_be_empty = is_last && str_eq(role, STR("assistant"));
    size_t n = yyjson_is_str(content) ? yyjson_get_len(content) : yyjson_arr_size(content);
    if (!yyjson_is_str(content) && !yyjson_is_arr(content))
        return bad(c, "messages.%zu.content: Input should be a valid string or list", i);
    if (n == 0 && !may_be_empty)
        return bad(c,
                   "messages.%zu: all messages must have non-empty content except for the optional "
                   "final assistant message",
                   i);
    if (yyjson_is_str(content)) {
        if (n > 0 && str_trim(json_str(content)).n == 0)
            return bad(c, "messages: text content blocks must contain non-whitespace text");
        return true;
    }
    bool has_more_than_blanks = n == 0;
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    for (size_t k = 0; (block = yyjson_arr_iter_next(&it)); k++) {
        char path[64];
        snprintf(path, sizeof(path), "messages.%zu.content.%zu", i, k);
        if (!check_block(c, path, block, role))
            return false;
        struct str text = json_str(yyjson_obj_get(block, "text"));
        has_more_than_blanks |= !text.p || str_trim(text).n > 0;
    }
    if (!has_more_than_blanks)
        return bad(c, "messages: text content blocks must contain non-whitespace text");
    return true;
}

static bool check_message(struct check *c, size_t i, yyjson_val *message, bool is_last)
{
    if (!yyjson_is_obj(message))
        return bad(
            c, "messages.%zu: Input should be a valid dictionary or object to extract fields from",
            i);
    yyjson_val *role_val = yyjson_obj_get(message, "role");
    yyjson_val *content = yyjson_obj_get(message, "content");
    struct str role = json_str(role_val);
    if (!role_val)
        return bad(c, "messages.%zu.role: Field required", i);
    if (!wire_message(role))
        return bad(
            c, "messages: Unexpected role \"%.*s\". Allowed roles are \"user\" or \"assistant\"",
            STR_ARG(check_key(role_val)));
    if (!content)
        return bad(c, "messages.%zu.content: Field required", i);
    char path[32];
    snprintf(path, sizeof(path), "messages.%zu", i);
    if (!wire_check_fields(c, path, message, wire_message(role), "content"))
        return false;
    return check_content(c, i, content, role, is_last);
}

bool check_messages(struct check *c, yyjson_val *messages)
{
    if (!yyjson_is_arr(messages))
        return bad(c, "messages: Input should be a valid list");
    size_t n = yyjson_arr_size(messages);
    if (n == 0)
        return bad(c, "messages: at least one message is required");
    if (n > MESSAGES_MAX)
        return bad(c, "messages: List should have at most %d items after validation, not %zu",
                   MESSAGES_MAX, n);
    yyjson_val *message;
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    for (size_t i = 0; (message = yyjson_arr_iter_next(&it)); i++)
        if (!check_message(c, i, message, i + 1 == n))
            return false;
    return true;
}

/* The tool calls of the assistant turn that came last, and which of them have their result. */
struct turn {
    struct str ids[TURN_IDS_MAX];
    bool is_answered[TURN_IDS_MAX];
    size_t n_ids;
    size_t message;         /* index of the turn's last assistant message */
    bool has_text_behind;   /* text after a tool call: the call counts as unanswered */
    bool has_other_content; /* of the user turn: something that is no tool_result came */
};

static bool unanswered(struct check *c, const struct turn *t)
{
    char ids[512];
    size_t at = 0;
    ids[0] = '\0';
    for (size_t i = 0; i < t->n_ids && at + 80 < sizeof(ids); i++)
        if (!t->is_answered[i])
            at += (size_t)snprintf(ids + at, sizeof(ids) - at, "%s%.*s", at ? ", " : "",
                                   t->ids[i].n < 64 ? (int)t->ids[i].n : 64, t->ids[i].p);
    return bad(
        c,
        "messages.%zu: `tool_use` ids were found without `tool_result` blocks immediately after: "
        "%s. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message.",
        t->message, ids);
}

static bool all_answered(const struct turn *t)
{
    for (size_t i = 0; i < t->n_ids; i++)
        if (!t->is_answered[i])
            return false;
    return true;
}

/* A call from code that ran upstream, whose result is there: nobody is to answer it. */
static bool is_answered_upstream(yyjson_val *content, yyjson_val *call)
{
    yyjson_val *caller = yyjson_obj_get(call, "caller"), *block;
    struct str type = json_str(yyjson_obj_get(caller, "type"));
    struct str id = json_str(yyjson_obj_get(caller, "tool_id"));
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    if (id.n == 0 || str_eq(type, STR("direct")))
        return false;
    while ((block = yyjson_arr_iter_next(&it)))
        if (str_eq(json_str(yyjson_obj_get(block, "tool_use_id")), id))
            return true;
    return false;
}

/* The code that made a call stands in front of it. */
static bool check_caller(struct check *c, size_t i, size_t k, yyjson_val *content, yyjson_val *call)
{
    struct str id = json_str(json_get(json_get(call, "caller"), "tool_id"));
    yyjson_val *block;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    if (!id.p)
        return true;
    while ((block = yyjson_arr_iter_next(&it)) && block != call)
        if (str_eq(json_str(yyjson_obj_get(block, "id")), id) &&
            str_eq(json_str(yyjson_obj_get(block, "type")), STR("server_tool_use")))
            return true;
    if (id.n > 64)
        id.n = 64;
    return bad(c,
               "messages.%zu.content.%zu: `caller.tool_id` does not refer to a `server_tool_use` "
               "block in this message: %.*s",
               i, k, STR_ARG(id));
}

static bool take_assistant(struct check *c, struct turn *t, size_t i, yyjson_val *message,
                           bool continues)
{
    if (!continues) {
        if (!all_answered(t))
            return unanswered(c, t);
        t->n_ids = 0;
        t->has_text_behind = false;
    }
    t->message = i;
    t->has_other_content = false;
    yyjson_val *content = yyjson_obj_get(message, "content"), *block;
    if (yyjson_is_str(content))
        t->has_text_behind |= t->n_ids > 0;
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    for (size_t k = 0; (block = yyjson_arr_iter_next(&it)); k++) {
        struct str type = json_str(yyjson_obj_get(block, "type"));
        if (str_eq(type, STR("text")))
            t->has_text_behind |= t->n_ids > 0;
        if (!str_eq(type, STR("tool_use")))
            continue;
        if (!check_caller(c, i, k, content, block))
            return false;
        if (is_answered_upstream(content, block))
            continue;
        struct str id = json_str(yyjson_obj_get(block, "id"));
        for (size_t j = 0; j < t->n_ids; j++)
            if (str_eq(t->ids[j], id))
                return bad(c, "messages.%zu.content.%zu: `tool_use` ids must be unique", i, k);
        if (t->n_ids == TURN_IDS_MAX)
            return bad(c, "messages.%zu: too many `tool_use` blocks", i);
        t->ids[t->n_ids] = id;
        t->is_answered[t->n_ids++] = false;
    }
    return true;
}

static bool take_result(struct check *c, struct turn *t, size_t i, size_t k, struct str id)
{
    size_t j = 0;
    while (j < t->n_ids && !str_eq(t->ids[j], id))
        j++;
    if (j < t->n_ids && !t->is_answered[j]) {
        t->is_answered[j] = true;
        return true;
    }
    if (id.n > 64)
        id.n = 64; /* enough to recognise it by */
    if (j < t->n_ids)
        return bad(
            c,
            "messages.%zu.content.%zu: each tool_use must have a single result. Found multiple "
            "`tool_result` blocks with id: %.*s",
            i, k, STR_ARG(id));
    return bad(
        c,
        "messages.%zu.content.%zu: unexpected `tool_use_id` found in `tool_result` blocks: %.*s. "
        "Each `tool_result` block must have a corresponding `tool_use` block in the previous "
        "message.",
        i, k, STR_ARG(id));
}

static bool take_user(struct check *c, struct turn *t, size_t i, yyjson_val *message)
{
    yyjson_val *content = yyjson_obj_get(message, "content"), *block;
    if (t->has_text_behind)
        return unanswered(c, t);
    if (yyjson_is_str(content))
        return all_answered(t) || unanswered(c, t);
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    for (size_t k = 0; (block = yyjson_arr_iter_next(&it)); k++) {
        if (!str_eq(json_str(yyjson_obj_get(block, "type")), STR("tool_result"))) {
            t->has_other_content = true;
            continue;
        }
        if (t->has_other_content)
            return unanswered(c, t);
        if (!take_result(c, t, i, k, json_str(yyjson_obj_get(block, "tool_use_id"))))
            return false;
    }
    return !t->has_other_content || all_answered(t) || unanswered(c, t);
}

static yyjson_val *last_block(yyjson_val *message)
{
    return yyjson_arr_get_last(yyjson_obj_get(message, "content"));
}

/* An assistant turn that a server's tool has answered: a system message may follow it. */
static bool ends_in_server_result(yyjson_val *message)
{
    return str_ends(json_str(yyjson_obj_get(last_block(message), "type")), STR("_tool_result"));
}

/* A system message stands behind a user turn, and in front of an assistant turn or at the end. */
static bool check_system_place(struct check *c, size_t i, yyjson_val *before, yyjson_val *after)
{
    if (!c->model->cls->takes_system_role)
        return bad(c, "role 'system' is not supported on this model");
    if (!before || (is_role(before, "assistant") && !ends_in_server_result(before)))
        return bad(c, "messages.%zu: role 'system' must immediately follow a user turn", i);
    if (after && is_role(after, "user"))
        return bad(
            c, "messages.%zu: role 'system' must precede an assistant turn or end the conversation",
            i);
    return true;
}

static struct str last_text(yyjson_val *message)
{
    yyjson_val *content = yyjson_obj_get(message, "content");
    return yyjson_is_str(content) ? json_str(content)
                                  : json_str(yyjson_obj_get(last_block(message), "text"));
}

/* The conversation ends with an assistant message: the answer is to continue it. */
static bool check_prefill(struct check *c, yyjson_val *last)
{
    if (str_eq(json_str(yyjson_obj_get(last_block(last), "type")), STR("server_tool_use")))
        return true; /* a paused turn that is resumed */
    if (!c->model->cls->takes_prefill)
        return bad(
            c, "This model does not support assistant message prefill. The conversation must end "
               "with a user message.");
    if (json_get(json_get(c->root, "output_config"), "format"))
        return bad(c, "output_config.format: Prefilling assistant messages is not supported with "
                      "structured outputs.");
    struct str thinking = json_str(json_get(json_get(c->root, "thinking"), "type"));
    if (str_eq(thinking, STR("enabled")))
        return bad(
            c,
            "messages: Prefilling assistant messages is not supported when thinking is enabled.");
    struct str text = last_text(last);
    if (text.n && str_trim((struct str){text.p + text.n - 1, 1}).n == 0)
        return bad(c, "messages: final assistant content cannot end with trailing whitespace");
    return true;
}

/* With manual thinking the turn whose tools were just answered begins with its thinking. */
static bool check_thinking_first(struct check *c, size_t i, yyjson_val *message)
{
    struct str thinking = json_str(json_get(json_get(c->root, "thinking"), "type"));
    yyjson_val *content = yyjson_obj_get(message, "content");
    struct str first = json_str(yyjson_obj_get(yyjson_arr_get_first(content), "type"));
    struct str last = json_str(yyjson_obj_get(yyjson_arr_get_last(content), "type"));
    if (!str_eq(thinking, STR("enabled")) || !str_eq(last, STR("tool_use")) ||
        is_in_list("thinking redacted_thinking", first))
        return true;
    return bad(c,
               "messages.%zu.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
               "`%.*s`. When `thinking` is enabled, a final `assistant` message must start with a "
               "thinking block (preceeding the lastmost set of `tool_use` and `tool_result` "
               "blocks). To avoid this requirement, disable `thinking`.",
               i, STR_ARG(first));
}

bool check_turns(struct check *c, yyjson_val *messages)
{
    struct turn turn = {0}, *t = &turn;
    yyjson_val *before = NULL, *turn_role = NULL, *message;
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    message = yyjson_arr_iter_next(&it);
    for (size_t i = 0; message; i++) {
        yyjson_val *after = yyjson_arr_iter_next(&it);
        if (is_role(message, "system")) {
            if (!check_system_place(c, i, before, after))
                return false;
        } else if (is_role(message, "assistant")) {
            bool continues = turn_role && is_role(turn_role, "assistant");
            if (!take_assistant(c, t, i, message, continues))
                return false;
            turn_role = message;
        } else {
            if (!take_user(c, t, i, message))
                return false;
            turn_role = message;
        }
        before = message;
        message = after;
    }
    if (!all_answered(t))
        return unanswered(c, t);
    if (t->n_ids > 0 && turn_role && is_role(turn_role, "user") &&
        !check_thinking_first(c, t->message, yyjson_arr_get(messages, t->message)))
        return false;
    return !is_role(before, "assistant") || check_prefill(c, before);
}

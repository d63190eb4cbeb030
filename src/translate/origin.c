/*
 * Writes down, while the request is translated, what the client called what the upstream will see.
 */
#include "translate/origin.h"

#include "translate/translation.h"

/* Whether the content alone makes the blocks of a message. */
static bool is_content_all(yyjson_val *message)
{
    static const struct str others[] = {STR("tool_calls"),        STR("function_call"),
                                        STR("refusal"),           STR("reasoning"),
                                        STR("reasoning_content"), STR("reasoning_details")};
    yyjson_val *other[PX_ARRAY_LEN(others)];
    json_get_all(message, others, PX_ARRAY_LEN(others), other);
    for (size_t i = 0; i < PX_ARRAY_LEN(others); i++) {
        yyjson_val *v = other[i];
        if (v && !(yyjson_is_arr(v) && yyjson_arr_size(v) == 0))
            return false;
    }
    struct str role = json_str(json_get(message, "role"));
    return !str_eq(role, STR("tool")) && !str_eq(role, STR("function"));
}

struct origin origin_of(size_t index, yyjson_val *message)
{
    yyjson_val *content = json_get(message, "content");
    struct origin o = {.message = (uint32_t)index + 1};
    if (!is_content_all(message))
        return o;
    if (yyjson_is_arr(content))
        o.parts = (uint32_t)yyjson_arr_size(content);
    o.is_text = yyjson_is_str(content);
    return o;
}

/* The origin that all blocks of a turn have; none where they disagree. */
static struct origin origin_of_turn(const struct turn *turn)
{
    struct origin o = {0};
    uint32_t n = 0;
    bool may_be_moved = false; /* calls come last in a turn, results first */
    for (const struct block *b = turn->blocks.first; b; b = b->next, n++) {
        may_be_moved |= b->kind == BLOCK_TOOL_USE || b->kind == BLOCK_TOOL_RESULT;
        if (b->origin.message == 0) /* ours */
            continue;
        if (o.message != 0 && b->origin.message != o.message)
            return (struct origin){0};
        o = b->origin;
    }
    if (o.parts != n || may_be_moved) /* some said nothing, or others were added */
        o.parts = 0;
    o.is_text = o.is_text && n == 1;
    return o;
}

bool origins_settle(struct translation *t)
{
    size_t n = 0;
    for (const struct turn *turn = t->turns; turn; turn = turn->next)
        n++;
    struct client_names *names = arena_alloc(t->arena, sizeof(*names));
    struct origin *origins = arena_alloc(t->arena, (n ? n : 1) * sizeof(*origins));
    if (!names || !origins)
        return refuse_memory(t);
    names->messages = origins;
    names->n_messages = n;
    for (const struct turn *turn = t->turns; turn; turn = turn->next)
        *origins++ = origin_of_turn(turn);
    names->max_tokens =
        t->field[FIELD_max_completion_tokens] ? "max_completion_tokens" : "max_tokens";
    names->user = t->field[FIELD_safety_identifier] ? "safety_identifier" : "user";
    t->out->names = names;
    return true;
}

/*
 * The table of stop reasons.
 */
#include "translate/finish.h"

enum stop_reason finish_read(struct str stop_reason)
{
    static const struct {
        struct str name;
        enum stop_reason reason;
    } names[] = {
        {{"end_turn", 8}, STOP_END_TURN},
        {{"stop_sequence", 13}, STOP_SEQUENCE},
        {{"max_tokens", 10}, STOP_MAX_TOKENS},
        {{"tool_use", 8}, STOP_TOOL_USE},
        {{"refusal", 7}, STOP_REFUSAL},
        {{"model_context_window_exceeded", 29}, STOP_CONTEXT_WINDOW},
        {{"pause_turn", 10}, STOP_PAUSE_TURN},
        {{"compaction", 10}, STOP_END_TURN}, /* asked for by context_management */
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (str_eq(stop_reason, names[i].name))
            return names[i].reason;
    return STOP_UNKNOWN;
}

const char *finish_reason(enum stop_reason reason, bool has_content, bool has_calls)
{
    const char *ended = has_calls ? "tool_calls" : "stop";
    switch (reason) {
    case STOP_MAX_TOKENS:
    case STOP_CONTEXT_WINDOW:
        return "length";
    case STOP_REFUSAL:
        return "content_filter";
    case STOP_END_TURN:
    case STOP_SEQUENCE:
    case STOP_TOOL_USE:
    case STOP_PAUSE_TURN:
        return ended;
    case STOP_NONE:
    case STOP_UNKNOWN:
        break;
    }
    return has_content || has_calls ? ended : "length";
}

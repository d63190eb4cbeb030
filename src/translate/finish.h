/*
 * Why an answer ended: Anthropic's stop_reason -> OpenAI's finish_reason.
 */
#ifndef TRANSLATE_FINISH_H
#define TRANSLATE_FINISH_H

#include <stdbool.h>

#include "base/str.h"

enum stop_reason {
    STOP_NONE, /* not said (yet) */
    STOP_END_TURN,
    STOP_SEQUENCE,
    STOP_MAX_TOKENS,
    STOP_TOOL_USE,
    STOP_REFUSAL,
    STOP_CONTEXT_WINDOW,
    STOP_PAUSE_TURN,
    STOP_UNKNOWN /* a reason that did not exist when this was written */
};

enum stop_reason finish_read(struct str stop_reason);
/*
 * Static text. "tool_calls" only when tool calls were given to the client, and "stop" never then:
 * agents decide by it whether to go on.
 */
const char *finish_reason(enum stop_reason reason, bool has_content, bool has_calls);

#endif

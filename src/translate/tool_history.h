/*
 * Tool calls of the past and their results. The upstream wants every call of an assistant turn
 * answered at the beginning of the user turn behind it, once each and by nothing else; clients send
 * less, more and otherwise. What is mended is reported.
 */
#ifndef TRANSLATE_TOOL_HISTORY_H
#define TRANSLATE_TOOL_HISTORY_H

#include "translate/block.h"

/* The calls of the assistant turn that came last, and what has come for them. Made when needed. */
struct tool_history;

/* `tool_calls` and `function_call` of assistant message `index` -> blocks behind `to`. */
bool tool_history_read_calls(struct translation *t, size_t index, yyjson_val *message,
                             struct blocks *to);
/* The calls among these blocks of an assistant turn get their ids and wait for their results. */
bool tool_history_open(struct translation *t, struct blocks *blocks);
/* A `tool` or `function` message. What answers no open call goes to `user`, as text. */
bool tool_history_read_result(struct translation *t, size_t index, yyjson_val *message,
                              bool is_function, struct blocks *user);

struct content_part;
/* Anthropic's blocks in the same places: `tool_use` of an assistant, `tool_result` of a user. */
bool tool_history_read_own_call(struct translation *t, const struct content_part *p);
bool tool_history_read_own_result(struct translation *t, const struct content_part *p);

/* Whether calls are open, and whether any of them has its result. */
bool tool_history_is_open(const struct translation *t);
bool tool_history_has_results(const struct translation *t);
/* The user turn begins: results in the order of the calls, missing ones made up. Closes them. */
bool tool_history_settle(struct translation *t, struct blocks *to);

#endif

/*
 * Reasoning that a client sends back on an assistant message, in the shapes in which answers carry
 * it (thinking_blocks, reasoning_details, content_blocks, content parts) -> the upstream's blocks,
 * exactly as they were. What cannot be one of them is left out and listed.
 */
#ifndef TRANSLATE_REPLAY_H
#define TRANSLATE_REPLAY_H

#include "translate/translation.h"

/*
 * Appends the reasoning blocks of message `index`, which go before its text and calls. The first
 * field that holds any wins: the others say the same. Content parts of the kind are then skipped by
 * replay_part.
 */
bool replay_read(struct translation *t, size_t index, yyjson_val *message, struct blocks *ret);
/*
 * The copy of a whole content that an answer carried, where the message still says the same:
 * *ret_is_read, and nothing else of the message is to be read.
 */
bool replay_read_content(struct translation *t, size_t index, yyjson_val *message,
                         struct blocks *ret, bool *ret_is_read);
/* A content as JSON, kept until the request is written; NULL when it is none. */
yyjson_val *replay_parse(struct translation *t, struct str json);
/* Appends the blocks of `content` in place of all that message `index` says. */
bool replay_add(struct translation *t, size_t index, yyjson_val *message, yyjson_val *content,
                struct blocks *to);
/* Whether the model takes thinking: one that cannot think takes none back. */
bool replay_is_taken(const struct translation *t);
/* A content part of type thinking or redacted_thinking, in its place. */
bool replay_part(struct translation *t, size_t index, yyjson_val *part, struct blocks *ret);

#endif

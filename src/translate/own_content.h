/*
 * An assistant's content as the upstream wrote it, a JSON array of its blocks, and whether a
 * client's message still says the same.
 */
#ifndef TRANSLATE_OWN_CONTENT_H
#define TRANSLATE_OWN_CONTENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "json/json.h"

/* Answers have dozens of blocks; walks over them may be quadratic. */
#define OWN_BLOCKS_MAX 512

bool own_content_is_list(yyjson_val *content);
bool own_content_is(yyjson_val *block, const char *type);
bool own_content_is_thought(yyjson_val *block);
/* Whether the model called the tool, not a program that it wrote. */
bool own_content_is_direct(yyjson_val *block);
/*
 * Whether the block is a call that the client answers: not one of a program that went on upstream,
 * having its answer.
 */
bool own_content_is_for_client(yyjson_val *content, yyjson_val *block);
/* Whether a block of `content` is the result of the call `id`. */
bool own_content_has_result(yyjson_val *content, struct str id);
/* Whether all thinking stands in front of all else. */
bool own_content_thinks_first(yyjson_val *content);
/*
 * Whether the message has the same text, blanks aside, and the same calls with the same arguments,
 * in whatever order. Where there was no memory to tell, arena->failed.
 */
bool own_content_is_said(struct arena *arena, yyjson_val *content, yyjson_val *message);

#endif

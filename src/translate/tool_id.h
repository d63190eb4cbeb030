/*
 * Ids of tool calls. The upstream takes letters, digits, "_" and "-"; clients also send others.
 */
#ifndef TRANSLATE_TOOL_ID_H
#define TRANSLATE_TOOL_ID_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* A hash that is the same on every machine and for ever: it is part of ids. */
uint32_t tool_id_hash(struct str s);
/*
 * The upstream's form of an id: the same text wherever it stands, by reference where it is fine.
 * .p is NULL without memory.
 */
struct str tool_id_upstream(struct arena *arena, struct str client_id);

#endif

/*
 * Names of tools. The upstream takes letters, digits, "_" and "-", 64 at most, each name once;
 * clients send others. Each name of theirs gets one that the upstream takes, the same one in
 * definitions, history and tool_choice and in every turn, and answers get the client's back.
 */
#ifndef TRANSLATE_TOOL_NAME_H
#define TRANSLATE_TOOL_NAME_H

#include <stdbool.h>

#include "base/str.h"

struct translation;

/* The pairs of one request, in its arena. NULL where a request names no tool. */
struct tool_names;

/* Whether the upstream takes the name as it is. */
bool tool_name_is_fine(struct str name);
/*
 * The upstream's name for a tool of the client's; remembers the pair. It lives in the arena.
 * {NULL, 0}: refused, the error is filled. A fine name stays as it is unless another tool has it
 * already, so fine ones are to be asked for first.
 */
struct str tool_name_upstream(struct translation *t, struct str client_name) PX_MUST_CHECK;
/* Whether the client named this tool before; whether no tool has this name upstream. */
bool tool_name_is_known(const struct tool_names *names, struct str client_name);
bool tool_name_is_free(const struct tool_names *names, struct str upstream_name);
/* Keeps a name from the client's tools: a tool of the upstream's own has it. */
bool tool_name_reserve(struct translation *t, struct str upstream_name) PX_MUST_CHECK;
/* The tool of this upstream name is a custom one, whose input is text. */
void tool_name_set_custom(struct tool_names *names, struct str upstream_name);

/* Whether this is the first time that it is asked of this name, which the request has. */
bool tool_name_is_new(struct tool_names *names, struct str upstream_name);

/* The client's name of a tool; `upstream_name` itself where nothing else is known. */
struct str tool_name_client(const struct tool_names *names, struct str upstream_name);
bool tool_name_is_custom(const struct tool_names *names, struct str upstream_name);

#endif

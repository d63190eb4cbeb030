/*
 * The kinds of content blocks that an answer may be told to have: how each is named in a directive,
 * how it looks, which of them are calls of Anthropic's own tools and what those bring.
 */
#ifndef SIM_BLOCK_H
#define SIM_BLOCK_H

#include "base/str.h"

enum block_kind { /* in the order of the names in docs/simulator.md */
                  BLOCK_TEXT,
                  BLOCK_EMPTY, /* a text block without deltas */
                  BLOCK_THINK,
                  BLOCK_REDACTED,
                  BLOCK_SEARCH, /* server_tool_use */
                  BLOCK_RESULT, /* web_search_tool_result */
                  BLOCK_TOOL,
                  BLOCK_CITED,   /* a text block with a citation */
                  BLOCK_UNKNOWN, /* of a type that nobody knows yet */
                  BLOCK_FETCH,
                  BLOCK_FETCHED,
                  BLOCK_CODE,
                  BLOCK_OUTPUT,
                  BLOCK_BASH,
                  BLOCK_SHELL,
                  BLOCK_EDIT,
                  BLOCK_EDITED,
                  BLOCK_LOOKUP,
                  BLOCK_FOUND,
                  BLOCK_MCP,
                  BLOCK_ANSWERED,
                  BLOCK_UPLOAD,
                  BLOCK_COMPACTION,
                  BLOCK_FALLBACK,
                  BLOCK_KINDS
};

enum block_shape {
    BLOCK_IS_TEXT,     /* in text deltas */
    BLOCK_IS_THINKING, /* in thinking deltas */
    BLOCK_IS_CALL,     /* with an input, in pieces of JSON */
    BLOCK_IS_RESULT,   /* of the call in front: whole at its start */
    BLOCK_IS_WHOLE,    /* whole at its start, or in the one delta in front */
};

struct block_form {
    const char *name; /* in the directive */
    enum block_shape shape;
    const char *type;  /* as the block says it */
    const char *tool;  /* that a call names, that a result comes from */
    const char *input; /* of a call, as JSON; NULL = the prompt as "query" */
    const char *body;  /* a result's content; the other fields of a whole block. JSON */
    const char *more;  /* fields behind those, JSON with a comma in front */
};

const struct block_form *block_form(enum block_kind kind);
/* BLOCK_KINDS when no block is called so. */
enum block_kind block_find(struct str name);
/* The call of a tool that Anthropic runs; BLOCK_KINDS when it is none of those. */
enum block_kind block_call_of(struct str tool);
/* The result that a call of this tool brings; BLOCK_KINDS when nobody knows. */
enum block_kind block_result_of(struct str tool);

#endif

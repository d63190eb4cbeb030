/*
 * The blocks of the upstream request: what each kind holds, how it is written, what it weighs.
 * Texts and base64 are referenced in the parsed request and copied once, into the body.
 */
#ifndef TRANSLATE_BLOCK_H
#define TRANSLATE_BLOCK_H

#include "translate/translation.h"

enum media_source { SOURCE_BASE64, SOURCE_TEXT, SOURCE_URL, SOURCE_FILE };

/* An image or a document. */
struct media {
    const char *type; /* "image", "document" */
    enum media_source source;
    const char *media_type; /* of base64 and text */
    struct str data;        /* base64, text, a URL or a file's id */
    bool is_referred;       /* the data stays where the client wrote it: not copied */
    size_t written_at;      /* of what is referred to, in the body; 0 = not yet */
    struct media *next_referred;
    struct str title; /* a document's; empty = none */
};

/* A thinking block: the upstream takes it back unchanged or not at all. */
struct thought {
    struct str text, signature;
};

/* How the input of a tool call is to be written; the input is an object in every case. */
enum tool_input {
    INPUT_EMPTY,     /* {} */
    INPUT_JSON,      /* `text` is the object */
    INPUT_VALUE,     /* `value` is the object */
    INPUT_RAW,       /* {"_raw": the JSON in `text`} */
    INPUT_RAW_VALUE, /* {"_raw": `value`} */
    INPUT_INVALID,   /* {"INVALID_JSON": the string `text`} */
    INPUT_CUSTOM,    /* {"input": the string `text`}, what custom tools take */
};

struct tool_use {
    struct str id, name; /* as the upstream takes them */
    enum tool_input input;
    struct str text;
    yyjson_val *value;
    yyjson_val *caller; /* the code that calls, as the upstream said it; NULL = the model */
    struct str toolset; /* the set that the tool is of; empty = none */
    /* What tool_history.c gives the id by. */
    struct str client_id; /* empty: the client gave none */
    size_t message;       /* of the client's messages */
    bool is_function;     /* a function_call, which has no id */
    bool is_own; /* Anthropic's block, which may stand beside the same call in tool_calls */
};

struct tool_result {
    struct str id;
    struct blocks content; /* none: the result has no content */
    bool is_error;
};

/* Thinking takes no cache marker. */
bool block_takes_marker(const struct block *block);
void blocks_write(struct buf *b, const struct blocks *blocks);
/* Adds what the upstream will count for it: bytes of text, and tokens of what is no text. */
void block_weigh(const struct block *block, size_t *bytes, int64_t *tokens);

#endif

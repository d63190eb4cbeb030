/*
 * A piece of an answer on its way from the state machine (answer.c) to one of the two writers
 * (chunk.c, completion.c). Both writers get the same pieces, so both answers say the same.
 */
#ifndef TRANSLATE_PART_H
#define TRANSLATE_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum part_kind {
    PART_TEXT,      /* text: content */
    PART_REASONING, /* text: what the model thought, of reasoning block `index` */
    PART_SIGNATURE, /* text: the signature of reasoning block `index`, whole */
    PART_ENCRYPTED, /* text: the data of a redacted reasoning block, whole */
    PART_CALL,      /* id, name: tool call `index` begins */
    PART_ARGUMENTS, /* text: JSON (or the text) of tool call `index`, cut anywhere */
    PART_CARRIER,   /* text: the content of the whole answer, see carrier.h */
    PART_CITATIONS, /* text: elements of `annotations`, may be none; name: of `citations` */
    PART_REFUSAL    /* text: the explanation, whole; name: the category, may be empty */
};

/* How the client gets a call. */
enum call_form {
    CALL_TOOL,    /* an entry of tool_calls, of a function */
    CALL_CUSTOM,  /* an entry of tool_calls, of a custom tool: its arguments are text */
    CALL_FUNCTION /* legacy: function_call */
};

/* Text, or text that is already what stands between the quotes of a JSON string. */
struct piece {
    struct str s;
    bool is_escaped;
};

struct part {
    enum part_kind kind;
    unsigned index;
    unsigned block; /* texts and reasoning: the block's number among theirs */
    struct piece text;
    struct str id, name;
    struct str extra;    /* PART_CALL: further members as JSON, each behind a comma */
    enum call_form form; /* PART_CALL, PART_ARGUMENTS */
    bool is_apart;       /* PART_TEXT: a new paragraph, PART_SEPARATOR goes in front */
};

/* Between two texts with something else between them; as it stands in a JSON string. */
#define PART_SEPARATOR "\\n\\n"

/* Names the dialect of reasoning_details, so that a client sends them back to the right place. */
#define PART_REASONING_FORMAT "anthropic-claude-v1"

/* What is said of a call: its type, and the names of its two texts. */
extern const struct part_call_words {
    const char *type, *arguments;
} part_call_words[];

/* Appends what stands between the quotes of a JSON string. */
bool piece_write(struct buf *b, struct piece p);
/* Appends the text itself. */
bool piece_read(struct buf *b, struct piece p);
/* What both kinds of answer begin with, from '{' up to the value of "choices". */
bool part_write_head(struct buf *b, const char *object, struct str id, struct str model,
                     int64_t created_unix_s);

#endif

/*
 * The tools of a request: read from every shape in which clients define them, written in the
 * upstream's.
 */
#ifndef TRANSLATE_TOOLS_H
#define TRANSLATE_TOOLS_H

#include "translate/translation.h"

enum tool_kind {
    TOOL_FUNCTION,
    TOOL_CUSTOM,     /* its input is text: a function with one string stands in for it */
    TOOL_WEB_SEARCH, /* OpenAI's web search: the upstream's own stands in for it */
    TOOL_UPSTREAM    /* one of the upstream's own, passed on as it is */
};

struct tool {
    struct tool *next;
    enum tool_kind kind;
    size_t index;                 /* in the client's list */
    yyjson_val *outer;            /* the element of that list, or web_search_options */
    yyjson_val *def;              /* what holds the name: `outer` or a member of it, */
    const char *inner;            /* ".function", ".custom" or "" */
    struct str client_name, name; /* name: the upstream's */
    yyjson_val *schema;           /* of the input; NULL = none */
    bool wants_strict, is_strict;
    bool is_allowed;     /* named in tool_choice.allowed_tools */
    bool is_withheld;    /* not sent: not one of the allowed */
    bool is_union;       /* `schema` is a union at its root */
    struct block marker; /* the cache mark, in t->tool_markers */
};

enum choice_kind { CHOICE_ABSENT, CHOICE_AUTO, CHOICE_NONE, CHOICE_ANY, CHOICE_TOOL };

/* What the client asked for; the last two kinds force a call. */
struct tool_choice {
    enum choice_kind kind;
    const struct tool *tool; /* CHOICE_TOOL */
    const char *param;       /* the field that said so */
    bool is_emulated;        /* the model is told instead of forced */
};

struct tools {
    struct tool *first, *last;
    const char *list; /* "tools" or "functions" */
    bool is_single;   /* one call at a time */
    struct tool_choice choice;
};

/* "tools[2].function.name" for member ".name" of the definition. */
const char *tool_path(struct translation *t, const struct tool *tool, const char *member);
/* NULL when no tool has that name of the client's, or that type of the upstream's. */
struct tool *tool_find(const struct tools *tools, struct str client_name);
struct tool *tool_find_type(const struct tools *tools, struct str type);
/* Whether the request must not be answered without a call: extended thinking is impossible then. */
bool tools_are_forced(const struct translation *t);
/* Whether any tool is sent. */
bool tools_are_sent(const struct translation *t);

/* tool_choice.c: reads tool_choice or function_call, withholds tools that are not allowed. */
bool tool_choice_read(struct translation *t);
void tool_choice_write(const struct translation *t, struct buf *b);

/* tool_schema.c: the root that the upstream takes. Looks at tool->schema, sets is_union. */
bool tool_schema_check(struct translation *t, struct tool *tool);
void tool_schema_write(const struct tool *tool, struct buf *b);

/* tool_strict.c: which tools stay strict, within the upstream's limits. */
bool tool_strict_settle(struct translation *t);
/* The schema of a tool that stayed strict. */
bool tool_strict_write(const struct tool *tool, struct buf *b);

/* web_search.c: options of a web search in either of OpenAI's forms. */
bool web_search_check(struct translation *t, const struct tool *tool);
void web_search_write(const struct tool *tool, struct buf *b);

/*
 * tool_write.c: ,"tools":[...],"tool_choice":{...}. Of a request without tools nothing, but where
 * the upstream wants a definition of every tool that the history calls: then names that must not be
 * used.
 */
void tools_write(struct translation *t, struct buf *b);

#endif

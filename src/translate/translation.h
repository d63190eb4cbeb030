/*
 * One request on its way from OpenAI's form to Anthropic's: what the files of the request side
 * share. request.c drives; each step below reads some fields and leaves its findings here; body.c
 * writes them. Nobody outside translate/ includes this.
 */
#ifndef TRANSLATE_TRANSLATION_H
#define TRANSLATE_TRANSLATION_H

#include "translate/origin.h"
#include "translate/reasoning.h"
#include "translate/report.h"
#include "translate/request.h"
#include "translate/tool_name.h"
#include "json/json.h"

enum field {
#define FIELD(name, read) FIELD_##name,
#include "translate/fields.def"
    FIELD_COUNT
};

/* How long a prompt cache marker asks for. */
enum cache_ttl { CACHE_NONE, CACHE_5M, CACHE_1H };

enum block_kind {
    BLOCK_TEXT,
    BLOCK_VALUE,   /* Anthropic's own, as the client wrote it */
    BLOCK_UNCITED, /* the same without `citations` */
    BLOCK_MEDIA,
    BLOCK_THINKING,
    BLOCK_REDACTED, /* thinking in a sealed form: the text is its data */
    BLOCK_TOOL_USE,
    BLOCK_TOOL_RESULT,
};

/* A block of the upstream request; block.h has what the kinds hold. */
struct block {
    struct block *next;
    enum block_kind kind;
    enum cache_ttl cache;
    struct origin origin;
    union {
        struct str text;
        yyjson_val *value;
        struct media *media;
        const struct thought *thought;
        struct tool_use *tool_use;
        const struct tool_result *tool_result;
    };
};

struct blocks {
    struct block *first, *last;
};

enum turn_role { TURN_USER, TURN_ASSISTANT, TURN_SYSTEM };

/* A message of the upstream request. */
struct turn {
    struct turn *next;
    enum turn_role role;
    struct blocks blocks;
    struct block *before_call; /* an assistant's: the last block in front of the first tool_use */
    bool has_call;             /* an assistant's: it holds a tool_use */
    struct str code;           /* id of the last tool of Anthropic's that it calls */
};

/* Images and documents of the request so far: the upstream limits how many, and their size. */
struct media_count {
    size_t images, all;
    struct media *referred; /* whose data stays in the client's body */
    size_t n_referred;
    const char *wide_path; /* of the first image that is too large among many; NULL = none */
};

/* What the client asked of prompt caching. */
struct cache_wish {
    bool has_hint;      /* anything that says prompts will come again */
    bool is_implicit;   /* prompt_cache_options.mode "implicit", or a top-level cache_control */
    bool is_explicit;   /* prompt_cache_options.mode "explicit" */
    enum cache_ttl ttl; /* of the automatic marker; CACHE_NONE: not said */
};

/* Numbers as the client wrote them; empty = not sent. */
struct sampling {
    struct str temperature, top_p, top_k;
};

/* What response_format asks for. */
struct format {
    struct buf schema;        /* transformed; owned; empty unless output_config.format is sent */
    struct str instruction;   /* for the end of `system`; empty = none */
    size_t optionals, unions; /* in the schema: strict tools share the limits with it */
};

struct tools;

/* A document whose values the request refers to. */
struct kept_doc {
    struct kept_doc *next;
    yyjson_doc *doc;
};

struct translation {
    struct arena *arena;
    const struct tr_policy *policy;
    const struct tr_models *models;
    struct tr_request *out;
    struct api_error *err;
    struct report report;

    struct str source;              /* the client's body, */
    yyjson_val *root;               /* and what was read from it */
    yyjson_val *field[FIELD_COUNT]; /* as the client sent them; NULL = absent or null */

    struct model_info model;
    struct reasoning_wish wish;
    struct thinking thinking;
    enum model_effort thinking_effort; /* how much it will think; EFFORT_NONE: not at all */
    bool is_succeeded;                 /* `model` stands in for a retired one that did not think */

    struct tools *tools;        /* see tools.h; set by tools_read */
    struct blocks tool_markers; /* the cache marks of tools, which come before all others */
    size_t tools_bytes;         /* as written */

    struct blocks system;
    struct turn *turns, *last_turn;
    struct origin origin;   /* of the blocks that are being made; none: they are ours */
    bool has_assistant;     /* or what tools answered: a conversation that goes on */
    bool has_thinking;      /* blocks of it come back in the history */
    bool has_own_reasoning; /* the message that is read has it in a field besides its content */
    bool is_prefill;        /* the last turn is an assistant's, for the model to continue */
    struct kept_doc *docs;  /* JSON inside of the request's strings, freed with it */
    struct siphash conversation; /* the messages so far, where answers are remembered */

    struct tool_history *tool_history; /* while the messages are read */
    struct media_count media;

    struct cache_wish cache;
    enum cache_ttl auto_cache;     /* the top-level marker */
    struct tool_names *tool_names; /* NULL until a tool is named */
    struct sampling sampling;
    struct format format;
    struct blocks stops; /* stop sequences */
    struct blocks betas; /* names for the anthropic-beta header */
    struct str user_id;
    const char *service_tier; /* NULL = not sent */
    const char *verbosity;    /* a sentence for the end of `system`; NULL = none */
};

/*
 * Refusals: fill the error and return false. `param` is the path as the client wrote it.
 */
bool refuse(struct translation *t, const char *code, const char *param, const char *format, ...)
    PX_PRINTF(4, 5);
bool refuse_type(struct translation *t, const char *param, const char *expected, yyjson_val *got);
bool refuse_missing(struct translation *t, const char *param);
bool refuse_memory(struct translation *t);
/* A path in the arena; "" without memory. */
const char *path_of(struct translation *t, const char *format, ...) PX_PRINTF(2, 3);

/*
 * Losses: named in a header of the answer or, in strict mode, refused. `param` may be any text from
 * outside.
 */
bool ignore_param(struct translation *t, struct str param);
/* The same for what is listed as `name` but stands at `path`. */
bool ignore_at(struct translation *t, const char *path, struct str name);
/* The same for a member of an object: listed as "parent.member". */
bool ignore_member(struct translation *t, const char *parent, const char *parent_path,
                   struct str member);
/* `what` says the new value: "temperature=1.0(clamped)"; it begins with the parameter's name. */
bool modify_param(struct translation *t, const char *code, const char *param, const char *format,
                  ...) PX_PRINTF(4, 5);

/*
 * A repair: `what` was done to the client's messages, listed as "messages(what)" or, in strict
 * mode, refused with the path, which repair_path makes.
 */
bool repair(struct translation *t, const char *what, const char *path);
/* path_of in strict mode; else "": there may be a million repairs, of which few are listed. */
const char *repair_path(struct translation *t, const char *format, ...) PX_PRINTF(2, 3);

/* Adds a text block. False without memory. */
bool blocks_add(struct translation *t, struct blocks *to, struct str text, enum cache_ttl cache);
/* Adds a block of another kind, for the caller to fill. NULL without memory. */
struct block *blocks_add_kind(struct translation *t, struct blocks *to, enum block_kind kind);
/* Moves all of `from` behind `to`; `from` is empty then. */
void blocks_move(struct blocks *to, struct blocks *from);

/* ,"cache_control":{...}; nothing for CACHE_NONE. */
void cache_write(struct buf *b, enum cache_ttl ttl);

/* Type checks: refuse with invalid_type unless `v` is one. */
bool want_string(struct translation *t, const char *param, yyjson_val *v, struct str *ret);
bool want_bool(struct translation *t, const char *param, yyjson_val *v, bool *ret);
bool want_int(struct translation *t, const char *param, yyjson_val *v, int64_t *ret);
bool want_number(struct translation *t, const char *param, yyjson_val *v, double *ret);
bool want_object(struct translation *t, const char *param, yyjson_val *v);
bool want_array(struct translation *t, const char *param, yyjson_val *v);

/* Finds the known fields of `root`. */
void fields_collect(struct translation *t, yyjson_val *root);

/* The steps, in the order in which request.c takes them. */
bool model_settle(struct translation *t);       /* model.c's answer for this request */
bool fields_read(struct translation *t);        /* every known field by its rule */
bool format_read(struct translation *t);        /* response_format */
bool tools_read(struct translation *t);         /* definitions, and which may be called */
bool reasoning_settle(struct translation *t);   /* how the model is to think */
bool messages_read(struct translation *t);      /* system and messages */
bool tool_choice_settle(struct translation *t); /* a forced call of a model that cannot be forced */
bool reasoning_fit(struct translation *t);      /* where tools and history leave no choice */
bool max_tokens_settle(struct translation *t);  /* the limit, with room for thinking */
bool sampling_settle(struct translation *t);    /* sampling and the API version */
bool cache_settle(struct translation *t);       /* prompt cache markers */
bool body_write(struct translation *t);

#endif

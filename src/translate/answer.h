/*
 * What the model says, block by block, as pieces for one of the two writers. Decides everything
 * that both kinds of answer must agree on: how texts join, what counts as a tool call, its number
 * and arguments, why the answer ended.
 */
#ifndef TRANSLATE_ANSWER_H
#define TRANSLATE_ANSWER_H

#include "translate/annotation.h"
#include "translate/carrier.h"
#include "translate/chunk.h"
#include "translate/completion.h"
#include "translate/conformity.h"
#include "translate/custom_input.h"
#include "translate/delta.h"
#include "translate/fence.h"
#include "translate/finish.h"
#include "translate/pending.h"
#include "translate/stream.h"

/* JSON of one tool call, where it must be kept. */
#define ANSWER_INPUT_BYTES_MAX (16u << 20)

enum answer_err {
    ANSWER_OK,
    ANSWER_MALFORMED, /* the upstream broke its own grammar */
    ANSWER_TOO_LARGE  /* a limit was passed, or memory ran out */
};

enum block_kind { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_OTHER };

/* The open content block: blocks come one after the other. */
struct block {
    enum block_kind kind;
    int64_t index;
    unsigned number; /* among reasoning blocks, or among tool calls as the client sees them */
    unsigned shown;  /* a reasoning block's: among texts and reasoning blocks */
    bool has_input;  /* a tool call's JSON came in pieces */
    bool is_pending; /* a tool call that is kept back, see pending.h */
    enum call_form form;
};

struct answer {
    const struct tr_stream_params *params; /* borrowed */
    struct chunk chunk;                    /* the one writer, */
    struct completion *whole;              /* the other; NULL when streaming */
    struct block block;
    unsigned reasonings, calls, shown;
    unsigned text_shown; /* of the last text block */
    bool has_text;       /* text was passed on */
    bool is_after_gap;   /* a block of another type came since */
    bool is_blank_last;  /* that text ended with a blank */
    struct buf input;    /* a tool call's JSON that is not passed on piece by piece */
    struct pending pending;
    struct pending_call open_call; /* the kept back call that is open; its strings are in `names` */
    struct buf names;
    struct buf extra;           /* members of the open call beside its name and input */
    struct custom_input custom; /* of the open call, if it is of a custom tool */
    struct buf custom_text;     /* what a piece of its JSON adds to its text */
    struct fence fence;
    struct annotations annotations;
    struct carrier *carrier; /* NULL = the content is not collected */
    struct buf unmet;        /* what a whole answer lacks of params->wanted */
    struct buf unfenced;     /* what a piece of text leaves behind the filter */
};

/* How the answer ended, for answer_finish. */
struct answer_end {
    enum stop_reason reason;
    const char *service_tier;         /* NULL = not said */
    struct str explanation, category; /* of a refusal; may be empty */
    const struct usage_report *usage;
};

/* False without memory. `params` is borrowed until answer_done. */
bool answer_init(struct answer *a, const struct tr_stream_params *params);
void answer_done(struct answer *a);

/*
 * In this order: begin, then blocks, then finish. What goes out is appended to `out`; for a
 * completion that is nothing before the end.
 */
enum answer_err answer_begin(struct answer *a, struct str id, struct str model);
/* A block begins; one that is still open ends. */
enum answer_err answer_block(struct answer *a, int64_t index, yyjson_val *block, struct buf *out);
enum answer_err answer_delta(struct answer *a, const struct delta *delta, struct buf *out);
enum answer_err answer_block_end(struct answer *a, struct buf *out);
/*
 * The content so far as a JSON array, when the upstream has only paused and goes on if it is sent
 * back; else empty.
 */
struct str answer_paused(struct answer *a, enum stop_reason reason);
/*
 * What is to be remembered of the finished answer: its content, or an empty array where it called
 * tools without having thought. False: nothing is. Valid until answer_done.
 */
bool answer_memo(struct answer *a, const struct tr_place *place, struct digest *ret_key,
                 struct str *ret_content);
/* Writes the end; *ret_reason is static text. */
enum answer_err answer_finish(struct answer *a, const struct answer_end *end, struct buf *out,
                              const char **ret_reason);

#endif

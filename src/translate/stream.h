/*
 * Anthropic's answer -> OpenAI's. Bytes of the upstream's SSE body go in, in any cut; either chunks
 * (SSE) or, at the end, one chat.completion come out. One path, so both answers are equal.
 */
#ifndef TRANSLATE_STREAM_H
#define TRANSLATE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "translate/api_error.h"
#include "translate/memory.h"

struct tr_usage { /* Anthropic's counts; 0 where it says nothing */
    int64_t input, cache_write, cache_read, output, thinking;
};

struct client_names;
struct tool_names;

/* The members of a message and of its deltas that hold reasoning, as clients of different families
 * know them. In the order of REASONING_FORMATS. */
enum tr_reasoning_form {
    TR_REASONING_CONTENT = 1 << 0,       /* reasoning_content: text */
    TR_REASONING_DETAILS = 1 << 1,       /* reasoning_details: with signatures */
    TR_REASONING_PLAIN = 1 << 2,         /* reasoning: text */
    TR_REASONING_BLOCKS = 1 << 3,        /* thinking_blocks: Anthropic's own */
    TR_REASONING_CONTENT_BLOCKS = 1 << 4 /* content_blocks: these, and the texts */
};
#define TR_REASONING_USUAL ((unsigned)(TR_REASONING_CONTENT | TR_REASONING_DETAILS))

/* The choices of one answer ("n"). */
#define TR_CHOICES_MAX 8
/* Of an id, a model's name. */
#define TR_NAME_BYTES_MAX 512

/* What the choices of one answer have in common: the names of the first that begins. Zeroed. */
struct tr_choices {
    bool is_named;
    unsigned n_begun; /* the role chunks of so many have gone out, in the order of their indexes */
    char id[TR_NAME_BYTES_MAX + 1], model[TR_NAME_BYTES_MAX + 1];
};

/* What a completion is held against before it goes out, see conformity.h. */
struct tr_wanted {
    bool is_json;      /* an object, or what the schema says */
    bool may_repeat;   /* if it is not: worth another try */
    struct str schema; /* the client's, as JSON; empty = any object */
};

/* Borrowed until tr_stream_destroy: they live with the request. */
struct tr_stream_params {
    bool is_stream; /* chunks, or one chat.completion */
    bool include_usage;
    bool is_json_object;      /* strip code fences, add no separators */
    bool is_structured;       /* add no separators */
    bool carries_content;     /* add a copy of the blocks where the fields cannot order them */
    unsigned reasoning_forms; /* a set of enum tr_reasoning_form; 0 = TR_REASONING_USUAL */
    bool anthropic_usage;     /* add the upstream's own usage to OpenAI's */
    bool may_pause;           /* the upstream's own tools are in play: be ready for TR_PAUSED */
    struct tr_wanted wanted;
    int64_t created_unix_s;
    bool is_function_call;            /* legacy: one function_call instead of tool_calls */
    struct str metadata;              /* echoed JSON object; empty = none */
    const struct client_names *names; /* for the upstream's errors; NULL = not known */
    /* Takes out of the upstream's errors what is not for clients; NULL = nothing is. */
    void (*hide)(void *arg, struct api_error *e);
    void *hide_arg;
    const struct tool_names *tool_names; /* restores the client's names; NULL = none */
    unsigned choice;                     /* its index, below TR_CHOICES_MAX */
    struct tr_choices *choices;          /* shared by all of them; NULL = this is the only one */
};

enum tr_state {
    TR_WAITING, /* nothing for the client yet: hold the status line */
    TR_FLOWING, /* chunks are going out */
    TR_PAUSED,  /* the upstream wants to be asked to go on: see tr_stream_continue */
    TR_DONE,    /* the answer is complete and written; of several choices this one is */
    TR_FAILED /* over; see tr_stream_error. If it was flowing and is the only choice, an error chunk
                 has been written */
};

struct tr_stream;

/* Returns owned; NULL without memory. */
struct tr_stream *tr_stream_create(const struct tr_stream_params *params);
void tr_stream_destroy(struct tr_stream *s);
/* Takes `bytes` of the upstream's event stream, appends what the client gets to `out`. */
enum tr_state tr_stream_feed(struct tr_stream *s, struct str bytes, struct buf *out);
/* The upstream sent one JSON Message instead of a stream. */
enum tr_state tr_stream_feed_message(struct tr_stream *s, struct str json, struct buf *out);
/* The upstream's body ended. Without message_stop (or a stop reason) that is an error. */
enum tr_state tr_stream_end(struct tr_stream *s, struct buf *out);
/* The way to the upstream failed (timeout, reset): ends the answer with `why` as the error. */
enum tr_state tr_stream_fail(struct tr_stream *s, const struct api_error *why, struct buf *out);
/*
 * In TR_PAUSED: appends to `ret` the request that makes the upstream go on, from `body`, the one
 * that this answer began with. The stream then takes the answer to it as the rest of its own. False
 * when `ret` has no room.
 */
bool tr_stream_continue(struct tr_stream *s, struct str body, struct buf *ret);
/*
 * Behind several choices that are all TR_DONE: the usage of all and [DONE], or the completion that
 * holds them. False without memory; `out` is then to be thrown away.
 */
bool tr_choices_write_end(struct tr_stream *const streams[], size_t n, struct buf *out);
/* An error chunk, for an answer that has begun; with what was used so far, if that is known. */
void tr_stream_write_error(const struct api_error *error, const struct tr_usage *used,
                           struct buf *out);
/* A comment, which says nothing. */
void tr_stream_write_comment(struct buf *out);
/* The state as last returned. */
enum tr_state tr_stream_state(const struct tr_stream *s);
/* Valid in TR_FAILED. */
const struct api_error *tr_stream_error(const struct tr_stream *s);
/* In TR_FAILED: trying again does not mend it; say x-should-retry: false. */
bool tr_stream_is_final(const struct tr_stream *s);
/*
 * In TR_DONE: what is to be remembered of the answer, and under which key. False: nothing is, as of
 * one that was refused. Valid until tr_stream_destroy.
 */
bool tr_stream_memo(struct tr_stream *s, const struct tr_place *place, struct digest *ret_key,
                    struct str *ret_content);
/* Something of the answer itself came: another request would be another answer. */
bool tr_stream_has_content(const struct tr_stream *s);
/* Last known, also after a failure; what was billed at least. */
const struct tr_usage *tr_stream_usage(const struct tr_stream *s);
/* The model that answered; empty before message_start. */
struct str tr_stream_model(const struct tr_stream *s);
/*
 * In TR_DONE: why the completion is not what was wanted, "$.a.b: breaks minimum"; empty when it is,
 * or was not to be one (a refusal, a tool call, an answer that was cut).
 */
struct str tr_stream_unmet(const struct tr_stream *s);
/* Counts what another answer cost, which is thrown away in favour of this one. */
void tr_stream_add_usage(struct tr_stream *s, const struct tr_usage *usage);
/* "stop", "length", ... as the client got it; empty before the end. */
struct str tr_stream_finish_reason(const struct tr_stream *s);

#endif

/*
 * OpenAI Chat Completions request -> Anthropic Messages request. Pure: bytes and policy in, bytes
 * out; the same input gives the same bytes.
 */
#ifndef TRANSLATE_REQUEST_H
#define TRANSLATE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/spliced.h"
#include "translate/amend.h"
#include "translate/api_error.h"
#include "translate/memory.h"
#include "translate/model.h"
#include "translate/stream.h"

enum tr_version { TR_VERSION_AUTO, TR_VERSION_2023_06_01, TR_VERSION_2026_10_21 };
enum tr_cache { TR_CACHE_AUTO, TR_CACHE_ON, TR_CACHE_OFF };

/* What the operator decided. Borrowed for the duration of a call. */
struct tr_policy {
    struct str default_model;    /* ANTHROPIC_MODEL: for a request without a model */
    struct str model_aliases;    /* MODEL_ALIASES: "gpt-4o=claude-opus-5-5,*=claude-haiku-5-5" */
    struct str fallback_model;   /* instead of what the request names, which is overloaded */
    bool binds_conversations;    /* tr_request.conversation is wanted */
    bool model_succession;       /* serve a retired model by its successor */
    int64_t max_tokens;          /* MAX_TOKENS; 0 = the model's maximum */
    bool max_tokens_is_set;      /* the operator set it: sent exactly, no thinking reserve */
    bool thinking_reserve;       /* room for thinking on top of the built-in default */
    int64_t thinking_min_tokens; /* MIN_MAX_TOKENS_WHEN_THINKING: a client's limit is raised to it;
                                  * 0 = never */
    unsigned reasoning_forms;    /* REASONING_FORMATS: a set of enum tr_reasoning_form; 0 = the
                                  * usual ones */
    bool anthropic_usage;        /* ANTHROPIC_USAGE: answers have it, asked for or not */
    double temperature;          /* MODEL_TEMPERATURE, for models that take it */
    enum tr_version version;     /* ANTHROPIC_VERSION pins one */
    enum tr_cache cache;         /* automatic prompt caching */
    bool eager_tool_input;       /* tools stream their input before a value is complete */
    bool verbosity_instruction;  /* `verbosity` becomes a sentence of the system prompt */
    size_t referred_bytes_min;   /* base64 of so many bytes is not copied: tr_request.splices; 0 =
                                  * all is */
    bool strict;                 /* every ignore, clamp and repair is a 400 that names it */
    struct tr_amend amend;       /* what the upstream is known to refuse */
    const struct tr_memory *memory; /* answers of this tenant; NULL = none are remembered */
};

struct client_names;
struct tool_names;

/* What the rest of the way needs to know of a request. Strings live in the arena or the input. */
struct tr_request {
    struct buf body;              /* the Anthropic request, stream: true; owned, buf_done it */
    const struct splice *splices; /* texts of the client's body in between, see tr_request_body */
    size_t n_splices;
    const char *version;      /* value of the anthropic-version header */
    struct str beta;          /* value of the anthropic-beta header; empty = none */
    struct str asked_model;   /* as the client named it; empty = it named none */
    struct str model;         /* as sent upstream */
    int n_choices;            /* as many times is it to be sent: 1 to TR_CHOICES_MAX */
    bool is_succeeded;        /* `model` stands in for a retired one */
    bool is_stream;           /* the client wants chunks */
    bool include_usage;       /* stream_options.include_usage */
    bool anthropic_usage;     /* the answer is to have the upstream's own usage */
    unsigned reasoning_forms; /* the policy's */
    bool may_pause;           /* it has tools that the upstream runs itself */
    bool is_json_object;      /* the fence filter is on */
    bool is_structured;       /* output_config.format was sent: first byte may wait for a grammar */
    bool carries_content;     /* the answer may hold what flat fields cannot put in order again */
    bool is_best_effort_format; /* the schema could not be expressed: x-response-format: best-effort
                                 */
    struct tr_wanted wanted;    /* of a completion; of a stream nothing is */
    bool has_strict_tools;      /* the same wait */
    bool is_function_call;      /* legacy functions: the answer has function_call */
    bool is_tool_choice_emulated; /* the model was told to call, not forced */
    struct str metadata;          /* the client's metadata object as JSON, echoed; empty = none */
    struct str ignored;           /* value of x-ignored-params; empty = no header */
    struct str modified;          /* value of x-modified-params; empty = no header */
    const struct tool_names *tool_names; /* for the way back, in the arena; NULL = no tools */
    const struct client_names *names;    /* for the upstream's errors, in the arena */
    struct tr_place place;               /* where the answer is to be remembered */
    unsigned recalled, unremembered;     /* assistant messages whose thinking came back; did not */
    uint64_t conversation;               /* the same from turn to turn; see binds_conversations */
    int64_t max_tokens;                  /* as sent upstream */
    int64_t input_estimate;              /* rough input tokens, for the token bucket */
};

#define TR_BODY_MAX (64u << 20) /* an upstream body; the client's own limit is half of it */

/*
 * Translates `body`, which must stay for as long as the result where that has splices. `models` may
 * be NULL (class table only). True: *ret is filled, its body owned by the caller. False: *err says
 * what to answer; nothing is owned.
 */
bool tr_request(struct arena *arena, const struct tr_policy *policy, const struct tr_models *models,
                struct str body, struct tr_request *ret, struct api_error *err) PX_MUST_CHECK;

/* The whole Anthropic request. Borrows. */
static inline struct spliced tr_request_body(const struct tr_request *r)
{
    return (struct spliced){buf_str(&r->body), r->splices, r->n_splices};
}

/* Whether a field of this name means anything here. */
bool tr_is_field(struct str name);

#endif

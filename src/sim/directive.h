/*
 * Directives: what a prompt may ask of the simulator beside its answer, as
 *
 *     [[sim: words=300 gap=20ms stop="max_tokens"]]
 *
 * in the last user message, or as the x-sim header without the brackets. docs/simulator.md lists
 * them; a name that is not in the table is refused, so that no test asks for nothing.
 */
#ifndef SIM_DIRECTIVE_H
#define SIM_DIRECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "sim/block.h"
#include "sim/sim_error.h"

#define DIRECTIVE_BLOCKS_MAX 64
#define DIRECTIVE_WORDS_MAX  1000000

/* A place in the answer: so many deltas sent, or one of these. */
enum directive_place {
    PLACE_NEVER = -3,
    PLACE_HEAD = -2,  /* before the response's head */
    PLACE_START = -1, /* behind the head, before the first event */
};

enum think_display { THINK_UNSET, THINK_NONE, THINK_SIGNATURE, THINK_OMITTED, THINK_TEXT };
/* What a citation points at. */
enum citation { CITES_WEB, CITES_CHARS, CITES_PAGES, CITES_BLOCKS, CITES_RESULT };
enum line_end { EOL_LF, EOL_CRLF, EOL_CR };
enum error_body { BODY_JSON, BODY_HTML, BODY_EMPTY, BODY_GARBAGE };
enum usage_form { USAGE_FULL, USAGE_SHORT };

struct directives {
    /* The answer. */
    struct str text;
    bool has_text, fence, json, unknown;
    int64_t words, tokens, piece; /* -1 = not said */
    enum block_kind blocks[DIRECTIVE_BLOCKS_MAX];
    size_t n_blocks;
    bool has_blocks;
    enum think_display think;
    enum citation citation;
    struct str tool, args;
    struct str then;     /* directives for the same request, when it comes again; .p NULL = these */
    int64_t calls, loop; /* loop: -1 = not said */
    /* The end. */
    struct str stop, sequence, category, explanation;
    int64_t pauses;
    /* Time, all in microseconds. */
    int64_t first_us, lull_us, gap_us, ping_us;
    /* Usage; -1 = as counted. */
    int64_t input, output, cached, cache_write, delta_input;
    enum usage_form usage;
    /* The stream's form. */
    int64_t pings, split, deltas, starts; /* deltas: message_delta events */
    bool no_padding, stamp, whole;
    enum line_end eol;
    /* Faults. */
    int64_t status; /* 0 = none */
    enum error_body body;
    struct str message, type, details, error;
    struct str refuse;                       /* see refuse.h */
    int64_t after, cut, stall, end, garbage; /* enum directive_place or a count of deltas */
    int64_t cut_bytes;                       /* -1 = never */
    int64_t stall_us;                        /* 0 = for ever */
    /* Headers. */
    int64_t retry_after, remaining;
    bool no_rate_limits, no_request_id;
};

void directives_init(struct directives *d);
/* Reads "name=value name=value" on top of what *d holds. False with *err. Texts live in `a`. */
bool directives_parse(struct directives *d, struct str s, struct arena *a, struct sim_error *err);
/*
 * Reads every [[sim: ...]] of a prompt; *ret_rest is the prompt without them, trimmed.
 */
bool directives_take(struct directives *d, struct str prompt, struct arena *a,
                     struct sim_error *err, struct str *ret_rest);

/* The table, for the test that compares it with the documentation. */
size_t directives_count(void);
const char *directives_name(size_t i);

#endif

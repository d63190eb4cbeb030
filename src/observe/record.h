/*
 * What is kept of a request once it is over, and its line in the access log. Never a body, never a
 * key.
 */
#ifndef OBSERVE_RECORD_H
#define OBSERVE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Borrowed for the call. Empty texts and negative times are left out of the line. */
struct request_record {
    struct str id;     /* x-request-id */
    struct str method; /* empty: the request line could not be read */
    struct str path;
    int status;             /* as sent; 0 = nothing was sent */
    const char *end;        /* the log word of the end reason */
    struct str detail;      /* more about the end, for people */
    struct str tls_version; /* "TLSv1.3"; empty over plain HTTP */
    struct str asked_model; /* as the client named it */
    struct str
        sent_model; /* the request's to the upstream; left out where it is what was asked for */
    struct str served_model; /* as the upstream named it */
    bool is_completion;      /* the following say something */
    bool is_stream;
    int64_t input_tokens, output_tokens;                             /* all of each; of them: */
    int64_t cache_read_tokens, cache_write_tokens, reasoning_tokens; /* left out where they are 0 */
    int64_t upstream_key;      /* the place of the key that was sent, from 1; 0 = none */
    int64_t choices, attempts; /* left out where they are 1 or less */
    int64_t retries;           /* of the attempts, those of a failed one; left out where it is 0 */
    int64_t retry_wait_ms;     /* pauses in front of them; the same */
    int64_t waited_ms;         /* for its turn within the limits; left out where it is 0 */
    int64_t continuations;     /* of paused answers; left out where it is 0 */
    int64_t recalled;          /* messages whose thinking came back from the memory; or did not, */
    int64_t unremembered;      /* though it may have been there; left out where they are 0 */
    int64_t evicted;           /* answers that were forgotten for this one; the same */
    int64_t repeats;           /* of answers that were not the JSON asked for; the same */
    struct str refused;        /* what the upstream was found to refuse, */
    struct str learned;        /* and by this request, which was sent again for it */
    struct str ignored, modified; /* of what the client asked for */
    /* Since the head was read; -1 = it did not happen. */
    int64_t sent_ms;    /* the request went to the upstream */
    int64_t content_ms; /* the first content came from there */
    int64_t first_ms;   /* the first byte of the answer */
    int64_t total_ms;
};

void record_log(const struct request_record *r);

#endif

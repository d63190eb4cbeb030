/*
 * One answer as server-sent events, checked whole: every token is the stamp that the simulator was
 * asked for (`stamp`), in order and as many as ordered, then the reason, then the last event.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include "base/str.h"
#include "tally.h"
#include "translate/sse.h"

/* How an API words its streams. */
struct stream_form {
    const char *name;
    struct str text;      /* the member that holds a token, with its colon */
    struct str reason;    /* the member that holds the reason for the end, with its colon */
    struct str finish;    /* that reason, for an answer that is complete */
    struct str last_name; /* the last event: its name, or "" */
    struct str last_data; /* its data, or "" for any */
};

/* NULL for a name that is none. */
const struct stream_form *stream_form_find(const char *name);

struct stream {
    const struct stream_form *form;
    struct sse sse;
    int64_t n_tokens, last_stamp_us;
    bool has_reason, is_last; /* is_last: nothing may follow */
    enum fault fault;         /* the first that was found */
};

void stream_begin(struct stream *s, const struct stream_form *form);
/* `now_us`: Unix time of the arrival. Adds tokens and lags to *t; true when a first token came. */
bool stream_take(struct stream *s, struct str bytes, int64_t now_us, struct tally *t);
/* The body has ended: what is to be said about the stream. */
enum fault stream_end(struct stream *s, int64_t n_tokens);
void stream_done(struct stream *s);

#endif

/*
 * Sending a request to the upstream: once for each choice that the client wants, and once more when
 * the upstream refuses what it was thought to take.
 */
#ifndef SERVER_ATTEMPT_H
#define SERVER_ATTEMPT_H

#include "server/request.h"
#include "server/upstream_headers.h"

struct upstream_call;

/* What the upstream is sending. */
enum upstream_content {
    CONTENT_NONE,
    CONTENT_EVENTS,  /* an event stream */
    CONTENT_MESSAGE, /* one JSON message */
    CONTENT_ERROR    /* the body of an error */
};

/* One call to the upstream, which answers one choice. In the request's arena. */
struct leg {
    struct request *request;
    struct upstream_call *call; /* NULL when it is over */
    bool was_sent;              /* the upstream may have counted tokens */
    bool has_data;              /* the first bytes of its answer came */
    bool is_done;               /* its choice is complete */
    int status;                 /* the upstream's; 0 = no head yet */
    enum upstream_content content;
    struct buf body;      /* the request that goes on after a pause; empty before one */
    struct buf collected; /* a message or an error */
    struct tr_stream_params params;
    struct tr_stream *stream;
    bool has_content; /* its answer has begun: it is not asked for again */
    /* See retry.h. */
    size_t key;                 /* of upstream_keys */
    uint64_t tried_keys;        /* a bit for each that failed since the last pause */
    unsigned pauses;            /* in front of retries */
    int64_t retry_after_ms;     /* as the upstream said; 0 = it did not */
    enum says_retry says_retry; /* the same */
    struct timer
        *retry_timer;        /* runs while it waits to be sent again; NULL before the first time */
    struct tr_stream *spare; /* a whole answer that is not what was wanted, while another comes */
    bool is_to_repeat;       /* its answer is such a one, and its call about to be over */
    bool was_repeated;
};

#define EACH_LEG(r, leg)                                                                           \
    for (struct leg *leg = (r)->legs, *leg_end = leg + (r)->n_legs; leg != leg_end; leg++)

/* STEP_TRANSLATE */
enum go step_translate(struct request *r);
/* STEP_SEND */
enum go step_send(struct request *r);
/*
 * `leg` was answered with an error. True when it can be mended: the request is translated without
 * what was refused, all its calls are over, and it goes on with STEP_SEND. Each cause is mended
 * once, and nothing after a byte of the answer.
 */
bool attempt_again(struct request *r, const struct leg *leg);
/* An upstream's head with 200 is there, of a call that has not failed since. */
bool attempt_is_accepted(const struct request *r);
/* The upstream takes the request: what was learned is kept. */
void attempt_accepted(struct request *r);
/* The answer of `leg` has begun. With the last one nothing is sent again: frees what was kept. */
void attempt_has_content(struct leg *leg);
/*
 * The model has no room: the request is translated for the next of FALLBACK_MODELS, all its calls
 * are over, and it goes on with STEP_SEND. False: there is none, or another choice has begun.
 */
bool attempt_fall_back(struct request *r);
/* The pause of a retry is over. `arg` is a leg. */
void attempt_retry(void *arg);
/* The upstream has paused within its answer (TR_PAUSED) and its call is over: asks it to go on. */
void attempt_continue(struct leg *leg);
/* Its choice is complete: keeps its thinking for the requests that go on from it. */
void attempt_remember(struct leg *leg);
/*
 * `leg` has a whole answer: whether it is to be asked for again, which is then done with
 * attempt_repeat when its call is over. Not what was wanted, and once is enough.
 */
bool attempt_may_repeat(const struct leg *leg);
/* False: it cannot be sent. */
bool attempt_repeat(struct leg *leg);
/* Takes the better one of two answers, or the only one, and counts the usage of both. */
void attempt_settle(struct leg *leg);
/* Forgets what its call gave. */
void leg_reset(struct leg *leg);

#endif

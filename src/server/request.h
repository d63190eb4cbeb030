/*
 * One request of a client, from its head to its line in the access log. request.c holds the table
 * of its steps.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "http/h1.h"
#include "net/loop.h"
#include "server/admit.h"
#include "server/end.h"
#include "server/routes.h"
#include "translate/api_error.h"
#include "translate/request.h"
#include "translate/stream.h"

struct connection;
struct leg;
struct settings;
struct waiter;
struct worker;

enum request_step {
    STEP_ROUTE,
    STEP_AUTHENTICATE,
    STEP_READ,
    STEP_ANSWER,
    STEP_ADMIT,
    STEP_TRANSLATE,
    STEP_RESERVE,
    STEP_SEND,
    STEP_RELAY,
    STEP_FINISH,
    STEP_RECORD,
    STEP_OVER
};

/* What a step tells the driver. */
enum go {
    GO_ON,   /* to the next step */
    GO_WAIT, /* something has to happen first; whoever notices it drives on */
    GO_AGAIN /* request_end has set the step */
};

/* Translated headers of the upstream's answer, all together. */
#define UPSTREAM_HEADER_BYTES_MAX 16384

/* The client's head as far as it is needed after the parser has forgotten it. In the arena. */
struct request_head {
    struct str method, target, origin, asked_cors_headers, workspace_id;
    int64_t content_length; /* -1 = not said */
    bool is_http_1_0, is_chunked, expects_continue;
};

struct request {
    struct worker *worker;
    struct settings *settings;     /* held: those it began with */
    struct connection *connection; /* NULL once the answer is out or the client has left */
    struct list node;              /* in worker->tails or worker->models_waiters, or alone */
    enum request_step step;
    enum end_reason end; /* END_NONE until it is known */
    struct arena arena;
    struct loop_job free_job;

    /* The client's request. */
    const struct h1_head *sent_head; /* while it is being read only: route, authenticate */
    struct request_head head;
    const struct route *route; /* NULL before it is found */
    struct str path, model_name;
    bool is_authenticated, is_body_read;
    struct siphash_key tenant; /* who asks, where answers are remembered */
    struct buf body;

    /* Translated, and within the limits. */
    struct tr_request translated;
    bool has_translated;
    struct tr_amend amend;   /* what its upstream was found to refuse, */
    struct tr_amend lessons; /* and by this request */
    struct str fallback;     /* the model that stands in for an overloaded one; empty = none */
    size_t n_fallbacks;      /* how many of FALLBACK_MODELS were taken */
    bool is_breaker_try;     /* it finds out whether the upstream is back */
    unsigned attempts;       /* how often it was sent, as translated anew */
    unsigned amendments;     /* of them, because of a refusal that can be mended */
    unsigned retries;        /* calls that were made again as they were */
    unsigned continuations;  /* how often the upstream was asked to go on */
    int64_t retry_wait_ms;   /* pauses in front of retries */
    size_t evicted;          /* answers that were forgotten to remember this one */
    unsigned repeats;        /* answers that were asked for again: not the JSON that was wanted */
    uint64_t client;         /* whose turn it is among those who wait: see waiting.h */
    struct waiter *waiter;   /* while it waits for the limits */
    int64_t waited_us;       /* how long it did */
    int64_t slots;           /* what it counts among the requests at once */
    struct admit_ticket ticket;
    int64_t wait_ms; /* a rate limit says when to come back; 0 = none does */

    /* The upstream's answer: a leg for each choice, see attempt.h. */
    struct leg *legs;
    size_t n_legs, n_done;
    struct tr_choices *choices;  /* what they share; NULL when there is one */
    struct buf upstream_headers; /* translated, until our head is written */
    bool is_paused;              /* the upstream waits until the client has read */
    bool is_final;               /* trying again does not mend the error */
    bool has_upstream_id;
    const char *tls_version; /* "TLSv1.3"; empty over plain HTTP */
    int64_t created_unix_s;  /* of the answer; 0 = not begun */

    /* Ours. */
    int status; /* as sent; 0 = no head yet */
    bool is_chunked, keeps_alive, is_answer_complete;
    bool is_stream_open; /* counted as one */
    bool has_begun;      /* something of the answer went out, not comments alone */
    struct timer keep_alive;
    char id[64];       /* the upstream's; see request_id */
    struct str detail; /* more about the end, for the log */
    /* Of its head; sent to the upstream first; the first content from there; the first byte of the
     * answer; its end. 0 = not yet. */
    int64_t started_us, sent_us, content_us, first_us, ended_us;
};

/*
 * For the connection. A request may be freed at the end of the turn in which any of these is
 * called.
 */

/* NULL without memory. `head` is borrowed until the first request_drive has returned. */
struct request *request_begin(struct connection *c, struct worker *w, const struct h1_head *head);
/* Runs the steps until one waits or all are done. */
void request_drive(struct request *r);
/* There is no request that can be read: answers with `why`, and `message` when it is not NULL. */
void request_refuse(struct connection *c, struct worker *w, enum end_reason why,
                    const char *message);
/* A piece of the body, and its end. */
void request_body(struct request *r, const char *p, size_t n);
void request_body_end(struct request *r);
/* Ends it with an answer, if one can still be given (a timeout, a shutdown). */
void request_end_from_outside(struct request *r, enum end_reason why, const char *message);
/* The connection is gone. */
void request_client_left(struct request *r, enum end_reason why);

/* For the worker and its models. */
void request_models_arrived(struct worker *w);
/* The answer is out; the rest of the upstream's is not waited for any more. */
void request_drop_tail(struct request *r);
struct request *request_of_node(struct list *node);

/*
 * For the steps: ends the request. Answers with `error` (NULL: as the table has it) unless an
 * answer has begun, and leads to STEP_FINISH. Returns GO_AGAIN, for a step to return.
 */
enum go request_end(struct request *r, enum end_reason why, const struct api_error *error);
/* What the client is told it is called: as the upstream did, or else by a name of our own. */
struct str request_id(struct request *r);
/* The client's body is not needed any more. */
void request_free_body(struct request *r);
/* For relay.c: back to STEP_SEND, with what attempt.c has translated anew. */
void request_send_again(struct request *r);

#endif

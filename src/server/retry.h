/*
 * What becomes of a call that failed before anything of its answer came: it is made again with
 * another key, or after a pause, or for another model. Everything else is the client's to know.
 */
#ifndef SERVER_RETRY_H
#define SERVER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct leg;
struct request;

/* Why a call failed. */
struct setback {
    int status;    /* as the client would see it */
    bool is_final; /* trying again does not mend it: out of credit, for instance */
};

/*
 * True when the call will be made again, of which nobody needs to know: `leg` is reset and waits,
 * or the whole request is back in STEP_SEND. To be driven on.
 */
bool retry_call(struct leg *leg, const struct setback *why);
/* The call is not made again: the request is over. Accepts a leg that never was sent. */
void retry_forget(struct leg *leg);

/* The upstream answered the key of `leg` with `status`. */
void retry_saw_key(struct leg *leg, int status);

/* The circuit breaker: false when the upstream is down; r->wait_ms then says for how long. */
bool retry_is_upstream_up(struct request *r);
/* How a call ended, for the breaker. */
void retry_tell(struct request *r, bool failed);
/* The request is over, and may have been the one that was to find out. */
void retry_forget_try(struct request *r);

#endif

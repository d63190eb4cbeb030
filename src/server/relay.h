/*
 * Between the upstream and the client: the request goes out, the answer comes back translated,
 * as fast as the client reads it.
 */
#ifndef SERVER_RELAY_H
#define SERVER_RELAY_H

#include <stdint.h>

#include "server/request.h"

/* STEP_SEND */
enum go step_send(struct request *r);
/* The way to the upstream failed, or is ended from our side: the client is told in the form that
 * its answer has by now. */
void relay_fail(struct request *r, enum end_reason why, const char *message);
/* The client has taken everything that waited. */
void relay_client_drained(struct request *r);
/* The request has ended: cancels the call, unless all that is missing is its end. */
void relay_release(struct request *r);
/* Cancels the call whatever it is doing. */
void relay_cancel(struct request *r);
void relay_free(struct request *r);
/* What the token bucket is charged. */
int64_t relay_used_tokens(const struct request *r);

#endif

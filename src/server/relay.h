/*
 * Between the upstream and the client: the answer comes back translated, as fast as the client
 * reads it.
 */
#ifndef SERVER_RELAY_H
#define SERVER_RELAY_H

#include <stdint.h>

#include "server/request.h"
#include "upstream/upstream.h"

/* For the calls; `arg` is a leg. */
extern const struct upstream_callbacks relay_callbacks;
/* The way to the upstream failed, or is ended from our side: the client is told in the form that
 * its answer has by now. */
void relay_fail(struct request *r, enum end_reason why, const char *message);
/* A comment: the client sees that the connection is alive. */
void relay_comment(struct request *r);
/* The client has taken everything that waited. */
void relay_client_drained(struct request *r);
/* The request has ended: cancels its calls, unless all that is missing is their end. */
void relay_release(struct request *r);
/* Cancels the calls whatever they are doing. */
void relay_cancel(struct request *r);
bool relay_is_open(const struct request *r);
void relay_free(struct request *r);

#endif

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
/* The client has taken everything that waited. */
void relay_client_drained(struct request *r);
/* The request has ended: cancels its calls, unless all that is missing is their end. */
void relay_release(struct request *r);
/* Cancels the calls whatever they are doing. */
void relay_cancel(struct request *r);
bool relay_is_open(const struct request *r);
void relay_free(struct request *r);
/* All calls together; the model that answered, empty when none did. */
struct tr_usage relay_usage(const struct request *r);
struct str relay_model(const struct request *r);
/* The place of the key in ANTHROPIC_API_KEY that was last sent with, from 1; 0 = none was. */
size_t relay_key(const struct request *r);
/* Whether a choice ended so, as the client is told. */
bool relay_has_finish(const struct request *r, struct str reason);
/* What a whole answer lacks of what was wanted, for a header; false: nothing. */
bool relay_write_unmet(const struct request *r, struct buf *out);
/* What the token bucket is charged. */
int64_t relay_used_tokens(const struct request *r);

#endif

/*
 * What the calls of a request came to.
 */
#ifndef SERVER_OUTCOME_H
#define SERVER_OUTCOME_H

#include <stdint.h>

#include "server/request.h"

/* All calls together; the model that answered, empty when none did. */
struct tr_usage outcome_usage(const struct request *r);
struct str outcome_model(const struct request *r);
/* The place of the key in ANTHROPIC_API_KEY that was last sent with, from 1; 0 = none was. */
size_t outcome_key(const struct request *r);
/* Whether a choice ended so, as the client is told. */
bool outcome_has_finish(const struct request *r, struct str reason);
/* What a whole answer lacks of what was wanted, for a header; false: nothing. */
bool outcome_write_unmet(const struct request *r, struct buf *out);
/* What the token bucket is charged. */
int64_t outcome_used_tokens(const struct request *r);

#endif

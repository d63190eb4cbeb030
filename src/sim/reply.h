/*
 * The headers of an answer, in the families that the API sends them.
 */
#ifndef SIM_REPLY_H
#define SIM_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "sim/directive.h"
#include "sim/exchange.h"

#define REPLY_HEADERS_MAX 32

enum reply_kind { REPLY_JSON, REPLY_STREAM, REPLY_HTML };

struct reply_head {
    struct exchange_header headers[REPLY_HEADERS_MAX];
    size_t n;
    char date[40], reset[24], remaining[24], retry_after[24];
};

/* Fills *h. `request_id` empty leaves it out; `counts_requests`: the rate-limit headers of
 * /v1/messages are due. The strings live in *h or are borrowed. */
void reply_head_build(struct reply_head *h, enum reply_kind kind, int status, struct str request_id,
                      bool counts_requests, const struct directives *d, int64_t now_us);

#endif

/*
 * From a request to what will be answered: a body that is ready, or a script to be spoken.
 */
#ifndef SIM_ROUTE_H
#define SIM_ROUTE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "sim/directive.h"
#include "sim/exchange.h"
#include "sim/reply.h"
#include "sim/script.h"

#define ROUTE_BODY_BYTES_MAX (96u * 1024 * 1024)

struct sim;

struct routed {
    int status;
    enum reply_kind kind;
    bool counts_requests; /* /v1/messages: carries rate-limit headers */
    bool has_script;      /* then `body` is empty (a stream) or the message (JSON) */
    bool is_stream;
    struct script script;
    struct directives d;
    struct str request_id; /* in the arena; empty for what is not the API */
    struct buf body;
};

/* The answer's strings live in `a`; `ret->body` is owned by the caller. */
void route_request(struct sim *sim, const struct exchange_request *q, struct arena *a,
                   struct routed *ret);

#endif

/*
 * What the simulator saw: counters and the last requests, shared by its threads and read by tests
 * through GET /__sim/stats.
 */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "sim/exchange.h"

#define RECORD_REQUESTS   64           /* the last so many are kept */
#define RECORD_BODY_BYTES (256 * 1024) /* of each body */
#define RECORD_REPEATABLE 4096

enum record_end {
    RECORD_OPEN,
    RECORD_DONE,    /* answered whole */
    RECORD_ABORTED, /* the client left */
    RECORD_BROKEN,  /* cut by a directive */
};

struct record;

struct record *record_create(void);
void record_destroy(struct record *r);
/* Returns the request's number, for the calls below. */
uint64_t record_begin(struct record *r, const struct exchange_request *q, uint64_t connection);
/* Whether one of the last RECORD_REPEATABLE that this was asked about had the same body. */
bool record_is_repeat(struct record *r, const struct exchange_request *q);
/* The status that was sent. */
void record_status(struct record *r, uint64_t number, int status);
void record_end(struct record *r, uint64_t number, enum record_end how, int64_t n_deltas);
void record_connection(struct record *r, int change); /* +1 opened, -1 closed */
void record_reset(struct record *r);
/* All of it as one JSON object. */
void record_write(struct record *r, struct buf *b);

/*
 * Directives that hold for every request of a route ("messages", "count_tokens", "models"), set
 * while running. Copies into *to; false when there are none.
 */
enum record_route { ROUTE_MESSAGES, ROUTE_COUNT_TOKENS, ROUTE_MODELS, ROUTE_COUNT };
#define RECORD_DIRECTIVES_BYTES 1024
bool record_set_directives(struct record *r, enum record_route route, struct str text);
bool record_get_directives(struct record *r, enum record_route route,
                           char to[RECORD_DIRECTIVES_BYTES], size_t *ret_n);

int64_t unix_us(void);

#endif

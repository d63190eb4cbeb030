/*
 * What is counted of requests, one `struct metrics` a worker: its thread adds, without a lock and
 * without allocating; whoever is asked for GET /metrics sums them up.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "observe/histogram.h"
#include "observe/record.h"
#include "observe/tally.h"
#include "server/end.h"
#include "server/routes.h"
#include "server/upstream_keys.h"
#include "translate/stream.h"

struct shared;

/* Models that are kept apart; the rest is "other". Longer names are cut. */
#define METRICS_MODELS_MAX      48
#define METRICS_MODEL_BYTES_MAX 128

enum metrics_status { STATUS_NONE, STATUS_2XX, STATUS_3XX, STATUS_4XX, STATUS_5XX, STATUSES };

struct metrics_outcomes {
    _Atomic uint64_t n[END_REASONS][STATUSES];
};

struct metrics_model {
    char name[METRICS_MODEL_BYTES_MAX]; /* empty: "other" */
    struct metrics_outcomes outcomes;
    _Atomic uint64_t input, cache_read, cache_write, output, reasoning;
    struct histogram input_usage, output_usage;
    struct histogram duration, failed_duration, first_token, per_token;
};

struct metrics {                                         /* a zeroed one is ready */
    struct metrics_model models[METRICS_MODELS_MAX + 1]; /* behind those known: "other" */
    _Atomic size_t n_models;                             /* those in front of it have names */
    struct metrics_outcomes elsewhere[ROUTES + 1];       /* without a model; [ROUTES]: no URL */
    _Atomic uint64_t in_flight, streams, waiting;        /* begun and not ended */
    _Atomic uint64_t attempts, retry_wait_us, breaker_opened;
    _Atomic uint64_t continuations, repeats, recalled, unremembered, evicted;
    _Atomic uint64_t cooldowns[UPSTREAM_KEYS_MAX];
    struct tally answers; /* kind "": "200", "529", "unreachable" */
    struct tally retries; /* kind: what was done; name: the status */
    struct tally waits;   /* name: "served" */
    struct histogram waited;
    struct tally losses;
};

/* One that has ended. Everything is borrowed. */
struct metrics_request {
    const struct request_record *record;
    const struct route *route; /* NULL: none */
    enum end_reason end;
    struct str model;    /* that it was sent for; empty = it never came so far */
    bool is_known_model; /* of the table or the upstream's list, with any date behind it */
    struct tr_usage usage;
    int64_t total_us, first_token_us; /* the latter -1 = there was none */
};

void metrics_count(struct metrics *m, const struct metrics_request *r);
/* The upstream answered with `status`, or (0) not, for the reason `why`. */
void metrics_saw_answer(struct metrics *m, int status, const char *why);
/* A call is made again: `how` is static text. */
void metrics_saw_retry(struct metrics *m, const char *how, int status, int64_t wait_ms);
/* A request waits no longer for its turn; `waited_us` -1: it could not begin to. `outcome` is
 * static text. */
void metrics_saw_wait(struct metrics *m, const char *outcome, int64_t waited_us);

/* Everything, of all workers; `keys` are those that are in use. False without memory. */
bool metrics_write(struct shared *shared, const struct upstream_keys *keys, int64_t now_us,
                   struct buf *out);

#endif

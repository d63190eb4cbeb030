/*
 * Within the limits, or waiting for it: requests and tokens a minute, and requests at once. One
 * queue for all workers behind one lock, which is not taken where nobody may wait
 * (RATE_LIMIT_WAIT=0) and requests at once are not limited. A request waits in one place only, in
 * STEP_RESERVE, and holds nothing while it waits: when its turn comes it takes all that it needs.
 */
#ifndef SERVER_WAITING_H
#define SERVER_WAITING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/siphash.h"
#include "base/str.h"
#include "limits/queue.h"
#include "net/loop.h"
#include "server/request.h"

struct shared;
struct worker;

/* What there is too little of, and for how long; -1: waiting does not help. */
enum lack { LACKS_NOTHING, LACKS_SLOTS, LACKS_REQUESTS, LACKS_TOKENS };

struct shortage {
    enum lack lack;
    int64_t wait_ms;
};

/* What all workers share. */
struct waiting {
    struct siphash_key secret;
    _Atomic int64_t slots_max; /* MAX_CONCURRENT_REQUESTS; 0 = not limited */
    _Atomic uint64_t n;        /* those who wait */
    pthread_mutex_t lock;      /* guards all below, and what workers say it does */
    struct queue queue;
    int64_t slots_used;
    bool is_closed;          /* everything is about to be ended: nobody's turn comes any more */
    struct shortage held_up; /* why the last who was asked could not be served */
};

/* A worker's part. */
struct waiting_room {
    struct list called; /* guarded by the lock: waiters that have been served, or displaced */
    int64_t look_at_us; /* the same: when this worker is to look who can be served; 0 = never */
    bool is_called;     /* the same: `job` is posted */
    struct loop_job job;
    struct timer timer;
};

/* False without randomness. */
bool waiting_init(struct waiting *w, int64_t slots_max);
void waiting_done(struct waiting *w);
/* The limits have changed: another number of requests at once, and those who wait may be served.
 * From any thread. */
void waiting_resize(struct shared *shared, int64_t now_us, int64_t slots_max);
/* Nobody is served any more. */
void waiting_close(struct waiting *w);
void waiting_room_init(struct worker *w);
/* Accepts a zeroed one. */
void waiting_room_done(struct worker *w);

/* Whose turn a request is: one number for each key that clients send. */
uint64_t waiting_key(const struct waiting *w, struct str client_key);

/* STEP_ADMIT, STEP_RESERVE */
enum go step_admit(struct request *r);
enum go step_reserve(struct request *r);
/* It is over for its client: it waits no longer, and what it used is settled. */
void waiting_settle(struct request *r, int64_t used_tokens);
/* Its upstream calls are over too: another may have its place among the requests at once. */
void waiting_release(struct request *r);
/* For the metrics. */
int64_t waiting_slots_used(struct waiting *w);

#endif

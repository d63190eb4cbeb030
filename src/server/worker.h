/*
 * What the threads of the proxy are made of. A worker owns a loop, a listener, the connections it
 * accepted and a pool of upstream connections; `shared` is what all of them read, and the few
 * atomics that all of them write.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "limits/breaker.h"
#include "limits/retry.h"
#include "net/listener.h"
#include "net/loop.h"
#include "server/admit.h"
#include "server/body_budget.h"
#include "server/certificate.h"
#include "server/health.h"
#include "server/learned.h"
#include "server/metrics.h"
#include "server/models_cache.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/succession.h"
#include "server/thinking_memory.h"
#include "server/waiting.h"
#include "translate/request.h"
#include "upstream/upstream.h"

struct shared {
    int64_t started_unix_ms;
    bool is_demo;
    int listen_fd;             /* a socket that was handed over; -1: each worker opens its own */
    struct settings *settings; /* the main thread's; workers have their own view */
    struct upstream_settings upstream;
    struct certificate certificate;
    /* Written by all workers. */
    struct admit admit;
    struct waiting waiting;
    struct body_budget bodies;
    struct health health;
    struct models_cache models;
    struct learned learned;
    struct succession succession;
    struct retry_budget retry_budget;
    struct breaker breaker;
    struct thinking_memory *memory; /* NULL: answers are not remembered */
    _Atomic int64_t n_connections;
    _Atomic bool is_draining;
    struct worker *workers;
    size_t n_workers;
};

struct worker {
    struct shared *shared;
    struct loop *loop;
    struct listener *listener;
    struct listener *metrics_listener; /* METRICS_ADDRESS; one worker has it, or none */
    struct upstream *upstream;
    pthread_t thread;
    bool has_thread;
    struct list connections;
    struct list tails;          /* requests that are answered but whose upstream call goes on */
    struct list models_waiters; /* requests that wait for the first list of models */
    struct models_view models;
    struct metrics metrics;
    struct waiting_room waiting;
    struct settings_view settings;
    struct buf head, out; /* scratch for answers, used within one callback only */
    struct buf spare;     /* memory of a large body that is over */
    char date[32];
    int64_t date_unix_s;
    struct loop_job drain_job, end_now_job, beat_job;
    _Atomic bool has_beaten; /* beat_job ran since it was posted last */
    struct timer drain_timer, tail_timer, trim_timer;
    void (*on_stopped)(void *arg); /* called on the worker's thread when it has drained */
    void *on_stopped_arg;
};

/* Opens its parts on `port` (0: the kernel picks). False with a reason in `why`. */
bool worker_init(struct worker *w, struct shared *shared, int port, char *why, size_t why_size);
/* The same for METRICS_ADDRESS, of one worker. */
bool worker_listen_metrics(struct worker *w, char *why, size_t why_size);
/* False when no thread can be had. */
bool worker_start(struct worker *w);
/* Waits for the thread's end. */
void worker_join(struct worker *w);
/* Frees everything; the threads of all workers must have ended. Accepts a zeroed worker. */
void worker_done(struct worker *w);

/* From any thread, each at most once: stop accepting and finish what is open within the limit;
 * end everything now. */
void worker_drain(struct worker *w);
void worker_end_now(struct worker *w);

/* From the main thread: whether its loop turned since it was asked last. */
bool worker_beats(struct worker *w);

/* For connections and requests: one of them is gone. Ends a draining worker with the last. */
void worker_may_stop(struct worker *w);
/* Keeps an answered request for a moment: so its upstream call may end by itself. */
void worker_keep_tail(struct worker *w, struct list *node);
/* Gives an empty `b` memory that a large body has left, if there are `n` bytes of it. */
void worker_take_spare(struct worker *w, struct buf *b, size_t n);
/* As buf_done, for a large body: its memory serves the next one, or goes back to the system soon.
 */
void worker_keep_spare(struct worker *w, struct buf *b);
/* The Date header's value. */
struct str worker_date(struct worker *w);
/* The scratch buffers, empty; a big one is given back to the system first. */
struct buf *worker_head_buf(struct worker *w);
struct buf *worker_out_buf(struct worker *w);

#endif

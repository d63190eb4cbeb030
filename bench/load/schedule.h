/*
 * When requests are sent, and what the processes under measurement had used at that time.
 *
 * With a rate the loop is open: a request is due at its millisecond whatever became of the others,
 * and its times count from then. Without one it is closed: each client sends its next request when
 * it has the answer.
 */
#ifndef BENCH_SCHEDULE_H
#define BENCH_SCHEDULE_H

#include <time.h>

#include "client.h"

#define SCHEDULE_PIDS_MAX 64
#define SCHEDULE_PARTS    10

struct schedule_options {
    int64_t n_requests, n_clients;
    double rate; /* a second; 0 = closed loop */
    int64_t timeout_ms;
    bool holds; /* streams: says "open" on standard output when all have begun, ends at SIGTERM */
    clockid_t clocks[SCHEDULE_PIDS_MAX]; /* CPU clocks of those processes */
    size_t n_clocks;
};

/* A moment of the run. */
struct mark {
    bool is_set;
    int64_t at_us, cpu_us, n_tokens;
};

struct schedule {
    const struct schedule_options *options;
    struct target *target;
    struct client *clients, **idle;
    size_t n_idle;
    int64_t n_sent, n_begun, n_over, start_us;
    struct timer tick, limit;
    struct loop_signal signal;
    struct mark start, end;
    struct mark begun;                 /* every stream has its first token */
    struct mark ending;                /* the first of them is over */
    struct mark parts[SCHEDULE_PARTS]; /* another tenth of all tokens is in */
    size_t n_parts;
};

/* Runs to the end or to the limit; marks and the target's tally are filled. False without memory.
 */
bool schedule_run(struct schedule *s, struct target *target,
                  const struct schedule_options *options);
/* When the loop is gone, whose jobs point into the clients. */
void schedule_done(struct schedule *s);

#endif

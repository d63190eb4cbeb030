/*
 * One event loop per thread, on libevent's core. Timers, file readiness, jobs posted from other
 * threads, and work put off to the end of the turn (where things may be freed).
 *
 * net/ is the only folder that includes libevent's and OpenSSL's headers.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Returns owned; NULL without memory or descriptors. */
struct loop *loop_create(void);
/* Runs the put-off work first. Every timer, channel and listener on it must be gone. */
void loop_destroy(struct loop *l);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
/* Ends loop_run after this turn. From the loop's thread. */
void loop_stop(struct loop *l);
/* Monotonic microseconds, read once a turn: cheap, a little old. */
int64_t loop_now_us(struct loop *l);
/* The libevent base, for net/ itself. */
struct event_base *loop_base(struct loop *l);

/*
 * Work that is put off: embedded in what it is about, must stay in place until it ran.
 * loop_defer: from the loop's thread, runs at the end of this turn, in order. Deferring again
 * before it ran does nothing.
 * loop_post: from any thread, wakes the loop. One post at a time for each job.
 */
struct loop_job {
    void (*run)(void *arg);
    void *arg;
    struct loop_job *next;
    bool is_queued;
};
void loop_defer(struct loop *l, struct loop_job *job);
void loop_post(struct loop *l, struct loop_job *job);

/*
 * A one-shot timer, embedded. Moving it later costs nothing (it is looked at when the old time
 * comes), so restarting an idle timer on every read is cheap.
 */
struct timer {
    struct event event;
    struct loop *loop;
    void (*run)(void *arg);
    void *arg;
    int64_t due_us;   /* when to run; 0 = stopped */
    int64_t armed_us; /* when libevent will wake us; 0 = not armed */
    bool was_late;    /* and is due at the end of the next turn */
};
void timer_init(struct timer *t, struct loop *l, void (*run)(void *arg), void *arg);
void timer_start(struct timer *t, int64_t delay_ms);
void timer_stop(struct timer *t);
bool timer_is_running(const struct timer *t);
/* Stops it and lets go of the loop. Accepts a zeroed timer. */
void timer_done(struct timer *t);

/* SIGTERM, SIGINT... delivered on this loop's thread. `run` gets the signal number. */
struct loop_signal {
    struct event event;
    void (*run)(void *arg, int signal);
    void *arg;
};
void loop_signal_add(struct loop *l, struct loop_signal *s, int signal,
                     void (*run)(void *arg, int signal), void *arg);
void loop_signal_remove(struct loop_signal *s);

#endif

/*
 * The event loop: libevent's dispatch, put-off work after each turn, jobs from other threads
 * through an eventfd, lazy timers.
 */
#include "net/loop.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop_internal.h"

/* A timer that fires this much early runs all the same: libevent's clock is read once a turn. */
#define TIMER_SLACK_US 1000
/* One that fires this late fires in a process that stood still (SIGSTOP, a machine without time for
 * it): what came meanwhile is read first. */
#define TIMER_LATE_US 200000

struct job_queue {
    struct loop_job *first, **end;
};

struct loop {
    struct event_base *base;
    struct job_queue deferred;
    pthread_mutex_t posted_lock; /* guards posted only; never held while a job runs */
    struct job_queue posted;
    int wake_fd;
    struct event wake_event;
    int64_t now_us; /* 0 = not read in this turn yet */
    bool is_stopped;
    char scratch[LOOP_SCRATCH_BYTES];
};

static void queue_init(struct job_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_push(struct job_queue *q, struct loop_job *job)
{
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
}

static struct loop_job *queue_take_all(struct job_queue *q)
{
    struct loop_job *jobs = q->first;
    queue_init(q);
    return jobs;
}

/* Runs what was queued when it was called; what those jobs queue waits for the next turn. */
static void run_jobs(struct loop_job *job)
{
    while (job) {
        struct loop_job *next = job->next;
        job->is_queued = false;
        job->run(job->arg); /* may free or queue `job` again */
        job = next;
    }
}

static struct loop_job *take_posted(struct loop *l)
{
    pthread_mutex_lock(&l->posted_lock);
    struct loop_job *jobs = queue_take_all(&l->posted);
    pthread_mutex_unlock(&l->posted_lock);
    return jobs;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct loop *l = arg;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0) {
        /* Woken for nothing. */
    }
    run_jobs(take_posted(l));
}

static struct event_base *create_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_create(void)
{
    signal(SIGPIPE, SIG_IGN); /* a peer that left is an error of write(2), not a signal */
    struct loop *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->base = create_base();
    if (l->wake_fd < 0 || !l->base) {
        if (l->wake_fd >= 0)
            close(l->wake_fd);
        if (l->base)
            event_base_free(l->base);
        free(l);
        return NULL;
    }
    queue_init(&l->deferred);
    queue_init(&l->posted);
    pthread_mutex_init(&l->posted_lock, NULL);
    event_assign(&l->wake_event, l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    event_add(&l->wake_event, NULL);
    return l;
}

void loop_destroy(struct loop *l)
{
    if (!l)
        return;
    struct loop_job *posted;
    do {
        posted = take_posted(l);
        run_jobs(posted);
        while (l->deferred.first)
            run_jobs(queue_take_all(&l->deferred));
    } while (posted);
    event_del(&l->wake_event);
    close(l->wake_fd);
    event_base_free(l->base);
    pthread_mutex_destroy(&l->posted_lock);
    free(l);
}

void loop_run(struct loop *l)
{
    l->is_stopped = false;
    log_hold();
    while (!l->is_stopped) {
        l->now_us = 0;
        /* EVLOOP_NONBLOCK alone would go on for as long as any socket is ready. */
        event_base_loop(l->base, EVLOOP_ONCE | (l->deferred.first ? EVLOOP_NONBLOCK : 0));
        run_jobs(queue_take_all(&l->deferred));
        log_flush();
    }
    log_release();
}

void loop_stop(struct loop *l)
{
    l->is_stopped = true;
    event_base_loopbreak(l->base);
}

int64_t loop_now_us(struct loop *l)
{
    if (l->now_us == 0)
        l->now_us = clock_mono_us();
    return l->now_us;
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

char *loop_scratch(struct loop *l)
{
    return l->scratch;
}

void loop_defer(struct loop *l, struct loop_job *job)
{
    if (job->is_queued)
        return;
    job->is_queued = true;
    queue_push(&l->deferred, job);
}

void loop_post(struct loop *l, struct loop_job *job)
{
    pthread_mutex_lock(&l->posted_lock);
    job->is_queued = true;
    queue_push(&l->posted, job);
    pthread_mutex_unlock(&l->posted_lock);
    uint64_t one = 1;
    if (write(l->wake_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: the loop is being woken already. */
    }
}

/* Timers ---------------------------------------------------------------------------------- */

static void timer_arm(struct timer *t, int64_t delay_us)
{
    struct timeval tv = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    t->armed_us = loop_now_us(t->loop) + delay_us;
    event_add(&t->event, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct timer *t = arg;
    t->armed_us = 0;
    if (t->due_us == 0)
        return;
    int64_t left_us = t->due_us - loop_now_us(t->loop);
    if (left_us > TIMER_SLACK_US) { /* it was moved to a later time */
        timer_arm(t, left_us);
        return;
    }
    if (left_us < -TIMER_LATE_US && !t->was_late) {
        t->was_late = true;
        timer_arm(t, 0);
        return;
    }
    t->due_us = 0;
    t->run(t->arg);
}

void timer_init(struct timer *t, struct loop *l, void (*run)(void *arg), void *arg)
{
    *t = (struct timer){.loop = l, .run = run, .arg = arg};
    evtimer_assign(&t->event, l->base, on_timer, t);
}

void timer_start(struct timer *t, int64_t delay_ms)
{
    int64_t delay_us = delay_ms > 0 ? delay_ms * 1000 : 0;
    t->due_us = loop_now_us(t->loop) + delay_us;
    t->was_late = false;
    if (t->armed_us == 0 || t->armed_us > t->due_us)
        timer_arm(t, delay_us);
}

void timer_stop(struct timer *t)
{
    t->due_us = 0; /* libevent may still wake us once; on_timer then does nothing */
}

bool timer_is_running(const struct timer *t)
{
    return t->due_us != 0;
}

void timer_done(struct timer *t)
{
    if (!t->loop)
        return;
    event_del(&t->event);
    t->due_us = t->armed_us = 0;
}

/* Signals --------------------------------------------------------------------------------- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what;
    struct loop_signal *s = arg;
    s->run(s->arg, (int)number);
}

void loop_signal_add(struct loop *l, struct loop_signal *s, int signal,
                     void (*run)(void *arg, int signal), void *arg)
{
    s->run = run;
    s->arg = arg;
    event_assign(&s->event, l->base, signal, EV_SIGNAL | EV_PERSIST, on_signal, s);
    event_add(&s->event, NULL);
}

void loop_signal_remove(struct loop_signal *s)
{
    event_del(&s->event);
}

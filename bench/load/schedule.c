/*
 * One timer for what is due, one for the end; idle clients stand on a stack.
 */
#include "schedule.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define TICK_US 1000 /* the timers' resolution: what is due within a tick is due at its begin */

static void set_mark(struct schedule *s, struct mark *m)
{
    *m = (struct mark){
        .is_set = true, .at_us = clock_mono_us(), .n_tokens = s->target->tally->n_tokens};
    for (size_t i = 0; i < s->options->n_clocks; i++) {
        struct timespec t;
        if (clock_gettime(s->options->clocks[i], &t) == 0)
            m->cpu_us += (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
}

static int64_t due_us(const struct schedule *s, int64_t i)
{
    int64_t us = (int64_t)((double)i * 1e6 / s->options->rate);
    return s->start_us + us / TICK_US * TICK_US;
}

static void send_due(void *arg)
{
    struct schedule *s = arg;
    const struct schedule_options *o = s->options;
    int64_t now_us = clock_mono_us();
    while (s->n_sent < o->n_requests && s->n_idle > 0) {
        int64_t from_us = o->rate > 0 ? due_us(s, s->n_sent) : now_us;
        if (from_us > now_us)
            break;
        s->n_sent++;
        client_send(s->idle[--s->n_idle], from_us);
    }
    if (o->rate > 0 && s->n_sent < o->n_requests && !timer_is_running(&s->tick))
        timer_start(&s->tick, TICK_US / 1000);
}

static void stop(struct schedule *s)
{
    if (!s->end.is_set)
        set_mark(s, &s->end);
    loop_stop(s->target->loop);
}

static void on_limit(void *arg)
{
    stop(arg);
}

static void on_signal(void *arg, int number)
{
    (void)number;
    stop(arg);
}

static void on_begun(void *arg)
{
    struct schedule *s = arg;
    if (++s->n_begun != s->options->n_requests)
        return;
    if (s->n_over == 0) /* else there is no time in which all are open */
        set_mark(s, &s->begun);
    if (s->options->holds) {
        puts("open");
        fflush(stdout);
    }
}

static void on_tokens(void *arg)
{
    struct schedule *s = arg;
    int64_t all = s->options->n_requests * s->target->n_tokens;
    while (s->n_parts < SCHEDULE_PARTS &&
           s->target->tally->n_tokens * SCHEDULE_PARTS >= all * ((int64_t)s->n_parts + 1))
        set_mark(s, &s->parts[s->n_parts++]);
}

static void on_over(void *arg, struct client *c)
{
    struct schedule *s = arg;
    s->n_over++;
    if (!s->ending.is_set)
        set_mark(s, &s->ending);
    if (s->n_over == s->options->n_requests) {
        stop(s);
        return;
    }
    s->idle[s->n_idle++] = c;
    send_due(s);
}

static bool make_clients(struct schedule *s)
{
    size_t n = (size_t)s->options->n_clients;
    s->clients = calloc(n, sizeof(*s->clients));
    s->idle = calloc(n, sizeof(struct client *));
    if (!s->clients || !s->idle)
        return false;
    for (size_t i = 0; i < n; i++) {
        client_init(&s->clients[i], s->target);
        s->idle[s->n_idle++] = &s->clients[n - 1 - i];
    }
    return true;
}

bool schedule_run(struct schedule *s, struct target *target, const struct schedule_options *options)
{
    struct loop *loop = target->loop;
    *s = (struct schedule){.options = options, .target = target};
    target->arg = s;
    target->on_begun = on_begun;
    target->on_tokens = on_tokens;
    target->on_over = on_over;
    bool is_fine = make_clients(s);
    timer_init(&s->tick, loop, send_due, s);
    timer_init(&s->limit, loop, on_limit, s);
    loop_signal_add(loop, &s->signal, SIGTERM, on_signal, s);
    if (is_fine) {
        timer_start(&s->limit, options->timeout_ms);
        s->start_us = clock_mono_us();
        set_mark(s, &s->start);
        send_due(s);
        loop_run(loop);
    }
    for (int64_t i = 0; is_fine && i < options->n_clients; i++)
        client_done(&s->clients[i]);
    loop_signal_remove(&s->signal);
    timer_done(&s->tick);
    timer_done(&s->limit);
    return is_fine;
}

void schedule_done(struct schedule *s)
{
    free(s->clients);
    free(s->idle);
}

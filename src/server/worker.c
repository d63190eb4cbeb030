/*
 * A worker thread: its parts, its drain, its scratch memory.
 */
#include "server/worker.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/connection.h"
#include "server/request.h"
#include "server/response.h"

#define HEAD_BYTES_MAX 65536
/* The largest answer, and then some. */
#define OUT_BYTES_MAX (64u << 20)
/* How long an upstream may take to end an answer whose last event has come. */
#define TAIL_MS 2000
/* What large bodies took is given back to the system when none has ended for so long. */
#define TRIM_AFTER_MS 5000
/* Scratch memory beyond this is not kept. */
#define SCRATCH_KEPT_BYTES (1u << 20)

static bool is_draining(const struct worker *w)
{
    return atomic_load(&w->shared->is_draining);
}

/* Draining -------------------------------------------------------------------------------- */

void worker_may_stop(struct worker *w)
{
    if (is_draining(w) && !w->listener && list_is_empty(&w->connections) &&
        list_is_empty(&w->tails))
        loop_stop(w->loop);
}

static void drain(struct worker *w, bool now)
{
    struct listener *listener = w->listener;
    listener_close(w->metrics_listener);
    w->listener = w->metrics_listener = NULL;
    listener_drain(listener);
    models_view_stop(w);
    request_models_arrived(w); /* what there is; they will not come any more */
    LIST_EACH(&w->tails, it, next)
    request_drop_tail(request_of_node(it));
    LIST_EACH(&w->connections, it, next)
    connection_drain(connection_of_node(it), now);
    worker_may_stop(w);
}

static void run_drain(void *arg)
{
    struct worker *w = arg;
    timer_start(&w->drain_timer, w->settings.current->config.drain_timeout_s * 1000);
    drain(w, false);
}

static void run_end_now(void *arg)
{
    struct worker *w = arg;
    waiting_close(&w->shared->waiting);
    drain(w, true);
}

void worker_drain(struct worker *w)
{
    loop_post(w->loop, &w->drain_job);
}

void worker_end_now(struct worker *w)
{
    loop_post(w->loop, &w->end_now_job);
}

/* Tails ----------------------------------------------------------------------------------- */

void worker_keep_tail(struct worker *w, struct list *node)
{
    list_append(&w->tails, node);
    if (!timer_is_running(&w->tail_timer))
        timer_start(&w->tail_timer, TAIL_MS);
}

/* Drops those that are too old. The oldest stands in front. */
static void drop_old_tails(void *arg)
{
    struct worker *w = arg;
    const int64_t now_us = loop_now_us(w->loop);
    LIST_EACH(&w->tails, it, next)
    {
        struct request *r = request_of_node(it);
        const int64_t left_ms = TAIL_MS - (now_us - r->ended_us) / 1000;
        if (left_ms > 0) {
            timer_start(&w->tail_timer, left_ms);
            return;
        }
        request_drop_tail(r);
    }
}

/* Memory ---------------------------------------------------------------------------------- */

/*
 * The memory of a large body is used again by the next one: new memory costs a page fault every
 * 4 KB, a third of such a request. It is kept for as long as they come.
 */
void worker_take_spare(struct worker *w, struct buf *b, size_t n)
{
    if (w->spare.cap < n)
        return;
    *b = (struct buf){.data = w->spare.data, .cap = w->spare.cap, .max = b->max};
    w->spare = (struct buf){0};
}

void worker_keep_spare(struct worker *w, struct buf *b)
{
    const struct buf freed = *b;
    timer_start(&w->trim_timer, TRIM_AFTER_MS);
    if (freed.cap > w->spare.cap) {
        *b = (struct buf){.data = w->spare.data, .cap = w->spare.cap, .max = freed.max};
        w->spare = (struct buf){.data = freed.data, .cap = freed.cap};
    }
    buf_done(b);
}

static void trim(void *arg)
{
    struct worker *w = arg;
    buf_done(&w->spare);
    malloc_trim(0); /* what many at once have left in the allocator, but for the top of its heaps */
}

/* Signs of life --------------------------------------------------------------------------- */

static void run_beat(void *arg)
{
    struct worker *w = arg;
    atomic_store(&w->has_beaten, true);
}

bool worker_beats(struct worker *w)
{
    if (!atomic_exchange(&w->has_beaten, false))
        return false;
    loop_post(w->loop, &w->beat_job);
    return true;
}

/* Life ------------------------------------------------------------------------------------ */

bool worker_init(struct worker *w, struct shared *shared, int port, char *why, size_t why_size)
{
    w->shared = shared;
    list_init(&w->connections);
    list_init(&w->tails);
    list_init(&w->models_waiters);
    buf_init(&w->head, HEAD_BYTES_MAX);
    buf_init(&w->out, OUT_BYTES_MAX);
    w->drain_job = (struct loop_job){.run = run_drain, .arg = w};
    w->end_now_job = (struct loop_job){.run = run_end_now, .arg = w};
    w->beat_job = (struct loop_job){.run = run_beat, .arg = w};
    atomic_init(&w->has_beaten, true);
    models_view_init(w);
    w->loop = loop_create();
    if (!w->loop) {
        snprintf(why, why_size, "cannot make an event loop");
        return false;
    }
    settings_view_init(&w->settings, w->loop, shared->settings);
    timer_init(&w->drain_timer, w->loop, run_end_now, w);
    timer_init(&w->tail_timer, w->loop, drop_old_tails, w);
    timer_init(&w->trim_timer, w->loop, trim, w);
    waiting_room_init(w);
    w->upstream = upstream_create(w->loop, &shared->upstream);
    if (!w->upstream) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    w->listener = shared->listen_fd >= 0 ? listener_adopt(w->loop, shared->listen_fd,
                                                          connection_accept, w, why, why_size)
                                         : listener_open(w->loop, w->settings.current->config.host,
                                                         port, connection_accept, w, why, why_size);
    return w->listener != NULL;
}

bool worker_listen_metrics(struct worker *w, char *why, size_t why_size)
{
    struct authority at;
    if (!listener_address(str_of(w->settings.current->config.metrics_address), &at)) {
        snprintf(why, why_size, "METRICS_ADDRESS is not an address and a port");
        return false;
    }
    if (at.port != 0 && !listener_port_is_free(at.host, at.port, why, why_size))
        return false;
    w->metrics_listener =
        listener_open(w->loop, at.host, at.port, connection_accept_metrics, w, why, why_size);
    if (w->metrics_listener)
        log_line(LOG_INFO, "metrics are served", LOG_Z("metrics_host", at.host),
                 LOG_I("metrics_port", listener_port(w->metrics_listener)));
    return w->metrics_listener != NULL;
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    models_refresh(w);
    loop_run(w->loop);
    w->on_stopped(w->on_stopped_arg);
    return NULL;
}

bool worker_start(struct worker *w)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->has_thread = pthread_create(&w->thread, NULL, thread_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->has_thread;
}

void worker_join(struct worker *w)
{
    if (w->has_thread)
        pthread_join(w->thread, NULL);
    w->has_thread = false;
}

void worker_done(struct worker *w)
{
    if (!w->loop)
        return;
    listener_close(w->listener);
    listener_close(w->metrics_listener);
    timer_done(&w->drain_timer);
    timer_done(&w->tail_timer);
    timer_done(&w->trim_timer);
    waiting_room_done(w);
    models_view_stop(w);
    if (w->upstream)
        upstream_destroy(w->upstream);
    loop_destroy(w->loop);
    models_view_done(w);
    settings_view_done(&w->settings);
    buf_done(&w->head);
    buf_done(&w->out);
    buf_done(&w->spare);
}

/* Scratch --------------------------------------------------------------------------------- */

struct str worker_date(struct worker *w)
{
    const int64_t now_s = clock_unix_ms() / 1000;
    if (now_s != w->date_unix_s) {
        w->date_unix_s = now_s;
        response_date(now_s, w->date, sizeof(w->date));
    }
    return str_of(w->date);
}

static struct buf *emptied(struct buf *b)
{
    if (b->cap > SCRATCH_KEPT_BYTES)
        buf_done(b);
    buf_reset(b);
    return b;
}

struct buf *worker_head_buf(struct worker *w)
{
    return emptied(&w->head);
}

struct buf *worker_out_buf(struct worker *w)
{
    return emptied(&w->out);
}

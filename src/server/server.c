/*
 * The proxy as a whole: what the workers share, their start, signals, the drain.
 */
#include "server/server.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/losses.h"
#include "server/notify.h"
#include "server/policy.h"
#include "server/upstream_config.h"
#include "server/worker.h"

/* What one upstream stream may hold unread while its client does not read. */
#define UPSTREAM_WINDOW_BYTES  262144
#define UPSTREAM_PING_AFTER_MS 30000
#define UPSTREAM_IDLE_CLOSE_MS 90000
#define WORKERS_MAX            256
/* How much longer than it may something is remembered that nobody asks for. */
#define SWEEP_MS 10000

struct server {
    struct shared shared;
    struct loop *loop; /* the main thread's: signals only */
    struct loop_signal on_term, on_int, on_hup;
    struct timer sweep_timer, watchdog_timer;
    struct notify notify;
    int64_t watchdog_us;
    struct loop_job *stopped_jobs; /* one for each worker */
    size_t n_running;
    struct tally losses; /* of all workers, at the end */
    int port;
    int n_signals;
};

/* What the workers share ------------------------------------------------------------------ */

static bool init_keys(struct shared *shared, char *why, size_t why_size)
{
    const struct config *c = shared->config;
    if (!upstream_keys_init(&shared->keys, c->anthropic_api_key, c->anthropic_auth == 1, why,
                            why_size))
        return false;
    shared->policy.binds_conversations = shared->keys.n > 1;
    return true;
}

static bool init_upstream(struct shared *shared, char *why, size_t why_size)
{
    const struct config *c = shared->config;
    struct upstream_settings *u = &shared->upstream;
    *u = (struct upstream_settings){
        .ping_after_ms = UPSTREAM_PING_AFTER_MS,
        .max_connections = (size_t)c->upstream_connections,
        .stream_window_bytes = UPSTREAM_WINDOW_BYTES,
        .idle_close_ms = UPSTREAM_IDLE_CLOSE_MS,
    };
    if (!upstream_of_config(c, u, why, why_size))
        return false;
    u->resolver = resolver_create();
    if (!u->resolver)
        snprintf(why, why_size, "cannot start the resolver thread");
    return u->resolver != NULL;
}

static bool init_memory(struct server *s, char *why, size_t why_size)
{
    const struct config *c = s->shared.config;
    const struct thinking_memory_limits limits = {
        .bytes_max = (size_t)c->memory_bytes,
        .ttl_us = c->memory_ttl_s * 1000000,
    };
    if (limits.bytes_max == 0)
        return true;
    s->shared.memory = thinking_memory_create(&limits);
    if (!s->shared.memory) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    timer_start(&s->sweep_timer, SWEEP_MS);
    return true;
}

static void sweep(void *arg)
{
    struct server *s = arg;
    thinking_memory_sweep(s->shared.memory, loop_now_us(s->loop));
    timer_start(&s->sweep_timer, SWEEP_MS);
}

static bool init_shared(struct server *s, const struct server_options *o, char *why,
                        size_t why_size)
{
    struct shared *shared = &s->shared;
    shared->config = o->config;
    shared->started_unix_ms = clock_unix_ms();
    shared->is_demo = o->is_demo;
    shared->listen_fd = o->listen_fd;
    shared->proxy_key = str_of(o->config->proxy_api_key);
    shared->cors_origins = str_of(o->config->cors_origins);
    shared->policy = policy_of_config(o->config);
    retry_budget_init(&shared->retry_budget);
    admit_init(&shared->admit, o->config->requests_per_minute, o->config->tokens_per_minute);
    if (!waiting_init(&shared->waiting, o->config->max_concurrent)) {
        snprintf(why, why_size, "cannot get random bytes");
        return false;
    }
    return certificate_init(&shared->certificate, o->config, why, why_size) &&
           init_keys(shared, why, why_size) && init_upstream(shared, why, why_size) &&
           init_memory(s, why, why_size);
}

/* A sign of life for the service manager: none while a worker's loop hangs, so that the manager
 * ends a process that serves only some of its connections. A draining one ends by itself. */
static void watch(void *arg)
{
    struct server *s = arg;
    bool are_all_alive = true;
    for (size_t i = 0; s->n_signals == 0 && i < s->shared.n_workers; i++)
        are_all_alive = worker_beats(&s->shared.workers[i]) && are_all_alive;
    if (are_all_alive)
        notify_alive(&s->notify);
    timer_start(&s->watchdog_timer, s->watchdog_us / 2000);
}

/* Stopping -------------------------------------------------------------------------------- */

static void on_worker_gone(void *arg)
{
    struct server *s = arg;
    if (--s->n_running == 0)
        loop_stop(s->loop);
}

/* On the worker's thread. */
static void on_worker_stopped(void *arg)
{
    struct loop_job *job = arg;
    struct server *s = job->arg;
    loop_post(s->loop, job);
}

static void drain_or_end(struct server *s)
{
    const bool is_first = s->n_signals++ == 0;
    atomic_store(&s->shared.is_draining, true);
    for (size_t i = 0; i < s->shared.n_workers; i++) {
        if (is_first)
            worker_drain(&s->shared.workers[i]);
        else if (s->n_signals == 2)
            worker_end_now(&s->shared.workers[i]);
    }
}

static void on_signal(void *arg, int number)
{
    struct server *s = arg;
    log_line(LOG_INFO, s->n_signals == 0 ? "draining" : "ending now",
             LOG_Z("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"),
             LOG_I("connections", atomic_load(&s->shared.n_connections)));
    notify_stopping(&s->notify);
    drain_or_end(s);
}

/* Reloading ------------------------------------------------------------------------------- */

static bool reload_certificate(struct server *s, char *why, size_t why_size)
{
    return certificate_reload(&s->shared.certificate, why, why_size);
}

/* What SIGHUP reads again. One that fails keeps what it has; the others are not held up. */
static const struct {
    const char *what;
    bool (*reload)(struct server *s, char *why, size_t why_size);
} reloads[] = {
    {"certificate", reload_certificate},
};

static void on_reload(void *arg, int number)
{
    (void)number;
    struct server *s = arg;
    char why[512];
    size_t n_failed = 0;
    notify_reloading(&s->notify, clock_mono_us());
    for (size_t i = 0; i < PX_ARRAY_LEN(reloads); i++) {
        if (reloads[i].reload(s, why, sizeof(why)))
            continue;
        n_failed++;
        log_line(LOG_ERROR, "reload failed, the old one stays", LOG_Z("what", reloads[i].what),
                 LOG_Z("reason", why));
    }
    if (n_failed == 0)
        log_line(LOG_INFO, "reloaded", LOG_Z("signal", "SIGHUP"));
    notify_ready(&s->notify, s->port);
}

/* Starting -------------------------------------------------------------------------------- */

static size_t worker_count(const struct config *c)
{
    size_t n = (size_t)c->workers;
    cpu_set_t cpus;
    if (n == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        n = (size_t)CPU_COUNT(&cpus);
    return n == 0 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

static bool init_workers(struct server *s, char *why, size_t why_size)
{
    const struct config *c = s->shared.config;
    const size_t n = worker_count(c);
    s->port = (int)c->port;
    if (s->port != 0 && s->shared.listen_fd < 0 && !c->take_over &&
        !listener_port_is_free(c->host, s->port, why, why_size))
        return false;
    s->shared.workers = calloc(n, sizeof(*s->shared.workers));
    s->stopped_jobs = calloc(n, sizeof(*s->stopped_jobs));
    if (!s->shared.workers || !s->stopped_jobs) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    s->shared.n_workers = n;
    for (size_t i = 0; i < n; i++) {
        struct worker *w = &s->shared.workers[i];
        s->stopped_jobs[i] = (struct loop_job){.run = on_worker_gone, .arg = s};
        w->on_stopped = on_worker_stopped;
        w->on_stopped_arg = &s->stopped_jobs[i];
        if (!worker_init(w, &s->shared, s->port, why, why_size))
            return false;
        s->port = listener_port(w->listener);
    }
    return c->metrics_address[0] == '\0' ||
           worker_listen_metrics(&s->shared.workers[0], why, why_size);
}

static bool start_workers(struct server *s, char *why, size_t why_size)
{
    for (size_t i = 0; i < s->shared.n_workers; i++) {
        if (!worker_start(&s->shared.workers[i])) {
            snprintf(why, why_size, "cannot start a thread");
            return false;
        }
        s->n_running++;
    }
    return true;
}

static void init_timers(struct server *s)
{
    timer_init(&s->sweep_timer, s->loop, sweep, s);
    timer_init(&s->watchdog_timer, s->loop, watch, s);
}

struct server *server_start(const struct server_options *o, char *why, size_t why_size)
{
    struct server *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    learned_init(&s->shared.learned);
    notify_init(&s->notify, o->notify_socket);
    s->watchdog_us = o->watchdog_us;
    s->loop = loop_create();
    if (s->loop)
        init_timers(s);
    else
        snprintf(why, why_size, "cannot make an event loop");
    if (!s->loop || !init_shared(s, o, why, why_size) || !init_workers(s, why, why_size)) {
        server_destroy(s);
        return NULL;
    }
    loop_signal_add(s->loop, &s->on_term, SIGTERM, on_signal, s);
    loop_signal_add(s->loop, &s->on_int, SIGINT, on_signal, s);
    loop_signal_add(s->loop, &s->on_hup, SIGHUP, on_reload, s);
    if (!start_workers(s, why, why_size)) {
        server_destroy(s);
        return NULL;
    }
    log_line(LOG_INFO, "listening", LOG_Z("host", o->config->host), LOG_I("port", s->port),
             LOG_Z("scheme", certificate_is_set(&s->shared.certificate) ? "https" : "http"),
             LOG_I("workers", s->shared.n_workers),
             LOG_Z("upstream", s->shared.upstream.origin.authority));
    const struct authority *proxy = &s->shared.upstream.egress.proxy.at;
    if (proxy->host[0])
        log_line(LOG_INFO, "the upstream is reached by way of a proxy", LOG_Z("host", proxy->host),
                 LOG_I("port", proxy->port));
    notify_ready(&s->notify, s->port);
    if (s->watchdog_us > 0)
        watch(s);
    return s;
}

void server_run(struct server *s)
{
    if (s->n_running > 0)
        loop_run(s->loop);
}

void server_destroy(struct server *s)
{
    if (!s)
        return;
    if (s->n_running > 0) { /* server_run was not called, or the start failed half-way */
        s->n_signals = 1;
        drain_or_end(s);
        loop_run(s->loop);
    }
    for (size_t i = 0; i < s->shared.n_workers; i++) {
        worker_join(&s->shared.workers[i]);
        tally_sum(&s->losses, &s->shared.workers[i].metrics.losses);
    }
    losses_log(&s->losses);
    for (size_t i = 0; i < s->shared.n_workers; i++)
        worker_done(&s->shared.workers[i]);
    resolver_destroy(s->shared.upstream.resolver);
    upstream_of_config_done(&s->shared.upstream);
    certificate_done(&s->shared.certificate);
    if (s->loop && s->on_term.run) {
        loop_signal_remove(&s->on_term);
        loop_signal_remove(&s->on_int);
        loop_signal_remove(&s->on_hup);
    }
    timer_done(&s->sweep_timer);
    timer_done(&s->watchdog_timer);
    notify_done(&s->notify);
    loop_destroy(s->loop);
    thinking_memory_destroy(s->shared.memory);
    learned_done(&s->shared.learned);
    waiting_done(&s->shared.waiting);
    free(s->shared.workers);
    free(s->stopped_jobs);
    upstream_keys_done(&s->shared.keys);
    free(s);
}

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
    bool (*read_config)(void *arg, struct config *ret, const struct config *before, char *why,
                        size_t why_size);
    void *read_config_arg;
    struct settings_round round;
    bool is_reloading, reloads_again, has_reload_failed;
    struct loop_job *stopped_jobs; /* one for each worker */
    size_t n_running;
    struct tally losses; /* of all workers, at the end */
    int port;
    int n_signals;
};

/* What the workers share ------------------------------------------------------------------ */

static bool init_upstream(struct shared *shared, char *why, size_t why_size)
{
    const struct config *c = &shared->settings->config;
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
    const struct config *c = &s->shared.settings->config;
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
    shared->started_unix_ms = clock_unix_ms();
    shared->is_demo = o->is_demo;
    shared->listen_fd = o->listen_fd;
    shared->settings = settings_create(o->config, NULL, why, why_size);
    if (!shared->settings)
        return false;
    const struct config *c = &shared->settings->config;
    retry_budget_init(&shared->retry_budget);
    admit_init(&shared->admit, c->requests_per_minute, c->tokens_per_minute);
    if (!waiting_init(&shared->waiting, c->max_concurrent)) {
        snprintf(why, why_size, "cannot get random bytes");
        return false;
    }
    return certificate_init(&shared->certificate, c, why, why_size) &&
           init_upstream(shared, why, why_size) && init_memory(s, why, why_size);
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
    notify_stopping(&s->notify, server_config(s)->drain_timeout_s);
    drain_or_end(s);
}

/* Reloading ------------------------------------------------------------------------------- */

static bool reload_certificate(struct server *s, char *why, size_t why_size)
{
    return certificate_reload(&s->shared.certificate, &s->shared.settings->config, why, why_size);
}

static void log_kept(void *arg, const char *name)
{
    (void)arg;
    log_line(LOG_WARNING, "a changed setting needs a restart", LOG_Z("name", name));
}

static void log_change(void *arg, const char *name, struct str value)
{
    (void)arg;
    log_line(LOG_INFO, "setting changed", LOG_Z("name", name), LOG_S("value", value));
}

/* Changes are logged by the one of the two levels that says more. */
static size_t log_changes(const struct config *before, const struct config *now)
{
    const int64_t lower = now->log_level < before->log_level ? now->log_level : before->log_level;
    log_set_level((enum log_level)lower);
    const size_t n = config_compare(before, now, log_change, NULL);
    log_set_level((enum log_level)now->log_level);
    return n;
}

static void serve_with(struct server *s, struct settings *settings)
{
    struct shared *shared = &s->shared;
    const struct config *c = &settings->config;
    settings_drop(shared->settings);
    shared->settings = settings;
    admit_resize(&shared->admit, clock_mono_us(), c->requests_per_minute, c->tokens_per_minute);
    waiting_resize(shared, clock_mono_us(), c->max_concurrent);
    settings_round_begin(&s->round, shared->n_workers);
    for (size_t i = 0; i < shared->n_workers; i++)
        settings_deliver(&shared->workers[i].settings, &s->round, settings);
}

static bool reload_settings(struct server *s, char *why, size_t why_size)
{
    struct config config = {0};
    struct settings *new = NULL;
    if (!s->read_config)
        return true;
    const struct settings *old = s->shared.settings;
    if (s->read_config(s->read_config_arg, &config, &old->config, why, why_size)) {
        if (config_keep(&config, &old->config, log_kept, NULL))
            new = settings_create(&config, old, why, why_size);
        else
            snprintf(why, why_size, "out of memory");
    }
    config_done(&config);
    if (!new)
        return false;
    if (log_changes(&old->config, &new->config) > 0)
        serve_with(s, new);
    else
        settings_drop(new);
    return true;
}

/* What SIGHUP reads again. One that fails keeps what it has; the others are not held up. */
static const struct {
    const char *what;
    bool (*reload)(struct server *s, char *why, size_t why_size);
} reloads[] = {
    {"certificate", reload_certificate},
    {"settings", reload_settings},
};

static void reload(struct server *s);

/* All workers serve with what was read. */
static void end_reload(struct server *s)
{
    s->is_reloading = false;
    if (s->n_signals > 0)
        return;
    if (!s->has_reload_failed)
        log_line(LOG_INFO, "reloaded", LOG_Z("signal", "SIGHUP"));
    notify_ready(&s->notify, s->port, s->has_reload_failed);
    if (s->reloads_again)
        reload(s);
}

static void on_settings_taken(void *arg)
{
    struct server *s = arg;
    atomic_store(&s->shared.models.due_us, 0); /* models_cache.c says why */
    end_reload(s);
}

static void reload(struct server *s)
{
    char why[512];
    s->is_reloading = true;
    s->reloads_again = s->has_reload_failed = false;
    notify_reloading(&s->notify, clock_mono_us());
    for (size_t i = 0; i < PX_ARRAY_LEN(reloads); i++) {
        if (reloads[i].reload(s, why, sizeof(why)))
            continue;
        s->has_reload_failed = true;
        log_line(LOG_ERROR, "reload failed, the old one stays", LOG_Z("what", reloads[i].what),
                 LOG_Z("reason", why));
    }
    if (!s->round.is_open) /* nothing has changed */
        end_reload(s);
}

static void on_reload(void *arg, int number)
{
    (void)number;
    struct server *s = arg;
    if (s->n_signals > 0)
        log_line(LOG_WARNING, "draining: nothing is reloaded", LOG_Z("signal", "SIGHUP"));
    else if (s->is_reloading)
        s->reloads_again = true;
    else
        reload(s);
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
    const struct config *c = &s->shared.settings->config;
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

static void init_reloads(struct server *s, const struct server_options *o)
{
    s->read_config = o->read_config;
    s->read_config_arg = o->read_config_arg;
    settings_round_init(&s->round, s->loop, on_settings_taken, s);
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
    init_reloads(s, o);
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
    log_line(LOG_INFO, "listening", LOG_Z("host", s->shared.settings->config.host),
             LOG_I("port", s->port),
             LOG_Z("scheme", certificate_is_set(&s->shared.certificate) ? "https" : "http"),
             LOG_I("workers", s->shared.n_workers),
             LOG_Z("upstream", s->shared.upstream.origin.authority));
    const struct authority *proxy = &s->shared.upstream.egress.proxy.at;
    if (proxy->host[0])
        log_line(LOG_INFO, "the upstream is reached by way of a proxy", LOG_Z("host", proxy->host),
                 LOG_I("port", proxy->port));
    notify_ready(&s->notify, s->port, false);
    if (s->watchdog_us > 0)
        watch(s);
    return s;
}

const struct config *server_config(const struct server *s)
{
    return &s->shared.settings->config;
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
    settings_drop(s->shared.settings);
    free(s);
}

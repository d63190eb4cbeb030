/*
 * Threads and listeners: each worker has its own loop and its own socket on the shared port.
 */
#include "sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/directive.h"
#include "sim/worker.h"

#define SCRATCH_BYTES_MAX (64u * 1024 * 1024)
#define WORKERS_MAX       256
#define DIRECTIVES_ARENA  65536

static void *run_worker(void *arg)
{
    struct sim_worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

/* On the worker's own thread, for nothing else may touch its connections. */
static void stop_worker(void *arg)
{
    struct sim_worker *w = arg;
    listener_close(w->listener);
    w->listener = NULL;
    conn_close_all(w);
    loop_stop(w->loop);
}

static bool open_worker(struct sim *s, int i, const struct sim_options *o, char *why,
                        size_t why_size)
{
    struct sim_worker *w = &s->workers[i];
    w->sim = s;
    w->index = i;
    w->stop_job = (struct loop_job){.run = stop_worker, .arg = w};
    list_init(&w->conns);
    buf_init(&w->scratch, SCRATCH_BYTES_MAX);
    w->loop = loop_create();
    if (!w->loop) {
        snprintf(why, why_size, "cannot create an event loop");
        return false;
    }
    w->listener =
        listener_open(w->loop, o->host, i == 0 ? o->port : s->port, conn_accept, w, why, why_size);
    if (!w->listener)
        return false;
    s->port = listener_port(w->listener);
    return true;
}

/* The process' signals belong to whoever started us. */
static bool start_thread(struct sim_worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->is_running = pthread_create(&w->thread, NULL, run_worker, w) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return w->is_running;
}

static bool check_directives(const char *text, char *why, size_t why_size)
{
    struct arena a;
    struct directives d;
    struct sim_error err;
    arena_init(&a, DIRECTIVES_ARENA);
    directives_init(&d);
    bool ok =
        strlen(text) < RECORD_DIRECTIVES_BYTES && directives_parse(&d, str_of(text), &a, &err);
    if (!ok)
        snprintf(why, why_size, "the simulator's directives are not valid: %s", text);
    arena_done(&a);
    return ok;
}

static bool set_up(struct sim *s, const struct sim_options *o, char *why, size_t why_size)
{
    s->n_workers = o->workers < 1 ? 1 : o->workers > WORKERS_MAX ? WORKERS_MAX : o->workers;
    s->max_streams = o->max_streams > 0 ? (uint32_t)o->max_streams : 0;
    s->record = record_create();
    s->cache = cache_create();
    s->workers = calloc((size_t)s->n_workers, sizeof(*s->workers));
    if (!s->record || !s->cache || !s->workers) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    if (o->directives) {
        if (!check_directives(o->directives, why, why_size))
            return false;
        memcpy(s->directives, o->directives, strlen(o->directives) + 1);
    }
    if (o->cert_file && o->key_file) {
        const struct tls_server_options options = {
            .cert_file = o->cert_file, .key_file = o->key_file, .offers_h2 = true};
        s->tls = tls_server_context(&options, why, why_size);
        if (!s->tls)
            return false;
    }
    if (o->port > 0 && !listener_port_is_free(o->host, o->port, why, why_size))
        return false; /* SO_REUSEPORT would share it with a stranger */
    for (int i = 0; i < s->n_workers; i++)
        if (!open_worker(s, i, o, why, why_size))
            return false;
    for (int i = 0; i < s->n_workers; i++)
        if (!start_thread(&s->workers[i])) {
            snprintf(why, why_size, "cannot start a thread");
            return false;
        }
    return true;
}

struct sim *sim_start(const struct sim_options *o, char *why, size_t why_size)
{
    struct sim *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    if (!set_up(s, o, why, why_size)) {
        sim_stop(s);
        return NULL;
    }
    return s;
}

int sim_port(const struct sim *s)
{
    return s->port;
}

static void close_worker(struct sim_worker *w)
{
    if (w->is_running) {
        loop_post(w->loop, &w->stop_job);
        pthread_join(w->thread, NULL);
    }
    if (!w->loop)
        return;
    listener_close(w->listener);
    loop_destroy(w->loop); /* runs what was put off: the connections and exchanges go here */
    buf_done(&w->scratch);
}

void sim_stop(struct sim *s)
{
    if (!s)
        return;
    for (int i = 0; s->workers && i < s->n_workers; i++)
        close_worker(&s->workers[i]);
    tls_context_destroy(s->tls);
    record_destroy(s->record);
    cache_destroy(s->cache);
    free(s->workers);
    free(s);
}

/*
 * Fetching, joining and handing out the upstream's list of models.
 */
#include "server/models_cache.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/request.h"
#include "server/upstream_headers.h"
#include "server/worker.h"

#define PAGE_BYTES_MAX      (4u << 20)
#define PAGES_MAX           20
#define FETCH_IDLE_MS       10000
#define RETRY_AFTER_FAIL_US (30 * INT64_C(1000000))
#define PAGE_PATH_MAX       512

struct models_snapshot {
    _Atomic size_t references;
    struct tr_models *models; /* NULL: the fetch failed */
};

struct models_fetch {
    struct worker *worker;
    struct upstream_call *call;
    struct tr_models *models;
    struct buf page;
    int status, n_pages;
    size_t key; /* of upstream_keys */
    struct loop_job next_page_job, free_job;
    char path[PAGE_PATH_MAX];
    /* Borrowed by the call for as long as it may be sent again. */
    struct settings *settings;
    struct upstream_request request;
    struct upstream_header headers[UPSTREAM_HEADERS_MAX];
};

/* Snapshots ------------------------------------------------------------------------------- */

static void snapshot_drop(struct models_snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) != 1)
        return;
    tr_models_destroy(s->models);
    free(s);
}

/* Runs on each worker's loop: takes what the fetching worker has put there. */
static void take_delivery(void *arg)
{
    struct worker *w = arg;
    struct models_snapshot *s = atomic_exchange(&w->models.incoming, NULL);
    if (!s)
        return;
    w->models.was_attempted = true;
    if (s->models) {
        snapshot_drop(w->models.current);
        w->models.current = s;
    } else {
        snapshot_drop(s); /* a failure: the old list stays */
    }
    request_models_arrived(w);
}

static void deliver(struct shared *shared, struct models_snapshot *s)
{
    for (size_t i = 0; i < shared->n_workers; i++) {
        struct worker *w = &shared->workers[i];
        struct models_snapshot *unseen = atomic_exchange(&w->models.incoming, s);
        if (unseen)
            snapshot_drop(unseen); /* its job is on the way and will find the new one */
        else
            loop_post(w->loop, &w->models.job);
    }
}

/* Fetching -------------------------------------------------------------------------------- */

static void free_fetch(void *arg)
{
    struct models_fetch *f = arg;
    tr_models_destroy(f->models);
    buf_done(&f->page);
    settings_drop(f->settings);
    free(f);
}

static void release_fetch(struct models_fetch *f)
{
    f->worker->models.fetch = NULL;
    loop_defer(f->worker->loop, &f->free_job);
}

/* Until the next fetch. What was asked for with settings of before a reload is not waited on:
 * another key may see other models. */
static int64_t wait_us_after(const struct models_fetch *f, bool is_fine)
{
    if (f->settings != f->worker->settings.current)
        return 0;
    return is_fine ? f->settings->config.models_cache_s * 1000000 : RETRY_AFTER_FAIL_US;
}

/* `models` is taken; NULL when the fetch failed. */
static void finish_fetch(struct models_fetch *f, struct tr_models *models)
{
    struct shared *shared = f->worker->shared;
    const int64_t wait_us = wait_us_after(f, models != NULL);
    struct models_snapshot *s = malloc(sizeof(*s));
    if (s) {
        atomic_init(&s->references, shared->n_workers);
        s->models = models;
        deliver(shared, s);
    } else {
        tr_models_destroy(models);
    }
    atomic_store(&shared->models.due_us, loop_now_us(f->worker->loop) + wait_us);
    atomic_store(&shared->models.is_fetching, false);
    release_fetch(f);
}

static void fail_fetch(struct models_fetch *f, const char *why)
{
    log_line(LOG_WARNING, "the upstream's list of models could not be fetched", LOG_Z("why", why));
    finish_fetch(f, NULL);
}

static void on_head(void *arg, int status, const struct upstream_header *headers, size_t n)
{
    (void)headers;
    (void)n;
    struct models_fetch *f = arg;
    struct shared *shared = f->worker->shared;
    const int64_t now_us = loop_now_us(f->worker->loop);
    f->status = status;
    health_saw_status(&shared->health, now_us, status);
    /* That a key may list models says nothing of its limits and its credit. */
    if (status == 401)
        upstream_keys_saw(&f->settings->keys, f->key, now_us, status, 0);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct models_fetch *f = arg;
    if (buf_append(&f->page, p, n))
        return;
    upstream_cancel(f->call);
    f->call = NULL;
    fail_fetch(f, "a page is too large");
}

static void take_models(struct models_fetch *f)
{
    struct tr_models *models = f->models;
    f->models = NULL;
    finish_fetch(f, models);
}

/* Whether `s` can stand in a query as it is: model ids can. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.';
        if (!fine)
            return false;
    }
    return s.n > 0 && s.n < PAGE_PATH_MAX / 2;
}

static void on_end(void *arg)
{
    struct models_fetch *f = arg;
    f->call = NULL;
    struct str after = {0};
    if (f->status != 200) {
        char why[32];
        snprintf(why, sizeof(why), "status %d", f->status);
        fail_fetch(f, why);
        return;
    }
    if (!tr_models_add_page(f->models, buf_str(&f->page), &after)) {
        fail_fetch(f, "the answer is not a list of models");
        return;
    }
    f->n_pages++;
    if (after.n == 0 || f->n_pages == PAGES_MAX || !is_plain(after)) {
        take_models(f);
        return;
    }
    snprintf(f->path, sizeof(f->path), "/v1/models?limit=1000&after_id=%.*s", STR_ARG(after));
    loop_defer(f->worker->loop, &f->next_page_job);
}

static void on_fail(void *arg, enum upstream_failure why, const char *detail)
{
    struct models_fetch *f = arg;
    f->call = NULL;
    if (why != UPSTREAM_CLOSING)
        health_saw_failure(&f->worker->shared->health, loop_now_us(f->worker->loop), why);
    fail_fetch(f, detail);
}

static void fetch_page(void *arg)
{
    static const struct upstream_callbacks callbacks = {on_head, on_data, on_end, on_fail};
    struct models_fetch *f = arg;
    if (f->worker->models.fetch != f)
        return; /* stopped meanwhile */
    buf_reset(&f->page);
    const int64_t now_us = loop_now_us(f->worker->loop);
    f->key = upstream_keys_choose(&f->settings->keys, now_us, 0, 0);
    size_t n = upstream_headers_common(&f->settings->keys, f->key, f->headers);
    f->headers[n++] = (struct upstream_header){STR("accept"), STR("application/json")};
    f->headers[n++] = (struct upstream_header){STR("anthropic-version"), STR("2023-06-01")};
    f->request = (struct upstream_request){
        .method = STR("GET"),
        .path = str_of(f->path),
        .headers = f->headers,
        .n_headers = n,
        .idle_timeout_ms = FETCH_IDLE_MS,
    };
    f->call = upstream_start(f->worker->upstream, &f->request, &callbacks, f);
    if (!f->call)
        fail_fetch(f, "out of memory");
}

static void start_fetch(struct worker *w)
{
    struct models_fetch *f = calloc(1, sizeof(*f));
    if (!f || !(f->models = tr_models_create())) {
        free(f);
        atomic_store(&w->shared->models.is_fetching, false);
        return;
    }
    f->worker = w;
    f->settings = settings_hold(w->settings.current);
    buf_init(&f->page, PAGE_BYTES_MAX);
    f->next_page_job = (struct loop_job){.run = fetch_page, .arg = f};
    f->free_job = (struct loop_job){.run = free_fetch, .arg = f};
    snprintf(f->path, sizeof(f->path), "/v1/models?limit=1000");
    w->models.fetch = f;
    fetch_page(f);
}

void models_refresh(struct worker *w)
{
    struct models_cache *cache = &w->shared->models;
    if (atomic_load(&w->shared->is_draining) || loop_now_us(w->loop) < atomic_load(&cache->due_us))
        return;
    if (!atomic_exchange(&cache->is_fetching, true))
        start_fetch(w);
}

const struct tr_models *models_current(struct worker *w)
{
    models_refresh(w);
    return w->models.current ? w->models.current->models : NULL;
}

void models_view_init(struct worker *w)
{
    atomic_init(&w->models.incoming, NULL);
    w->models.job = (struct loop_job){.run = take_delivery, .arg = w};
}

void models_view_stop(struct worker *w)
{
    struct models_fetch *f = w->models.fetch;
    if (!f)
        return;
    if (f->call)
        upstream_cancel(f->call);
    f->call = NULL;
    release_fetch(f);
}

void models_view_done(struct worker *w)
{
    snapshot_drop(atomic_exchange(&w->models.incoming, NULL));
    snapshot_drop(w->models.current);
    w->models.current = NULL;
}

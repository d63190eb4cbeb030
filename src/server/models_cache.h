/*
 * The upstream's list of models: fetched in the background at the start and when it is older than
 * MODELS_CACHE_SECONDS, one fetch at a time in the whole process, the old list served meanwhile
 * and on failure. The list is immutable; each worker holds its own reference and gets a new one
 * through its loop, so reading it takes no lock.
 */
#ifndef SERVER_MODELS_CACHE_H
#define SERVER_MODELS_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"
#include "translate/model.h"

struct worker;
struct models_snapshot; /* counted references to one list */
struct models_fetch;    /* a fetch under way */

/* Shared by the workers. */
struct models_cache {
    _Atomic bool is_fetching;
    _Atomic int64_t due_us; /* when the next fetch is worth it, monotonic */
};

/* One worker's side. */
struct models_view {
    struct models_snapshot *current;
    _Atomic(struct models_snapshot *) incoming; /* put there by the worker that fetched */
    struct loop_job job;
    struct models_fetch *fetch; /* this worker is the one that fetches */
    bool was_attempted;         /* a fetch has ended, well or not */
};

void models_view_init(struct worker *w);
/* Cancels this worker's fetch; nothing is delivered any more. */
void models_view_stop(struct worker *w);
void models_view_done(struct worker *w);

/* Fetches if it is due and nobody does. */
void models_refresh(struct worker *w);
/* The list as this worker knows it, NULL when there is none; refreshes it when it is old. */
const struct tr_models *models_current(struct worker *w);

#endif

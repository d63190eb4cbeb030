/*
 * The settings that requests are served with: a snapshot that never changes. A reload makes another
 * one; each worker takes it on its own loop, and what began under the old one ends under it. The
 * last holder wipes and frees it.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "net/loop.h"
#include "server/upstream_keys.h"
#include "translate/request.h"

struct settings {
    struct config config;
    struct tr_policy policy;
    struct str proxy_key;      /* empty: everybody may */
    struct str cors_origins;   /* empty: off */
    struct upstream_keys keys; /* what requests to the upstream are sent with */
    _Atomic size_t references;
};

/* A new snapshot on its way to the workers. */
struct settings_round {
    _Atomic size_t n_left; /* workers that have not taken it */
    bool is_open;          /* the main thread's: it has begun, and `taken` has not run */
    struct loop *loop;
    struct loop_job job;
    void (*taken)(void *arg);
    void *arg;
};

/* A worker's own view. */
struct settings_view {
    struct settings *current;
    struct settings *incoming; /* written before `job` is posted, read when it runs */
    struct settings_round *round;
    struct loop *loop;
    struct loop_job job;
};

/*
 * One reference, the caller's. The texts of `config` are taken on success. NULL with a reason.
 * `before`, if any: the one it comes after.
 */
struct settings *settings_create(struct config *config, const struct settings *before, char *why,
                                 size_t why_size);
struct settings *settings_hold(struct settings *s);
/* From any thread. Accepts NULL. */
void settings_drop(struct settings *s);

/* Before the thread of `loop` starts: holds `s`. */
void settings_view_init(struct settings_view *v, struct loop *loop, struct settings *s);
/* After it has ended. Accepts a zeroed view. */
void settings_view_done(struct settings_view *v);
/* `taken` runs on `loop`, the main thread's, when all views have what was delivered. */
void settings_round_init(struct settings_round *round, struct loop *loop, void (*taken)(void *arg),
                         void *arg);
/* For `n` views, at least one, each of which is then to be delivered to. Not while one is open. */
void settings_round_begin(struct settings_round *round, size_t n);
/* From the main thread: the view takes `s` in its loop's next turn. */
void settings_deliver(struct settings_view *v, struct settings_round *round, struct settings *s);

#endif

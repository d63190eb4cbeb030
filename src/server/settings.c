/*
 * Counted references, and the hand-over from the main thread to each worker's loop.
 */
#include "server/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/policy.h"

struct settings *settings_create(struct config *config, const struct settings *before, char *why,
                                 size_t why_size)
{
    struct settings *s = calloc(1, sizeof(*s));
    if (!s) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    if (!upstream_keys_init(&s->keys, config->anthropic_api_key, config->anthropic_auth == 1, why,
                            why_size)) {
        upstream_keys_done(&s->keys);
        free(s);
        return NULL;
    }
    if (before)
        upstream_keys_inherit(&s->keys, &before->keys);
    s->config = *config;
    *config = (struct config){0};
    s->policy = policy_of_config(&s->config);
    s->policy.binds_conversations = s->keys.n > 1;
    s->proxy_key = str_of(s->config.proxy_api_key);
    s->cors_origins = str_of(s->config.cors_origins);
    atomic_init(&s->references, 1);
    return s;
}

struct settings *settings_hold(struct settings *s)
{
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    return s;
}

void settings_drop(struct settings *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) != 1)
        return;
    upstream_keys_done(&s->keys);
    config_done(&s->config);
    free(s);
}

static void end_round(void *arg)
{
    struct settings_round *round = arg;
    round->is_open = false;
    round->taken(round->arg);
}

void settings_round_init(struct settings_round *round, struct loop *loop, void (*taken)(void *arg),
                         void *arg)
{
    *round = (struct settings_round){
        .loop = loop,
        .job = {.run = end_round, .arg = round},
        .taken = taken,
        .arg = arg,
    };
}

void settings_round_begin(struct settings_round *round, size_t n)
{
    atomic_store(&round->n_left, n);
    round->is_open = true;
}

/* On the worker's loop. */
static void take_delivery(void *arg)
{
    struct settings_view *v = arg;
    struct settings_round *round = v->round;
    settings_drop(v->current);
    v->current = v->incoming;
    v->incoming = NULL;
    if (atomic_fetch_sub(&round->n_left, 1) == 1)
        loop_post(round->loop, &round->job);
}

void settings_view_init(struct settings_view *v, struct loop *loop, struct settings *s)
{
    *v = (struct settings_view){
        .current = settings_hold(s),
        .loop = loop,
        .job = {.run = take_delivery, .arg = v},
    };
}

void settings_view_done(struct settings_view *v)
{
    settings_drop(v->incoming); /* a draining worker's loop may have ended before */
    settings_drop(v->current);
    v->current = v->incoming = NULL;
}

void settings_deliver(struct settings_view *v, struct settings_round *round, struct settings *s)
{
    v->incoming = settings_hold(s);
    v->round = round;
    loop_post(v->loop, &v->job);
}

/*
 * A small table; the oldest entry makes room.
 */
#include "server/learned.h"

#include <string.h>

void learned_init(struct learned *l)
{
    pthread_mutex_init(&l->lock, NULL);
    atomic_init(&l->n, 0);
}

void learned_done(struct learned *l)
{
    pthread_mutex_destroy(&l->lock);
}

static struct learned_entry *find(struct learned *l, struct str model)
{
    const size_t n = atomic_load(&l->n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(str_of(l->entries[i].model), model))
            return &l->entries[i];
    return NULL;
}

static void add_known(struct learned *l, int64_t now_us, struct str model, struct tr_amend *to)
{
    const struct learned_entry *entry = find(l, model);
    if (entry && entry->until_us > now_us)
        tr_amend_add(to, entry->amend);
}

struct tr_amend learned_of(struct learned *l, int64_t now_us, struct str model)
{
    struct tr_amend known = {0};
    if (atomic_load(&l->n) == 0)
        return known;
    pthread_mutex_lock(&l->lock);
    add_known(l, now_us, (struct str){0}, &known);
    add_known(l, now_us, model, &known);
    pthread_mutex_unlock(&l->lock);
    return known;
}

/* A free entry, or the one that is forgotten first. */
static struct learned_entry *make_room(struct learned *l)
{
    const size_t n = atomic_load(&l->n);
    if (n < LEARNED_MODELS_MAX) {
        atomic_store(&l->n, n + 1);
        return &l->entries[n];
    }
    struct learned_entry *oldest = &l->entries[0];
    for (size_t i = 1; i < n; i++)
        if (l->entries[i].until_us < oldest->until_us)
            oldest = &l->entries[i];
    return oldest;
}

static void keep(struct learned *l, int64_t now_us, struct str model, struct tr_amend amend)
{
    struct learned_entry *entry = find(l, model);
    if (!entry) {
        entry = make_room(l);
        *entry = (struct learned_entry){.until_us = 0};
        memcpy(entry->model, model.n ? model.p : "", model.n);
    }
    if (entry->until_us <= now_us)
        entry->amend = (struct tr_amend){0};
    tr_amend_add(&entry->amend, amend);
    entry->until_us = now_us + LEARNED_FOR_US;
}

void learned_add(struct learned *l, int64_t now_us, struct str model, struct tr_amend amend)
{
    struct tr_amend of_upstream = amend, of_model = amend;
    of_upstream.refuses &= TR_REFUSALS_OF_UPSTREAM;
    of_model.refuses &= ~(TR_REFUSALS_OF_UPSTREAM | TR_REFUSALS_OF_REQUEST);
    pthread_mutex_lock(&l->lock);
    if (of_upstream.refuses)
        keep(l, now_us, (struct str){0}, of_upstream);
    if (of_model.refuses && model.n > 0 && model.n < LEARNED_MODEL_BYTES_MAX)
        keep(l, now_us, model, of_model);
    pthread_mutex_unlock(&l->lock);
}

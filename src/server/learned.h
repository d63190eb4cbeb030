/*
 * What upstream errors have taught, for all workers: the next request to the same model does not
 * pay for it again. Limited in number and time, for models and upstreams change.
 */
#ifndef SERVER_LEARNED_H
#define SERVER_LEARNED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "translate/amend.h"

#define LEARNED_MODELS_MAX      64
#define LEARNED_MODEL_BYTES_MAX 128
#define LEARNED_FOR_US          INT64_C(3600000000)

struct learned_entry {
    char model[LEARNED_MODEL_BYTES_MAX]; /* "": true of the upstream, whatever the model */
    struct tr_amend amend;
    int64_t until_us;
};

struct learned {
    pthread_mutex_t lock; /* guards `entries`; nobody takes it before something was learned */
    _Atomic size_t n;
    struct learned_entry entries[LEARNED_MODELS_MAX];
};

void learned_init(struct learned *l);
void learned_done(struct learned *l);
/* What is known of `model`. */
struct tr_amend learned_of(struct learned *l, int64_t now_us, struct str model);
/* Keeps of `amend` what will be true of other requests. */
void learned_add(struct learned *l, int64_t now_us, struct str model, struct tr_amend amend);

#endif

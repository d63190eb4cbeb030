/*
 * Prompt caching: which beginnings of which conversations were marked before, and what a request
 * reads and writes of them.
 */
#ifndef SIM_CACHE_H
#define SIM_CACHE_H

#include <stdint.h>

#include "base/str.h"
#include "sim/sim_model.h"
#include "json/json.h"

#define CACHE_ENTRIES    4096 /* remembered beginnings; the oldest go first */
#define CACHE_TOKENS_MIN 1024 /* shorter beginnings are not kept */

struct cache;

struct cache_usage {
    int64_t read, write;
    int64_t write_1h; /* of `write` */
};

struct cache *cache_create(void);
void cache_destroy(struct cache *c);
void cache_forget(struct cache *c);
/* What a request costs, remembering it. `account` tells the keys of organisations apart. */
void cache_use(struct cache *c, yyjson_val *root, struct str account, const struct sim_model *model,
               struct cache_usage *ret);

#endif

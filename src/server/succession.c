/*
 * Says in the log which retired model is served by which, once for each: prices and counts of
 * tokens change with it, and only the operator sees both.
 */
#include "server/succession.h"

#include "base/log.h"
#include "base/utf8.h"

#define NAME_BYTES_MAX 128

/* FNV-1a; never 0, which stands for a free place. */
static uint64_t hash_of(struct str name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.n; i++)
        hash = (hash ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

bool succession_is_new(struct succession *s, struct str name)
{
    const uint64_t hash = hash_of(name);
    for (size_t i = 0; i < SUCCESSIONS_MAX; i++) {
        uint64_t there = atomic_load(&s->seen[i]);
        if (there == 0 && atomic_compare_exchange_strong(&s->seen[i], &there, hash))
            return true;
        if (there == hash) /* also when another worker was faster */
            return false;
    }
    return false;
}

void succession_log(struct succession *s, struct str asked, struct str served)
{
    asked = utf8_cut(asked, NAME_BYTES_MAX);
    if (succession_is_new(s, asked))
        log_line(LOG_WARNING,
                 "a retired model is served by its successor, at the successor's prices",
                 LOG_S("asked_model", asked), LOG_S("served_model", served));
}

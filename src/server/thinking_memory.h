/*
 * The answers that are remembered so that their signed thinking can go back upstream, for all
 * workers (translate/memory.h says what and under which keys). Bounded in bytes and in time; what
 * was not used for longest makes room. One lock, held for a look-up or for moving an entry: only
 * requests that think take it, a few times in their seconds, and contents are copied, made and
 * freed outside of it. Time is a parameter.
 */
#ifndef SERVER_THINKING_MEMORY_H
#define SERVER_THINKING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "base/str.h"

struct thinking_memory;

/* How much of it there is. Of several tenants none holds more than half of `bytes_max`. */
struct thinking_memory_limits {
    size_t bytes_max;
    int64_t ttl_us; /* since an entry was last used */
};

struct thinking_memory_stats {
    size_t entries, tenants, bytes;
    uint64_t evicted, expired; /* since the start */
};

/* NULL without memory. */
struct thinking_memory *thinking_memory_create(const struct thinking_memory_limits *limits);
/* Overwrites all it holds. NULL is fine. */
void thinking_memory_destroy(struct thinking_memory *m);
/* What stands for the client that sent this key of the proxy's, which is not kept. */
struct siphash_key thinking_memory_tenant(const struct thinking_memory *m, struct str api_key);
/*
 * Keeps a copy of `content`, in place of what was kept under `key`. Returns how many entries made
 * room for it. A content that is too large is not kept.
 */
size_t thinking_memory_keep(struct thinking_memory *m, int64_t now_us, struct siphash_key tenant,
                            struct digest key, struct str content);
/* Appends what this tenant has under `key`. False: nothing, or `ret` has no room. */
bool thinking_memory_recall(struct thinking_memory *m, int64_t now_us, struct siphash_key tenant,
                            struct digest key, struct buf *ret);
/* Forgets what has expired. */
void thinking_memory_sweep(struct thinking_memory *m, int64_t now_us);
struct thinking_memory_stats thinking_memory_stats(struct thinking_memory *m);

#endif

/*
 * A hash table with a list in the order of use, and one such list for each tenant. An entry's time
 * counts from its last use, so the order of use is the order in which entries expire.
 */
#include "server/thinking_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/list.h"

#define BUCKETS_MIN     64
#define BUCKETS_MAX     (1u << 20)
#define BYTES_PER_ENTRY 4096 /* what an answer takes, for the size of the table */
#define ENTRY_SHARE     4    /* an entry is at most this part of all */
#define TENANT_SHARE    2    /* one tenant of several the same */
#define TENANT_BUCKETS  256

/* Bytes that nobody changes any more, freed by the last who looks at them. */
struct content {
    _Atomic unsigned holders;
    size_t n;
    char bytes[];
};

struct tenant {
    struct list node;    /* in its bucket */
    struct list entries; /* in the order of use */
    struct siphash_key id;
    size_t bytes;
};

struct entry {
    struct list node;        /* in memory->entries */
    struct list tenant_node; /* in tenant->entries */
    struct entry *next;      /* in its bucket */
    struct tenant *tenant;
    struct digest key;
    struct content *content;
    int64_t used_us;
};

struct bucket {
    struct entry *first;
};

struct thinking_memory {
    struct thinking_memory_limits limits;
    struct siphash_key secret;
    pthread_mutex_t lock; /* guards all below */
    struct list entries;  /* in the order of use */
    struct list tenants[TENANT_BUCKETS];
    struct thinking_memory_stats stats;
    size_t n_buckets; /* a power of two */
    struct bucket *buckets;
};

/* Contents --------------------------------------------------------------------------------- */

static struct content *content_make(struct str bytes)
{
    struct content *c = malloc(sizeof(*c) + bytes.n);
    if (!c)
        return NULL;
    atomic_init(&c->holders, 1);
    c->n = bytes.n;
    memcpy(c->bytes, bytes.p, bytes.n);
    return c;
}

static void content_drop(struct content *c)
{
    if (atomic_fetch_sub(&c->holders, 1) > 1)
        return;
    explicit_bzero(c->bytes, c->n);
    free(c);
}

/* Entries ---------------------------------------------------------------------------------- */

/* With its tenant, as if it were the only one. */
static size_t size_of(const struct entry *e)
{
    return sizeof(*e) + sizeof(*e->tenant) + sizeof(*e->content) + e->content->n;
}

static struct entry **bucket_of(struct thinking_memory *m, struct digest key)
{
    return &m->buckets[key.a & (m->n_buckets - 1)].first;
}

static bool is_tenant(const struct tenant *t, struct siphash_key id)
{
    return t->id.k0 == id.k0 && t->id.k1 == id.k1;
}

static struct entry *find(struct thinking_memory *m, struct siphash_key tenant, struct digest key)
{
    struct entry *e = *bucket_of(m, key);
    while (e && !(digest_eq(e->key, key) && is_tenant(e->tenant, tenant)))
        e = e->next;
    return e;
}

static struct list *tenants_like(struct thinking_memory *m, struct siphash_key id)
{
    return &m->tenants[id.k0 % TENANT_BUCKETS];
}

static struct tenant *find_tenant(struct thinking_memory *m, struct siphash_key id)
{
    LIST_EACH(tenants_like(m, id), it, next)
    {
        struct tenant *t = LIST_OF(it, struct tenant, node);
        if (is_tenant(t, id))
            return t;
    }
    return NULL;
}

/* Puts `e` into `gone`, for forget() outside of the lock. Its tenant stays, maybe empty. */
static void take_out(struct thinking_memory *m, struct entry *e, struct list *gone)
{
    struct entry **at = bucket_of(m, e->key);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->tenant_node);
    list_remove(&e->node);
    list_append(gone, &e->node);
    e->tenant->bytes -= size_of(e);
    m->stats.bytes -= size_of(e);
    m->stats.entries--;
}

static void drop_if_empty(struct thinking_memory *m, struct tenant *t)
{
    if (!list_is_empty(&t->entries))
        return;
    list_remove(&t->node);
    m->stats.tenants--;
    free(t);
}

static void forget(struct list *gone)
{
    LIST_EACH(gone, it, next)
    {
        struct entry *e = LIST_OF(it, struct entry, node);
        content_drop(e->content);
        free(e);
    }
}

static void touch(struct thinking_memory *m, struct entry *e, int64_t now_us)
{
    e->used_us = now_us;
    list_remove(&e->node);
    list_append(&m->entries, &e->node);
    list_remove(&e->tenant_node);
    list_append(&e->tenant->entries, &e->tenant_node);
}

/* Making room ------------------------------------------------------------------------------ */

static void expire(struct thinking_memory *m, int64_t now_us, struct list *gone)
{
    LIST_EACH(&m->entries, it, next)
    {
        struct entry *e = LIST_OF(it, struct entry, node);
        struct tenant *t = e->tenant;
        if (now_us - e->used_us < m->limits.ttl_us)
            return;
        m->stats.expired++;
        take_out(m, e, gone);
        drop_if_empty(m, t);
    }
}

/* Evicts what was not used for longest until `t` and all together hold what they may. */
static size_t evict(struct thinking_memory *m, struct tenant *t, struct list *gone)
{
    const size_t share = m->limits.bytes_max / TENANT_SHARE;
    size_t n = 0;
    /* Not the last: that is the one which has just been put in. */
    for (; m->stats.tenants > 1 && t->bytes > share && t->entries.next != t->entries.prev; n++)
        take_out(m, LIST_OF(t->entries.next, struct entry, tenant_node), gone);
    for (; m->stats.bytes > m->limits.bytes_max; n++) {
        struct entry *oldest = LIST_OF(m->entries.next, struct entry, node);
        struct tenant *other = oldest->tenant;
        take_out(m, oldest, gone);
        drop_if_empty(m, other);
    }
    m->stats.evicted += n;
    return n;
}

/* The whole -------------------------------------------------------------------------------- */

struct thinking_memory *thinking_memory_create(const struct thinking_memory_limits *limits)
{
    struct thinking_memory *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->limits = *limits;
    m->n_buckets = BUCKETS_MIN;
    while (m->n_buckets < BUCKETS_MAX && m->n_buckets < limits->bytes_max / BYTES_PER_ENTRY)
        m->n_buckets *= 2;
    m->buckets = calloc(m->n_buckets, sizeof(*m->buckets));
    if (!m->buckets || getentropy(&m->secret, sizeof(m->secret)) != 0) {
        free(m->buckets);
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    list_init(&m->entries);
    for (size_t i = 0; i < TENANT_BUCKETS; i++)
        list_init(&m->tenants[i]);
    return m;
}

void thinking_memory_destroy(struct thinking_memory *m)
{
    if (!m)
        return;
    forget(&m->entries);
    for (size_t i = 0; i < TENANT_BUCKETS; i++)
        LIST_EACH(&m->tenants[i], it, next)
    free(LIST_OF(it, struct tenant, node));
    pthread_mutex_destroy(&m->lock);
    free(m->buckets);
    explicit_bzero(m, sizeof(*m));
    free(m);
}

struct siphash_key thinking_memory_tenant(const struct thinking_memory *m, struct str api_key)
{
    struct siphash s = siphash_begin(m->secret);
    siphash_add(&s, api_key);
    const struct digest d = siphash_end(&s);
    return (struct siphash_key){d.a, d.b};
}

static struct tenant *add_tenant(struct thinking_memory *m, struct siphash_key id)
{
    struct tenant *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->id = id;
    list_init(&t->entries);
    list_append(tenants_like(m, id), &t->node);
    m->stats.tenants++;
    return t;
}

static void put(struct thinking_memory *m, struct entry *e, struct tenant *t, int64_t now_us)
{
    struct entry **bucket = bucket_of(m, e->key);
    e->tenant = t;
    e->next = *bucket;
    *bucket = e;
    t->bytes += size_of(e);
    m->stats.bytes += size_of(e);
    m->stats.entries++;
    touch(m, e, now_us);
}

size_t thinking_memory_keep(struct thinking_memory *m, int64_t now_us, struct siphash_key tenant,
                            struct digest key, struct str content)
{
    struct list gone;
    size_t evicted = 0;
    if (content.n > m->limits.bytes_max / ENTRY_SHARE)
        return 0;
    struct entry *e = calloc(1, sizeof(*e));
    struct content *copy = content_make(content);
    if (!e || !copy) {
        free(e);
        free(copy);
        return 0;
    }
    *e = (struct entry){.key = key, .content = copy};
    list_init(&e->node);
    list_init(&e->tenant_node);
    list_init(&gone);
    pthread_mutex_lock(&m->lock);
    expire(m, now_us, &gone);
    struct tenant *t = find_tenant(m, tenant);
    struct entry *before = t ? find(m, tenant, key) : NULL;
    if (before)
        take_out(m, before, &gone);
    if (!t)
        t = add_tenant(m, tenant);
    if (t) {
        put(m, e, t, now_us);
        evicted = evict(m, t, &gone);
    } else {
        list_append(&gone, &e->node);
    }
    pthread_mutex_unlock(&m->lock);
    forget(&gone);
    return evicted;
}

bool thinking_memory_recall(struct thinking_memory *m, int64_t now_us, struct siphash_key tenant,
                            struct digest key, struct buf *ret)
{
    struct content *c = NULL;
    pthread_mutex_lock(&m->lock);
    struct entry *e = find(m, tenant, key);
    if (e && now_us - e->used_us < m->limits.ttl_us) {
        touch(m, e, now_us);
        c = e->content;
        atomic_fetch_add(&c->holders, 1);
    }
    pthread_mutex_unlock(&m->lock);
    if (!c)
        return false;
    const bool is_whole = buf_append(ret, c->bytes, c->n);
    content_drop(c);
    return is_whole;
}

void thinking_memory_sweep(struct thinking_memory *m, int64_t now_us)
{
    struct list gone;
    list_init(&gone);
    pthread_mutex_lock(&m->lock);
    expire(m, now_us, &gone);
    pthread_mutex_unlock(&m->lock);
    forget(&gone);
}

struct thinking_memory_stats thinking_memory_stats(struct thinking_memory *m)
{
    pthread_mutex_lock(&m->lock);
    const struct thinking_memory_stats stats = m->stats;
    pthread_mutex_unlock(&m->lock);
    return stats;
}

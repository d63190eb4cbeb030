/*
 * A ring of hashes under one lock. A mark finds what was written at its own place or at one of the
 * steps in front of it, as the API looks back.
 */
#include "sim/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sim/prefix.h"
#include "sim/prompt.h"

#define SCRATCH_BYTES (128u * 1024 * 1024)
#define LOOK_BACK     20 /* steps in front of a mark */
#define MARKS_MAX     5  /* four of blocks and the request's own */
#define FIVE_MINUTES  300000000
#define ONE_HOUR      3600000000

struct entry {
    struct digest chain;
    int64_t expires_us; /* monotonic; 0 = empty */
    int64_t ttl_us;
};

struct cache {
    pthread_mutex_t lock;
    struct entry entries[CACHE_ENTRIES];
    size_t next; /* overwritten next */
};

struct place {
    struct digest chain;
    int64_t tokens; /* of everything up to here */
};

struct mark {
    struct place recent[LOOK_BACK + 1]; /* its own last */
    size_t n;
    int64_t ttl_us;
};

struct walk {
    struct place recent[LOOK_BACK + 1];
    size_t n;
    struct mark marks[MARKS_MAX];
    size_t n_marks;
    struct digest chain;
    int64_t tokens;
    struct digest settings; /* what messages, but not tools and system, depend on */
    bool is_in_messages, has_failed;
    struct buf scratch;
};

struct cache *cache_create(void)
{
    struct cache *c = calloc(1, sizeof(*c));
    if (c && pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return NULL;
    }
    return c;
}

void cache_destroy(struct cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void cache_forget(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    memset(c->entries, 0, sizeof(c->entries));
    pthread_mutex_unlock(&c->lock);
}

static void mark_here(struct walk *w, yyjson_val *mark)
{
    if (w->n_marks == MARKS_MAX || w->n == 0)
        return;
    struct mark *m = &w->marks[w->n_marks++];
    memcpy(m->recent, w->recent, w->n * sizeof(w->recent[0]));
    m->n = w->n;
    m->ttl_us = str_eq(json_str(json_get(mark, "ttl")), STR("1h")) ? ONE_HOUR : FIVE_MINUTES;
}

static bool visit(void *arg, const struct prefix_step *s)
{
    struct walk *w = arg;
    if (s->part == PREFIX_MESSAGES && !w->is_in_messages) {
        struct digest both[2] = {w->chain, w->settings};
        w->is_in_messages = true;
        w->chain = siphash(both, sizeof(both));
    }
    w->chain = prefix_add(w->chain, s, &w->scratch);
    w->has_failed |= w->scratch.failed;
    w->tokens += prompt_count_block(s->value);
    if (w->n == LOOK_BACK + 1)
        memmove(w->recent, w->recent + 1, --w->n * sizeof(w->recent[0]));
    w->recent[w->n++] = (struct place){w->chain, w->tokens};
    yyjson_val *mark = prefix_mark(s);
    if (mark)
        mark_here(w, mark);
    return true;
}

static struct entry *find(struct cache *c, struct digest chain, int64_t now_us)
{
    for (size_t i = 0; i < CACHE_ENTRIES; i++) {
        struct entry *e = &c->entries[i];
        if (e->expires_us > now_us && e->chain.a == chain.a && e->chain.b == chain.b)
            return e;
    }
    return NULL;
}

/* Tokens of the longest remembered beginning at a mark; 0 = none. Keeps it for its time again. */
static int64_t look_up(struct cache *c, const struct mark *m, int64_t now_us)
{
    for (size_t i = m->n; i-- > 0;) {
        struct entry *e = find(c, m->recent[i].chain, now_us);
        if (!e)
            continue;
        e->expires_us = now_us + e->ttl_us;
        return m->recent[i].tokens;
    }
    return 0;
}

static void remember(struct cache *c, const struct mark *m, int64_t now_us)
{
    struct digest chain = m->recent[m->n - 1].chain;
    if (find(c, chain, now_us))
        return;
    c->entries[c->next] = (struct entry){chain, now_us + m->ttl_us, m->ttl_us};
    c->next = (c->next + 1) % CACHE_ENTRIES;
}

static int64_t scale(int64_t tokens, const struct sim_model *model)
{
    return tokens * model->cls->token_percent / 100;
}

static void begin(struct walk *w, yyjson_val *root, struct str account,
                  const struct sim_model *model)
{
    static const char *const settings[] = {"thinking", "output_config", "tool_choice"};
    struct digest seed[2] = {siphash(account.p, account.n), siphash(model->id, strlen(model->id))};
    w->chain = siphash(seed, sizeof(seed));
    for (size_t i = 0; i < PX_ARRAY_LEN(settings); i++)
        if (json_get(root, settings[i]))
            json_write_value(&w->scratch, json_get(root, settings[i]));
    w->settings = siphash(w->scratch.data ? w->scratch.data : "", w->scratch.len);
    if (yyjson_arr_size(json_get(root, "tools")) > 0)
        w->tokens = PROMPT_TOKENS_TOOLS;
}

void cache_use(struct cache *c, yyjson_val *root, struct str account, const struct sim_model *model,
               struct cache_usage *ret)
{
    struct walk w = {0};
    int64_t now_us = clock_mono_us();
    *ret = (struct cache_usage){0};
    buf_init(&w.scratch, SCRATCH_BYTES);
    begin(&w, root, account, model);
    prefix_walk(root, visit, &w);
    buf_done(&w.scratch);
    if (yyjson_is_obj(json_get(root, "cache_control")))
        mark_here(&w, json_get(root, "cache_control"));
    if (w.has_failed)
        return;
    int64_t upto = 0, upto_1h = 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < w.n_marks; i++) {
        const struct mark *m = &w.marks[i];
        int64_t tokens = scale(m->recent[m->n - 1].tokens, model);
        if (tokens < CACHE_TOKENS_MIN)
            continue;
        int64_t found = scale(look_up(c, m, now_us), model);
        ret->read = found > ret->read ? found : ret->read;
        upto = tokens;
        upto_1h = m->ttl_us == ONE_HOUR ? tokens : upto_1h;
    }
    for (size_t i = 0; i < w.n_marks; i++) /* behind all look-ups: no mark reads another's write */
        if (scale(w.marks[i].recent[w.marks[i].n - 1].tokens, model) >= CACHE_TOKENS_MIN)
            remember(c, &w.marks[i], now_us);
    pthread_mutex_unlock(&c->lock);
    ret->write = upto > ret->read ? upto - ret->read : 0;
    ret->write_1h = upto_1h > ret->read ? upto_1h - ret->read : 0;
}

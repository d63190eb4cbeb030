/*
 * The table of tool names. Deterministic: what a name becomes depends only on the names before it,
 * so appending to a conversation changes none that was there.
 */
#include "translate/tool_name.h"

#include <inttypes.h>
#include <string.h>

#include "translate/translation.h"

#define NAME_BYTES_MAX 64   /* the upstream's */
#define KEPT_BYTES     55   /* of a name that gets "_" and eight digits behind it */
#define NAMES_MAX      2048 /* in one request; a client with more has lost its way */
#define BUCKETS        256

struct pair {
    struct pair *next_client, *next_upstream; /* in the bucket of either name */
    struct str client, upstream;
    bool is_custom;
    bool is_reserved; /* no tool of the client's */
    bool is_seen;
};

struct tool_names {
    struct pair *by_client[BUCKETS], *by_upstream[BUCKETS];
    size_t n;
};

/* FNV-1a. `salt` gives another value for the same name. */
static uint32_t hash_of(struct str s, uint32_t salt)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ salt;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return (uint32_t)(h ^ (h >> 32));
}

static size_t bucket_of(struct str s)
{
    return hash_of(s, 0) % BUCKETS;
}

static struct pair *find_client(const struct tool_names *names, struct str client)
{
    struct pair *p = names ? names->by_client[bucket_of(client)] : NULL;
    while (p && (p->is_reserved || !str_eq(p->client, client)))
        p = p->next_client;
    return p;
}

static struct pair *find_upstream(const struct tool_names *names, struct str upstream)
{
    struct pair *p = names ? names->by_upstream[bucket_of(upstream)] : NULL;
    while (p && !str_eq(p->upstream, upstream))
        p = p->next_upstream;
    return p;
}

static bool is_fine_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool tool_name_is_fine(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_fine_char(name.p[i]))
            return false;
    return name.n > 0 && name.n <= NAME_BYTES_MAX;
}

/* A name of the allowed characters that nobody has yet. */
static struct str make_name(struct translation *t, struct str client)
{
    char kept[NAME_BYTES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < client.n && n < sizeof(kept); i++) {
        if (((unsigned char)client.p[i] & 0xc0) == 0x80)
            continue; /* a character becomes one "_", however many bytes it has */
        kept[n++] = is_fine_char(client.p[i]) ? client.p[i] : '_';
    }
    if (n == 0)
        kept[n++] = '_';
    struct str name = {kept, n};
    if (client.n <= NAME_BYTES_MAX && !find_upstream(t->tool_names, name))
        return arena_strdup(t->arena, name);
    /* One of NAMES_MAX + 1 is free. */
    for (uint32_t salt = 0;; salt++) {
        size_t part = n < KEPT_BYTES ? n : KEPT_BYTES;
        name = arena_printf(t->arena, "%.*s_%08" PRIx32, (int)part, kept, hash_of(client, salt));
        if (!name.p || !find_upstream(t->tool_names, name))
            return name;
    }
}

static bool add_pair(struct translation *t, struct pair pair)
{
    if (!t->tool_names && !(t->tool_names = arena_alloc(t->arena, sizeof(*t->tool_names))))
        return refuse_memory(t);
    if (t->tool_names->n == NAMES_MAX)
        return refuse(t, "array_above_max_length", "tools",
                      "The request names more than %d different tools.", NAMES_MAX);
    struct pair *p = arena_alloc(t->arena, sizeof(*p));
    if (!p)
        return refuse_memory(t);
    *p = pair;
    struct pair **client = &t->tool_names->by_client[bucket_of(p->client)];
    struct pair **upstream = &t->tool_names->by_upstream[bucket_of(p->upstream)];
    p->next_client = *client;
    p->next_upstream = *upstream;
    *client = *upstream = p;
    t->tool_names->n++;
    return true;
}

struct str tool_name_upstream(struct translation *t, struct str client_name)
{
    struct pair *known = find_client(t->tool_names, client_name);
    if (known)
        return known->upstream;
    struct pair pair = {.client = arena_strdup(t->arena, client_name)};
    if (pair.client.p && tool_name_is_fine(client_name) &&
        !find_upstream(t->tool_names, client_name))
        pair.upstream = pair.client;
    else if (pair.client.p)
        pair.upstream = make_name(t, client_name);
    if (!pair.upstream.p) {
        refuse_memory(t);
        return (struct str){0};
    }
    return add_pair(t, pair) ? pair.upstream : (struct str){0};
}

bool tool_name_is_known(const struct tool_names *names, struct str client_name)
{
    return find_client(names, client_name) != NULL;
}

bool tool_name_is_free(const struct tool_names *names, struct str upstream_name)
{
    return !find_upstream(names, upstream_name);
}

bool tool_name_reserve(struct translation *t, struct str upstream_name)
{
    struct str name = arena_strdup(t->arena, upstream_name);
    if (!name.p)
        return refuse_memory(t);
    return add_pair(t, (struct pair){.client = name, .upstream = name, .is_reserved = true});
}

void tool_name_set_custom(struct tool_names *names, struct str upstream_name)
{
    struct pair *p = find_upstream(names, upstream_name);
    if (p)
        p->is_custom = true;
}

bool tool_name_is_new(struct tool_names *names, struct str upstream_name)
{
    struct pair *p = find_upstream(names, upstream_name);
    const bool is_new = p && !p->is_seen;
    if (p)
        p->is_seen = true;
    return is_new;
}

struct str tool_name_client(const struct tool_names *names, struct str upstream_name)
{
    const struct pair *p = find_upstream(names, upstream_name);
    return p ? p->client : upstream_name;
}

bool tool_name_is_custom(const struct tool_names *names, struct str upstream_name)
{
    const struct pair *p = find_upstream(names, upstream_name);
    return p && p->is_custom;
}

/*
 * A list that only grows: a count is published with its name in place, and never moves.
 */
#include "observe/tally.h"

#include <inttypes.h>
#include <string.h>

#include "observe/count.h"

static struct str name_of(const struct tally_count *c)
{
    return (struct str){c->name, strnlen(c->name, sizeof(c->name))};
}

static const struct tally_count *find(const struct tally *t, const char *kind, struct str name)
{
    const size_t n = atomic_load_explicit(&t->n_counts, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (strcmp(t->counts[i].kind, kind) == 0 && str_eq(name_of(&t->counts[i]), name))
            return &t->counts[i];
    return NULL;
}

void tally_add(struct tally *t, const char *kind, struct str name, uint64_t n)
{
    if (name.n > TALLY_NAME_BYTES_MAX)
        name.n = TALLY_NAME_BYTES_MAX;
    const struct tally_count *known = find(t, kind, name);
    if (known) {
        count_add(&t->counts[known - t->counts].n, n);
        return;
    }
    const size_t at = atomic_load_explicit(&t->n_counts, memory_order_relaxed);
    if (at == TALLY_NAMES_MAX) {
        count_add(&t->n_other, n);
        return;
    }
    struct tally_count *count = &t->counts[at];
    count->kind = kind;
    if (name.n)
        memcpy(count->name, name.p, name.n);
    count_add(&count->n, n);
    atomic_store_explicit(&t->n_counts, at + 1, memory_order_release);
}

void tally_sum(struct tally *to, const struct tally *from)
{
    const size_t n = atomic_load_explicit(&from->n_counts, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        tally_add(to, from->counts[i].kind, name_of(&from->counts[i]),
                  atomic_load_explicit(&from->counts[i].n, memory_order_relaxed));
    count_add(&to->n_other, atomic_load_explicit(&from->n_other, memory_order_relaxed));
}

uint64_t tally_of(const struct tally *t, const char *kind, struct str name)
{
    const struct tally_count *count = find(t, kind, name);
    return count ? atomic_load_explicit(&count->n, memory_order_relaxed) : 0;
}

void tally_write(const struct tally *t, const char *kind, struct buf *out)
{
    const size_t n = atomic_load_explicit(&t->n_counts, memory_order_acquire);
    const size_t from = out->len;
    for (size_t i = 0; i < n; i++) {
        const struct tally_count *c = &t->counts[i];
        if (strcmp(c->kind, kind) != 0)
            continue;
        buf_printf(out, "%s%.*s=%" PRIu64, out->len > from ? "," : "", STR_ARG(name_of(c)),
                   atomic_load_explicit(&c->n, memory_order_relaxed));
    }
}

/*
 * Counts by name. One thread adds, any may read at the same time; nothing is locked. Names come
 * from what requests hold, so there is a bound to how many are kept apart.
 */
#ifndef OBSERVE_TALLY_H
#define OBSERVE_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define TALLY_NAMES_MAX      128
#define TALLY_NAME_BYTES_MAX 64 /* longer ones are cut */

struct tally_count {
    const char *kind; /* static text */
    char name[TALLY_NAME_BYTES_MAX];
    _Atomic uint64_t n;
};

struct tally { /* a zeroed one is ready */
    struct tally_count counts[TALLY_NAMES_MAX];
    _Atomic size_t n_counts;  /* those in front of it are complete */
    _Atomic uint64_t n_other; /* of names that found no room */
};

/* `kind` is static text. By the one thread that adds. */
void tally_add(struct tally *t, const char *kind, struct str name, uint64_t n);
/* Adds what `from` holds; `to` is this thread's. */
void tally_sum(struct tally *to, const struct tally *from);
/* How often; 0 for what was never counted. */
uint64_t tally_of(const struct tally *t, const char *kind, struct str name);
/* "name=3,other=1", all of one kind in the order in which they came. */
void tally_write(const struct tally *t, const char *kind, struct buf *out);

#endif

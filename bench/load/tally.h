/*
 * What a run counts: how requests ended, how late things were. Samples are kept to the microsecond,
 * so that every percentile is exact and a million of them take no more room than one.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define SPREAD_US_MAX 4000000 /* later than that counts as that */

struct spread {
    uint32_t *counts; /* by microsecond */
    int64_t n, max_us;
};

enum fault {
    FAULT_NONE,
    FAULT_CONNECTION, /* refused, or broken before an answer */
    FAULT_STATUS,     /* not 200 */
    FAULT_CUT,        /* the body broke off, or its framing is wrong */
    FAULT_CONTENT,    /* a token that is none, out of order, lost or too many */
    FAULT_FINISH,     /* no reason for the end, or a wrong one */
    FAULT_LAST,       /* the last event is not the one that ends a stream */
    FAULT_TIMEOUT,    /* not over when the run was */
    FAULTS,
};

struct tally {
    int64_t ended[FAULTS]; /* requests, by how they ended */
    int64_t n_tokens;
    struct spread answer_us; /* a request, from when it was due (open loop) or sent, to its end */
    struct spread first_us;  /* a stream, from the same to its first token */
    struct spread lag_us;    /* a token, from its stamp to its arrival */
};

/* False without memory. */
bool tally_init(struct tally *t);
void tally_done(struct tally *t);
const char *fault_name(enum fault f);

void spread_add(struct spread *s, int64_t us);
/* The sample that `share` (0 to 1) of all are not above; 0 without samples. */
int64_t spread_at(const struct spread *s, double share);

#endif

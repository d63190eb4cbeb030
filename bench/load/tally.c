/*
 * Spreads as counters by microsecond.
 */
#include "tally.h"

#include <stdlib.h>

#include "base/macros.h"

static bool spread_init(struct spread *s)
{
    *s = (struct spread){.counts = calloc(SPREAD_US_MAX + 1, sizeof(*s->counts))};
    return s->counts;
}

bool tally_init(struct tally *t)
{
    *t = (struct tally){0};
    if (spread_init(&t->answer_us) && spread_init(&t->first_us) && spread_init(&t->lag_us))
        return true;
    tally_done(t);
    return false;
}

void tally_done(struct tally *t)
{
    free(t->answer_us.counts);
    free(t->first_us.counts);
    free(t->lag_us.counts);
}

const char *fault_name(enum fault f)
{
    static const char *const names[FAULTS] = {
        [FAULT_NONE] = "ok",   [FAULT_CONNECTION] = "connection", [FAULT_STATUS] = "status",
        [FAULT_CUT] = "cut",   [FAULT_CONTENT] = "content",       [FAULT_FINISH] = "finish",
        [FAULT_LAST] = "last", [FAULT_TIMEOUT] = "timeout",
    };
    return names[f];
}

void spread_add(struct spread *s, int64_t us)
{
    if (us < 0) /* two clocks that are read at the same moment may differ by a little */
        us = 0;
    s->counts[us < SPREAD_US_MAX ? us : SPREAD_US_MAX]++;
    s->n++;
    if (us > s->max_us)
        s->max_us = us;
}

int64_t spread_at(const struct spread *s, double share)
{
    if (s->n == 0)
        return 0;
    int64_t wanted = (int64_t)(share * (double)s->n), seen = 0;
    if ((double)wanted < share * (double)s->n || wanted == 0)
        wanted++;
    for (int64_t us = 0; us < SPREAD_US_MAX && us <= s->max_us; us++) {
        seen += s->counts[us];
        if (seen >= wanted)
            return us;
    }
    return s->max_us;
}

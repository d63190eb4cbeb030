/*
 * The directive `refuse`: a model or an upstream that does not take what the tables say it takes.
 */
#ifndef SIM_REFUSE_H
#define SIM_REFUSE_H

#include "base/arena.h"
#include "sim/sim_error.h"
#include "json/json.h"

struct refusal_facts {
    yyjson_val *root;
    bool is_2026; /* anthropic-version: 2026-10-21 */
    bool always;  /* whether or not the request holds what is refused */
};

/*
 * `what` names one thing or several, joined by commas. False with *err when the request holds one
 * of them, in the words of the real API, or when there is no such thing.
 */
bool refuse_check(struct str what, const struct refusal_facts *f, struct arena *a,
                  struct sim_error *err);

#endif

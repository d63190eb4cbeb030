/*
 * Retired models that were served by their successors: said once for each.
 */
#ifndef SERVER_SUCCESSION_H
#define SERVER_SUCCESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Names come from clients: behind so many, nothing more is said. */
#define SUCCESSIONS_MAX 64

/* Written by all workers. Zeroed = none yet. */
struct succession {
    _Atomic uint64_t seen[SUCCESSIONS_MAX]; /* hashes of names, in the order of their coming */
};

/* Whether the name comes for the first time; false when there were too many. */
bool succession_is_new(struct succession *s, struct str name);
/* `asked` is served by `served`: the first time a line in the log. */
void succession_log(struct succession *s, struct str asked, struct str served);

#endif

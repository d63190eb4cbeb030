/*
 * How many bytes of request bodies all workers together may hold: each body has a limit of its own,
 * but a thousand of them at once do not fit anywhere.
 */
#ifndef SERVER_BODY_BUDGET_H
#define SERVER_BODY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct body_budget {
    _Atomic int64_t held;
};

/* Takes `n` bytes of `max` (0 = no limit). False: they are not there, and nothing was taken. */
bool body_budget_take(struct body_budget *b, int64_t max, int64_t n);
void body_budget_give(struct body_budget *b, int64_t n);
/* Whether `n` bytes could be taken now. */
bool body_budget_has(const struct body_budget *b, int64_t max, int64_t n);

#endif

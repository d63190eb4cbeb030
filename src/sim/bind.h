/*
 * Thinking blocks and what they are bound to: signed when an answer is made, checked when they
 * come back.
 */
#ifndef SIM_BIND_H
#define SIM_BIND_H

#include <stdbool.h>

#include "sim/script.h"
#include "sim/validate.h"

/* Every thinking block of the conversation, as the model's class asks. False with c->err. */
bool bind_check(struct check *c);
/* Signs the thinking blocks of an answer to `root`. False without memory. */
bool bind_sign(struct script *s, yyjson_val *root, const struct sim_model *model, struct arena *a);

#endif

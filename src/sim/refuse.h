/*
 * The directive `refuse`: an API that has drifted, or that knows less than Anthropic's own.
 */
#ifndef SIM_REFUSE_H
#define SIM_REFUSE_H

#include "sim/validate.h"

/* `names` is the directive's list. False with *c->err filled when the request holds one of them. */
bool refuse_check(struct check *c, struct str names);

#endif

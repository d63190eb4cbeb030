/*
 * The operator's settings as the translation wants them.
 */
#ifndef SERVER_POLICY_H
#define SERVER_POLICY_H

#include "config/config.h"
#include "translate/request.h"

/* Borrows the texts of `c`. */
struct tr_policy policy_of_config(const struct config *c);

#endif

/*
 * What the upstream's errors may repeat, and clients are not to read: our keys, and hosts behind
 * which no client has any business.
 */
#ifndef SERVER_SECRETS_H
#define SERVER_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "server/upstream_keys.h"
#include "translate/api_error.h"

struct request;

struct secrets {
    struct str keys[UPSTREAM_KEYS_MAX + 2];
    size_t n_keys;
    struct str hosts[2]; /* empty = none */
};

/*
 * Replaces in the texts of `e` by "***": the keys, and whatever looks like one of Anthropic's; the
 * hosts; private addresses; names of internal networks, in URLs, with ports, and anywhere in an
 * error of the infrastructure (5xx).
 */
void secrets_hide(const struct secrets *s, struct api_error *e);
/* The same with those of a request, which is `arg`: for the translator. */
void secrets_hide_from_client(void *arg, struct api_error *e);

#endif

/*
 * The operator's settings as the way to the upstream wants them.
 */
#ifndef SERVER_UPSTREAM_CONFIG_H
#define SERVER_UPSTREAM_CONFIG_H

#include "config/config.h"
#include "upstream/upstream.h"

/*
 * Sets the origin, the way out, the TLS context (owned by the caller, NULL for plain) and the time
 * for connecting. False with one line in `why`, which names the setting.
 */
bool upstream_of_config(const struct config *c, struct upstream_settings *ret, char *why,
                        size_t why_size);
/* Destroys the TLS context, wipes the proxy's password. Accepts zeroed settings. */
void upstream_of_config_done(struct upstream_settings *u);

#endif

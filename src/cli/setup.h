/*
 * What the subcommands do first: read the settings, prepare the process, say what is wrong.
 */
#ifndef CLI_SETUP_H
#define CLI_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "config/config.h"

/* One line on standard error, "claude-proxy: " in front. */
void setup_complain(const char *format, ...) PX_PRINTF(1, 2);

/*
 * Reads the settings from flags, the environment and .env, and sets the log up. False after saying
 * what is wrong. Done with config_done either way.
 */
bool setup_config(struct config *c, int argc, char **argv, const struct config_pair *defaults,
                  size_t n_defaults);
/*
 * The same once more, for SIGHUP: one line in `why` instead of a complaint, and the log stays as
 * it is set up.
 * `before` is what was read last.
 */
bool setup_config_again(struct config *c, int argc, char **argv, const struct config *before,
                        char *why, size_t why_size);
/* For what runs long: as many open files as allowed, no death by a peer that leaves. */
void setup_process(void);

#endif

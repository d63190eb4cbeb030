/*
 * Runs the server until it is told to stop: what serve and demo share.
 */
#ifndef CLI_RUN_SERVER_H
#define CLI_RUN_SERVER_H

#include <stdbool.h>

#include "config/config.h"
#include "sandbox/sandbox.h"

/* Whether who may reach the server needs a key; false after saying that it must not start. */
bool run_server_is_guarded(const struct config *c);
/* Prepares the process, and closes it in unless the settings say otherwise. Before any thread. */
struct sandbox run_server_prepare(const struct config *c);
/* The flags, to read them again on SIGHUP. */
struct run_flags {
    int argc;
    char **argv;
};
/* Serves until SIGTERM or SIGINT. Takes the texts of `c`. `flags` NULL: a demo, whose settings
 * stay. Returns the exit code. */
int run_server(struct config *c, struct run_flags *flags, const struct sandbox *sandbox);

#endif

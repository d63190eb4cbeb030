/*
 * What --help and `help` print.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* `topic` is a subcommand, "options", or "" for the first screen. Returns the exit code. */
int help_print(const char *topic);

#endif

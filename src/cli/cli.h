/*
 * The subcommands: serve (default), demo, check, health, translate, sim, version, help.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* Exit codes: 0 fine, 1 failed while running, 2 bad arguments or settings. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int cli_main(int argc, char **argv);
/* `argv` holds what stands behind the subcommand's name. */
int cli_serve(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_health(int argc, char **argv);
int cli_translate(int argc, char **argv);
int cli_sim(int argc, char **argv);

#endif

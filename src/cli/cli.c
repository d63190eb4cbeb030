/*
 * Arguments -> subcommand. Without one, or with flags at once, it is `serve`.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/distance.h"
#include "cli/help.h"
#include "cli/setup.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", cli_serve},   {"demo", cli_demo},           {"check", cli_check},
    {"health", cli_health}, {"translate", cli_translate}, {"sim", cli_sim},
};

static int say_version(void)
{
    printf("claude-proxy %s\n", CLI_VERSION);
    return CLI_OK;
}

static int say_unknown(const char *name)
{
    const char *nearest = NULL;
    size_t least = 3; /* further away is another word */
    for (size_t i = 0; i < PX_ARRAY_LEN(commands); i++) {
        size_t distance = distance_between(str_of(name), str_of(commands[i].name));
        if (distance < least) {
            least = distance;
            nearest = commands[i].name;
        }
    }
    if (nearest)
        setup_complain("unknown command %.40s; did you mean %s?", name, nearest);
    else
        setup_complain("unknown command; `claude-proxy help` lists them");
    return CLI_USAGE;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int run(const char *name, int argc, char **argv)
{
    /* Help is for those who do not know the rest: whatever else is given, and before it is read. */
    for (int i = 0; i < argc; i++)
        if (is_one_of(argv[i], "--help", "-h"))
            return help_print(name);
    for (size_t i = 0; i < PX_ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc, argv);
    return say_unknown(name);
}

int cli_main(int argc, char **argv)
{
    if (argc < 2)
        return cli_serve(0, argv + argc);
    const char *first = argv[1];
    if (is_one_of(first, "--version", "-V") || strcmp(first, "version") == 0)
        return say_version();
    if (is_one_of(first, "--help", "-h"))
        return help_print("");
    if (strcmp(first, "--help-all") == 0)
        return help_print("options");
    if (strcmp(first, "help") == 0)
        return help_print(argc > 2 ? argv[2] : "");
    if (strncmp(first, "--", 2) == 0)
        return run("serve", argc - 1, argv + 1);
    return run(first, argc - 2, argv + 2);
}

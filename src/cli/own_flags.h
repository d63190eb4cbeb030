/*
 * Flags that belong to one subcommand and are no settings.
 */
#ifndef CLI_OWN_FLAGS_H
#define CLI_OWN_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum own_flag_kind { OWN_FLAG_TEXT, OWN_FLAG_NUMBER, OWN_FLAG_SWITCH };

struct own_flag {
    const char *name; /* without its dashes */
    enum own_flag_kind kind;
    int64_t high; /* OWN_FLAG_NUMBER: 0 .. high */
    bool is_given;
    const char *text; /* OWN_FLAG_TEXT; borrowed from argv */
    int64_t number;
};

/*
 * Takes the flags of that table out of argv, in any place; what is left is in argv[0 .. *argc-1].
 * False after saying on standard error what is wrong.
 */
bool own_flags_take(int *argc, char **argv, struct own_flag *flags, size_t n);
/* For subcommands without settings: false, after saying so, when anything is left. */
bool own_flags_expect_none(int argc, char **argv, const char *command);

#endif

/*
 * What operators gave for each option, before it is looked at. Private to config/.
 */
#ifndef CONFIG_GIVEN_H
#define CONFIG_GIVEN_H

#include "config/option.h"

/* In rising precedence. */
enum given_source {
    GIVEN_NOT,
    GIVEN_BY_SUBCOMMAND,
    GIVEN_IN_FILE,
    GIVEN_IN_LOWER_CASE, /* of the environment: https_proxy */
    GIVEN_IN_ENVIRONMENT,
    GIVEN_AS_FLAG
};

struct given {
    enum given_source source;
    struct str value; /* borrowed from where it was given */
    int line;         /* of the file */
};

struct all_given {
    struct given of[OPTIONS];
    const char *env_file;
    bool env_file_is_asked; /* by --env-file */
};

/* Reads the flags. False with one line in `why`. */
bool flags_read(const struct config_sources *s, struct all_given *g, struct buf *why);
/* Overwrites the values of secret flags where the system shows them to every user. */
void flags_wipe_secrets(const struct config_sources *s);

#endif

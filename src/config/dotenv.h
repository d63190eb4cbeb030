/*
 * The .env format: NAME=value lines; comments, single and double quotes with escapes, `export`,
 * CRLF, a byte order mark. Pure: text in, pairs out.
 */
#ifndef CONFIG_DOTENV_H
#define CONFIG_DOTENV_H

#include "base/arena.h"
#include "base/str.h"

struct dotenv_error {
    int line; /* from 1 */
    const char *message;
};
/* Calls `each` for every pair, in order. False with *err at the first malformed line. */
bool dotenv_parse(struct arena *arena, struct str text,
                  void (*each)(void *arg, struct str name, struct str value, int line), void *arg,
                  struct dotenv_error *err);

#endif

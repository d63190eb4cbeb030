/*
 * The .env format: NAME=value lines; comments, single and double quotes with escapes, `export`,
 * CRLF, a byte order mark. Pure: text in, pairs out. docs/configuration.md describes it for users.
 */
#ifndef CONFIG_DOTENV_H
#define CONFIG_DOTENV_H

#include "base/arena.h"
#include "base/str.h"

/* A larger file is not a .env: somebody named the wrong one. */
#define DOTENV_BYTES_MAX (1u << 20)

struct dotenv_error {
    int line; /* from 1 */
    const char *message;
};
/*
 * Calls `each` for every pair, in order; names and values live in `text` or the arena. False with
 * *err at the first malformed line.
 */
bool dotenv_parse(struct arena *arena, struct str text,
                  void (*each)(void *arg, struct str name, struct str value, int line), void *arg,
                  struct dotenv_error *err);

#endif

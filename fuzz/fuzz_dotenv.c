/*
 * The .env parser on anything: no crash, and every pair lies within what it was given.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "config/dotenv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pair(void *arg, struct str name, struct str value, int line)
{
    int *last_line = arg;
    if (name.n == 0 || line < *last_line || !utf8_is_valid(name) || !utf8_is_valid(value))
        abort();
    *last_line = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct dotenv_error error = {0};
    int last_line = 1;
    arena_init(&arena, 4 * DOTENV_BYTES_MAX);
    struct str text = {(const char *)data, size};
    if (!dotenv_parse(&arena, text, check_pair, &last_line, &error) &&
        (error.line < last_line || !error.message))
        abort();
    arena_done(&arena);
    return 0;
}

/*
 * Memory that lives as long as one request: allocated piece by piece, freed at once.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used; /* bytes handed out, each piece rounded up to its alignment */
    size_t max;  /* bytes that may ever be handed out */
    bool failed; /* a piece was refused; stays until arena_done */
};

void arena_init(struct arena *a, size_t max);
/* Frees everything. Accepts a zeroed arena; the arena may be used again. */
void arena_done(struct arena *a);
/* arena_done, after overwriting what was handed out: for memory that held secrets. */
void arena_wipe(struct arena *a);
/* Zeroed memory, aligned for any type. NULL when the maximum is reached or memory ran out. */
void *arena_alloc(struct arena *a, size_t n);
/* A NUL-terminated copy owned by the arena; .p is NULL on failure. */
struct str arena_strdup(struct arena *a, struct str s);
/* printf into the arena; .p is NULL on failure. */
struct str arena_printf(struct arena *a, const char *format, ...) PX_PRINTF(2, 3);

#endif

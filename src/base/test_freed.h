/*
 * For tests that link with -Wl,--wrap=free -Wl,--wrap=realloc: looks for texts in everything that
 * is given back to the heap. Included once in a program.
 */
#ifndef BASE_TEST_FREED_H
#define BASE_TEST_FREED_H

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Ends with NULL; set before freed_watch. */
static const char *const *freed_texts;
static _Atomic bool freed_is_watched;
/* Blocks, and texts in them. */
static _Atomic size_t freed_blocks, freed_seen;

void __real_free(void *p);
void *__real_realloc(void *p, size_t size);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t size);

static void freed_watch(const char *const *texts)
{
    freed_texts = texts;
    atomic_store(&freed_blocks, 0);
    atomic_store(&freed_seen, 0);
    atomic_store(&freed_is_watched, true);
}

static void freed_watch_end(void)
{
    atomic_store(&freed_is_watched, false);
}

void __wrap_free(void *p)
{
    if (p && atomic_load(&freed_is_watched)) {
        atomic_fetch_add(&freed_blocks, 1);
        for (const char *const *t = freed_texts; *t; t++)
            if (memmem(p, malloc_usable_size(p), *t, strlen(*t)))
                atomic_fetch_add(&freed_seen, 1);
    }
    __real_free(p);
}

/* As one that always moves: what it leaves behind is seen. */
void *__wrap_realloc(void *p, size_t size)
{
    void *to = malloc(size);
    const size_t n = p ? malloc_usable_size(p) : 0;
    if (!to)
        return NULL;
    if (p)
        memcpy(to, p, n < size ? n : size);
    __wrap_free(p);
    return to;
}

#endif

/*
 * For tests that link with -Wl,--wrap=free: looks for a text in everything that is freed. Included
 * once in a program.
 */
#ifndef BASE_TEST_FREED_H
#define BASE_TEST_FREED_H

#include <malloc.h>
#include <stddef.h>
#include <string.h>

void __real_free(void *p);
void __wrap_free(void *p);

/* Volatile: compilers know that the free they know changes no variable. */
static const char *volatile freed_text;
static volatile size_t freed_with_text, freed_blocks;

void __wrap_free(void *p)
{
    if (p && freed_text) {
        freed_blocks++;
        freed_with_text += memmem(p, malloc_usable_size(p), freed_text, strlen(freed_text)) != NULL;
    }
    __real_free(p);
}

/* From now on; NULL: no more. */
static void freed_watch(const char *text)
{
    freed_text = text;
    freed_with_text = freed_blocks = 0;
}

#endif

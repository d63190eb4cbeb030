/*
 * The arena: a list of blocks, handed out from the front.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What a request that streams keeps fits into the first; who needs more is likely to need much.
 * With its head it is 1 KB, the largest piece that malloc keeps at hand when it is freed.
 */
#define FIRST_BLOCK_BYTES (1024 - sizeof(struct arena_block))
#define BLOCK_BYTES       2048

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_done(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){.max = a->max};
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *b = a->head; b; b = b->next)
        explicit_bzero(b->data, b->used);
    arena_done(a);
}

/* A block for at least `step` bytes. A large one goes behind the head, whose rest stays in use. */
static struct arena_block *add_block(struct arena *a, size_t step)
{
    const size_t usual = a->head ? BLOCK_BYTES : FIRST_BLOCK_BYTES;
    const size_t cap = step > usual ? step : usual;
    struct arena_block *b = malloc(sizeof(*b) + cap);
    if (!b)
        return NULL;
    b->used = 0;
    b->cap = cap;
    struct arena_block **place = step > usual && a->head ? &a->head->next : &a->head;
    b->next = *place;
    *place = b;
    return b;
}

static void *take(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX - BLOCK_BYTES - sizeof(struct arena_block))
        return NULL;
    size_t step = (n + align - 1) & ~(align - 1);
    if (step > a->max || a->used > a->max - step)
        return NULL;
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < step)
        b = add_block(a, step);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += step;
    a->used += step;
    return memset(p, 0, n);
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = take(a, n);
    a->failed |= !p;
    return p;
}

struct str arena_strdup(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
    if (!p)
        return (struct str){0};
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p ? (struct str){p, (size_t)n} : (struct str){0};
}

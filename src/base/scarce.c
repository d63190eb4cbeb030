/*
 * Test support: allocation functions that fail when they are told to.
 */
#include "base/scarce.h"

#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool is_scarce, stays_scarce, has_failed;
static long allocations_left;

void scarce_begin(long n, bool is_lasting)
{
    is_scarce = true;
    stays_scarce = is_lasting;
    has_failed = false;
    allocations_left = n;
}

bool scarce_end(void)
{
    is_scarce = false;
    return has_failed;
}

bool scarce_may_allocate(void)
{
    if (!is_scarce || allocations_left-- > 0)
        return true;
    is_scarce = stays_scarce;
    has_failed = true;
    return false;
}

void *__wrap_malloc(size_t n)
{
    return scarce_may_allocate() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return scarce_may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return scarce_may_allocate() ? __real_realloc(p, n) : NULL;
}

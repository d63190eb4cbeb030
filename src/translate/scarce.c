/*
 * Test support: allocation functions that fail when they are told to.
 */
#include "translate/scarce.h"

#include <stdlib.h>

#include "json/json.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
yyjson_doc *__real_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
yyjson_doc *__wrap_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err);

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

static bool may_allocate(void)
{
    if (!is_scarce || allocations_left-- > 0)
        return true;
    is_scarce = stays_scarce;
    has_failed = true;
    return false;
}

void *__wrap_malloc(size_t n)
{
    return may_allocate() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return may_allocate() ? __real_realloc(p, n) : NULL;
}

yyjson_doc *__wrap_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err)
{
    if (may_allocate())
        return __real_yyjson_read_opts(text, n, flags, alc, err);
    *err = (yyjson_read_err){.code = YYJSON_READ_ERROR_MEMORY_ALLOCATION,
                             .msg = "memory allocation failed"};
    return NULL;
}

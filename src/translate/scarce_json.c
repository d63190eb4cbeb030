/*
 * Test support: yyjson under base/scarce.h, all allocations of one text as one. The test program is
 * linked with --wrap for yyjson_read_opts too.
 */
#include "base/scarce.h"
#include "json/json.h"

yyjson_doc *__real_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err);
yyjson_doc *__wrap_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err);

yyjson_doc *__wrap_yyjson_read_opts(char *text, size_t n, yyjson_read_flag flags,
                                    const yyjson_alc *alc, yyjson_read_err *err)
{
    if (scarce_may_allocate())
        return __real_yyjson_read_opts(text, n, flags, alc, err);
    *err = (yyjson_read_err){.code = YYJSON_READ_ERROR_MEMORY_ALLOCATION,
                             .msg = "memory allocation failed"};
    return NULL;
}

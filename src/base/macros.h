/*
 * Compiler attributes used everywhere.
 */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>

#define PX_MUST_CHECK   __attribute__((warn_unused_result))
#define PX_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define PX_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PX_UNUSED       __attribute__((unused))

/* The struct that embeds `member` at `ptr`. */
#define PX_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Inline wherever it is called: what a constant argument saves is more than the call. */
#define PX_INLINE static inline __attribute__((always_inline))

#endif

/*
 * A growing byte buffer with a hard maximum, given once. Everything that grows with what came
 * from outside grows in one of these, so nothing grows without limit.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"
#include "base/str.h"

struct buf {
    char *data;  /* NULL until something is written */
    size_t len;  /* bytes in use */
    size_t cap;  /* bytes allocated */
    size_t max;  /* bytes that may ever be held */
    bool failed; /* an append did not fit or memory ran out; sticky until buf_reset */
};

void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer may be used again. Accepts a zeroed buffer. */
static inline void buf_done(struct buf *b);
/* Forgets the content and the failure, keeps the memory. */
void buf_reset(struct buf *b);

/*
 * Appending. False (and `failed` set, content unchanged) when the maximum would be passed or
 * memory ran out. A writer of many pieces may ignore the results and check `failed` once.
 */
PX_INLINE bool buf_append(struct buf *b, const void *p, size_t n);
static inline bool buf_append_str(struct buf *b, struct str s);
PX_INLINE bool buf_append_z(struct buf *b, const char *z);
PX_INLINE bool buf_append_char(struct buf *b, char c);
bool buf_append_u64(struct buf *b, uint64_t number);
bool buf_append_i64(struct buf *b, int64_t number);
/* As printf; `%s`, `%.*s` and whole numbers without a width are the cheap directives. */
bool buf_printf(struct buf *b, const char *format, ...) PX_PRINTF(2, 3);
/* Room for `n` more bytes at data + len; the caller then raises len. NULL when there is none. */
static inline char *buf_reserve(struct buf *b, size_t n);
/* The same, and room for a NUL behind them that does not count against the maximum. */
char *buf_reserve_z(struct buf *b, size_t n);
/* Drops `n` bytes (at most len) from the front. */
void buf_consume(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->data ? b->data : "", b->len};
}

void buf_free(struct buf *b);

/* Inline, as most of the buffers that are ended were never written to. */
static inline void buf_done(struct buf *b)
{
    if (b->data)
        buf_free(b);
    b->failed = false;
}

/* The same where memory must grow, or nothing is to be written. */
char *buf_reserve_grown(struct buf *b, size_t n);
bool buf_append_grown(struct buf *b, const void *p, size_t n);

/* Whether `n` bytes fit into the memory that is there. */
static inline bool buf_has_room(const struct buf *b, size_t n)
{
    size_t end = b->cap < b->max ? b->cap : b->max;
    return b->data && b->len <= end && n <= end - b->len;
}

/* Inline, as an answer is made of hundreds of small pieces. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
    return buf_has_room(b, n) ? b->data + b->len : buf_reserve_grown(b, n);
}

PX_INLINE bool buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_has_room(b, n))
        return buf_append_grown(b, p, n);
    memcpy(b->data + b->len, p, n);
    b->len += n;
    return true;
}

static inline bool buf_append_str(struct buf *b, struct str s)
{
    return buf_append(b, s.p, s.n);
}

PX_INLINE bool buf_append_z(struct buf *b, const char *z)
{
    return buf_append(b, z, strlen(z));
}

PX_INLINE bool buf_append_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

#endif

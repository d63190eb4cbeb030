/*
 * The growing byte buffer: doubling, bounded by its maximum.
 */
#include "base/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

/* Memory for `need` bytes. The maximum has been looked at; a NUL may stand behind it. */
static bool grow(struct buf *b, size_t need)
{
    if (b->data && need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max)
        cap = need > b->max ? need : b->max;
    char *data = realloc(b->data, cap ? cap : 1);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

static bool fits(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n) {
        b->failed = true;
        return false;
    }
    return true;
}

char *buf_reserve_grown(struct buf *b, size_t n)
{
    if (!fits(b, n) || !grow(b, b->len + n))
        return NULL;
    return b->data + b->len;
}

char *buf_reserve_z(struct buf *b, size_t n)
{
    if (!fits(b, n) || !grow(b, b->len + n + 1))
        return NULL;
    return b->data + b->len;
}

bool buf_append_grown(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return true;
    char *to = buf_reserve(b, n);
    if (!to)
        return false;
    memcpy(to, p, n);
    b->len += n;
    return true;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

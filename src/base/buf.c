/*
 * The growing byte buffer: doubling, bounded by its maximum.
 */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
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

char *buf_reserve(struct buf *b, size_t n)
{
    if (!fits(b, n) || !grow(b, b->len + n))
        return NULL;
    return b->data + b->len;
}

bool buf_append(struct buf *b, const void *p, size_t n)
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

bool buf_append_str(struct buf *b, struct str s)
{
    return buf_append(b, s.p, s.n);
}

bool buf_append_z(struct buf *b, const char *z)
{
    return buf_append(b, z, strlen(z));
}

bool buf_append_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    /* vsnprintf writes a NUL behind the text: it needs room, but does not count. */
    bool is_fine = n >= 0 && fits(b, (size_t)n) && grow(b, b->len + (size_t)n + 1);
    if (is_fine) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return is_fine;
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

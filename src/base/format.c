/*
 * buf_printf. Nearly every format of the request path is text with a few strings and whole numbers
 * in it: those are written straight into the buffer, at a fraction of vsnprintf's cost. A format
 * with any other directive goes to vsnprintf as a whole.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum outcome { WRITTEN, NO_ROOM, NOT_PLAIN };

static enum outcome outcome_of(bool is_written)
{
    return is_written ? WRITTEN : NO_ROOM;
}

static size_t digits_of(uint64_t number)
{
    size_t n = 1;
    for (; number >= 10000; number /= 10000)
        n += 4;
    return n + (number >= 10) + (number >= 100) + (number >= 1000);
}

/* Two digits at a time, from the last, in their place. */
static bool append_number(struct buf *b, uint64_t magnitude, bool is_negative)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    const size_t n = digits_of(magnitude) + is_negative;
    char *first = buf_reserve(b, n);
    if (!first)
        return false;
    char *at = first + n;
    for (; magnitude >= 100; magnitude /= 100)
        memcpy(at -= 2, pairs + magnitude % 100 * 2, 2);
    if (magnitude >= 10)
        memcpy(at - 2, pairs + magnitude * 2, 2);
    else
        at[-1] = (char)('0' + magnitude);
    if (is_negative)
        *first = '-';
    b->len += n;
    return true;
}

bool buf_append_u64(struct buf *b, uint64_t number)
{
    return append_number(b, number, false);
}

bool buf_append_i64(struct buf *b, int64_t number)
{
    return append_number(b, number < 0 ? -(uint64_t)number : (uint64_t)number, number < 0);
}

/* `%.*s` */
static enum outcome append_counted(struct buf *b, va_list *args)
{
    int n = va_arg(*args, int);
    const char *text = va_arg(*args, const char *);
    return n < 0 ? NOT_PLAIN : outcome_of(buf_append(b, text, strnlen(text, (size_t)n)));
}

/* `%d`, `%ld`, `%lld` */
static enum outcome append_signed(struct buf *b, size_t size, va_list *args)
{
    int64_t number = size == 0   ? va_arg(*args, int)
                     : size == 1 ? va_arg(*args, long)
                                 : va_arg(*args, long long);
    return outcome_of(buf_append_i64(b, number));
}

/* `%u`, `%lu`, `%llu`; `%zu` is as `%lu`. */
static enum outcome append_unsigned(struct buf *b, size_t size, va_list *args)
{
    uint64_t number = size == 0   ? va_arg(*args, unsigned)
                      : size == 1 ? va_arg(*args, unsigned long)
                                  : va_arg(*args, unsigned long long);
    return outcome_of(buf_append_u64(b, number));
}

/* The directive at `*at`, behind its `%`; leaves `*at` behind it. */
static enum outcome append_directive(struct buf *b, const char **at, va_list *args)
{
    const char *p = *at;
    if (strncmp(p, ".*s", 3) == 0) {
        *at = p + 3;
        return append_counted(b, args);
    }
    size_t size = *p == 'z';
    while (p[size] == 'l')
        size++;
    p += size;
    *at = p + 1;
    if (*p == 's' && size == 0)
        return outcome_of(buf_append_z(b, va_arg(*args, const char *)));
    if (*p == 'd' && size <= 2)
        return append_signed(b, size, args);
    if (*p == 'u' && size <= 2)
        return append_unsigned(b, size, args);
    return NOT_PLAIN;
}

static enum outcome append_plain(struct buf *b, const char *format, va_list *args)
{
    for (;;) {
        const char *percent = strchrnul(format, '%');
        if (!buf_append(b, format, (size_t)(percent - format)))
            return NO_ROOM;
        if (!*percent)
            return WRITTEN;
        format = percent + 1;
        enum outcome outcome = append_directive(b, &format, args);
        if (outcome != WRITTEN)
            return outcome;
    }
}

static bool append_any(struct buf *b, const char *format, va_list *args)
{
    va_list again;
    va_copy(again, *args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    /* vsnprintf writes a NUL behind the text: it needs room, but does not count. */
    char *to = n < 0 ? NULL : buf_reserve_z(b, (size_t)n);
    if (!to) {
        b->failed = true;
        return false;
    }
    vsnprintf(to, (size_t)n + 1, format, *args);
    b->len += (size_t)n;
    return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    size_t start = b->len;
    va_start(args, format);
    enum outcome outcome = append_plain(b, format, &args);
    va_end(args);
    if (outcome == WRITTEN)
        return true;
    b->len = start;
    if (outcome == NO_ROOM)
        return false;
    va_start(args, format);
    bool is_written = append_any(b, format, &args);
    va_end(args);
    return is_written;
}

/*
 * The event-stream parser against a plain reading of the standard: the same events in one piece,
 * byte by byte, and in cuts taken from the input.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "translate/sse.h"

#define OUT_BYTES_MAX (4u << 20)

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void note(struct buf *to, struct str name, struct str data)
{
    buf_printf(to, "%zu %zu ", name.n, data.n);
    buf_append_str(to, name);
    buf_append_char(to, ' ');
    buf_append_str(to, data);
    buf_append_char(to, '\n');
}

/* An event as the standard's algorithm builds it, line by line. */
struct plain {
    struct buf name, data, *to;
    bool has_data;
};

static void plain_field(struct plain *p, struct str line)
{
    const char *colon = memchr(line.p, ':', line.n);
    size_t n = colon ? (size_t)(colon - line.p) : line.n;
    struct str field = {line.p, n};
    struct str value = {line.p + n, line.n - n};
    if (colon)
        value = (struct str){value.p + 1, value.n - 1};
    if (value.n && value.p[0] == ' ')
        value = (struct str){value.p + 1, value.n - 1};
    if (str_eq(field, STR("event"))) {
        buf_reset(&p->name);
        buf_append_str(&p->name, value);
    } else if (str_eq(field, STR("data"))) {
        if (p->has_data)
            buf_append_char(&p->data, '\n');
        p->has_data = true;
        buf_append_str(&p->data, value);
    }
}

static void plain_line(struct plain *p, struct str line)
{
    if (line.n > 0) {
        plain_field(p, line);
        return;
    }
    if (p->has_data)
        note(p->to, buf_str(&p->name), buf_str(&p->data));
    buf_reset(&p->name);
    buf_reset(&p->data);
    p->has_data = false;
}

static void read_plainly(struct str in, struct buf *to)
{
    struct plain p = {.to = to};
    buf_init(&p.name, OUT_BYTES_MAX);
    buf_init(&p.data, OUT_BYTES_MAX);
    size_t i = str_starts(in, STR("\xef\xbb\xbf")) ? 3 : 0, from = i;
    for (; i < in.n; i++) {
        if (in.p[i] != '\r' && in.p[i] != '\n')
            continue;
        plain_line(&p, (struct str){in.p + from, i - from});
        if (in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
            i++;
        from = i + 1;
    }
    buf_done(&p.name);
    buf_done(&p.data);
}

/* Each piece in memory of exactly its size, so that a read behind it is found. */
static void feed(struct sse *p, struct str in, struct buf *to)
{
    char *copy = malloc(in.n + 1);
    require(copy != NULL);
    memcpy(copy, in.p, in.n);
    struct str rest = {copy, in.n};
    struct sse_event event;
    enum sse_result result;
    while ((result = sse_next(p, &rest, &event)) == SSE_EVENT)
        note(to, event.name, event.data);
    require(result == SSE_MORE && rest.n == 0);
    free(copy);
}

static void read_in_cuts(struct str in, unsigned seed, struct buf *to)
{
    struct sse p;
    sse_init(&p);
    for (size_t i = 0; i < in.n;) {
        seed = seed * 1103515245u + 12345u;
        size_t n = seed % 2 ? 1 : 1 + (seed >> 16) % 40;
        if (n > in.n - i)
            n = in.n - i;
        feed(&p, (struct str){in.p + i, n}, to);
        i += n;
    }
    sse_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str in = {(const char *)data + 1, size - 1};
    struct buf expected, whole, cut;
    buf_init(&expected, OUT_BYTES_MAX);
    buf_init(&whole, OUT_BYTES_MAX);
    buf_init(&cut, OUT_BYTES_MAX);
    read_plainly(in, &expected);
    struct sse p;
    sse_init(&p);
    if (in.n)
        feed(&p, in, &whole);
    sse_done(&p);
    read_in_cuts(in, data[0], &cut);
    require(str_eq(buf_str(&whole), buf_str(&expected)));
    require(str_eq(buf_str(&cut), buf_str(&expected)));
    buf_done(&expected);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}

/*
 * libFuzzer: HTTP/1.1 parsing. The first byte picks requests or responses, the second the size of
 * the pieces. The events must be the same whole and cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
    uint64_t hash;
    enum h1_result result;
};

static void mix(uint64_t *hash, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ bytes[i]) * 1099511628211u;
}

static bool on_head(void *arg, const struct h1_head *head)
{
    struct digest *d = arg;
    if (head->n_headers > H1_HEADERS_MAX)
        abort();
    mix(&d->hash, head->method.p, head->method.n);
    mix(&d->hash, head->target.p, head->target.n);
    mix(&d->hash, &head->status, sizeof(head->status));
    mix(&d->hash, &head->content_length, sizeof(head->content_length));
    for (size_t i = 0; i < head->n_headers; i++) {
        mix(&d->hash, head->headers[i].name.p, head->headers[i].name.n);
        mix(&d->hash, head->headers[i].value.p, head->headers[i].value.n);
    }
    return true;
}

static bool on_body(void *arg, const char *p, size_t n)
{
    struct digest *d = arg;
    if (n == 0)
        abort();
    mix(&d->hash, p, n);
    return true;
}

static struct digest run(enum h1_kind kind, const char *text, size_t n, size_t piece)
{
    static const struct h1_callbacks callbacks = {on_head, on_body};
    struct digest d = {14695981039346656037u, H1_MORE};
    struct h1_parser *p = h1_create(kind, &callbacks, &d);
    if (!p)
        return d;
    size_t at = 0;
    while (at < n && (d.result == H1_MORE || d.result == H1_COMPLETE)) {
        size_t taken = 0, step = n - at < piece ? n - at : piece;
        d.result = h1_feed(p, text + at, step, &taken);
        if (taken > step || (d.result == H1_MORE && taken != step))
            abort();
        if (d.result == H1_COMPLETE)
            mix(&d.hash, "end", 3);
        at += taken;
    }
    if (d.result == H1_MORE || d.result == H1_COMPLETE)
        d.result = h1_eof(p);
    h1_destroy(p);
    return d;
}

static bool is_error(enum h1_result r)
{
    return r != H1_MORE && r != H1_COMPLETE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum h1_kind kind = data[0] % 2 ? H1_RESPONSE : H1_REQUEST;
    const char *text = (const char *)data + 2;
    /* Which of two errors is noticed first may depend on the cut; that there is one may not. */
    struct digest whole = run(kind, text, size - 2, size);
    struct digest cut = run(kind, text, size - 2, 1 + data[1] % 16);
    if (whole.hash != cut.hash || is_error(whole.result) != is_error(cut.result) ||
        (!is_error(whole.result) && whole.result != cut.result))
        abort();
    return 0;
}

/*
 * An incremental parser of event streams (WHATWG HTML, "server-sent events"), for any cut of the
 * bytes. An event that arrives in one read is handed out in place, without a copy.
 */
#ifndef TRANSLATE_SSE_H
#define TRANSLATE_SSE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* One event. Whole result blocks (a fetched page, code output) arrive as one. */
#define SSE_EVENT_BYTES_MAX (16u << 20)

struct sse {
    struct buf held;  /* the beginning of an event whose end has not come yet */
    bool is_spent;    /* `held` was handed out; forget it on the next call */
    bool is_after_cr; /* a '\n' that comes next belongs to the line end already seen */
    bool is_in_line;  /* the current line has bytes */
    bool is_begun;    /* the first event is behind: a byte order mark is no longer one */
};

struct sse_event {
    struct str name; /* empty when the event has none */
    struct str data; /* lines joined with '\n' */
};

enum sse_result {
    SSE_MORE,  /* all bytes are taken, the event goes on */
    SSE_EVENT, /* *ret is filled */
    SSE_FAILED /* the event is larger than SSE_EVENT_BYTES_MAX, or memory ran out */
};

void sse_init(struct sse *p);
void sse_done(struct sse *p);
/*
 * Takes bytes from the front of *bytes up to the end of the next event that has data. *ret borrows
 * from *bytes or from the parser, until the next call. An event that never ends is dropped, as the
 * standard says.
 */
enum sse_result sse_next(struct sse *p, struct str *bytes, struct sse_event *ret) PX_MUST_CHECK;

#endif

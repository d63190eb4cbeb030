/*
 * The heads of answers: status line and header lines into a buffer.
 */
#ifndef SERVER_RESPONSE_H
#define SERVER_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum response_framing {
    FRAME_SIZED,       /* content-length */
    FRAME_CHUNKED,     /* HTTP/1.1 streams */
    FRAME_UNTIL_CLOSE, /* HTTP/1.0 streams */
    FRAME_EMPTY        /* 204: no body, no length */
};

struct response_head {
    int status;
    const char *content_type; /* NULL = none */
    enum response_framing framing;
    size_t content_length; /* FRAME_SIZED */
    bool keeps_alive;      /* the connection serves another request after this */
    bool is_http_1_0;      /* the client must be told when its connection stays */
};

/* The status line and the headers about framing and connection; more may follow. */
void response_begin(struct buf *b, const struct response_head *h, struct str date);
/* One header. What a header may not hold is replaced by "?"; very long values are cut. */
void response_header(struct buf *b, const char *name, struct str value);
void response_end(struct buf *b);

/* "Sun, 06 Nov 1994 08:49:37 GMT"; `size` of at least 32. */
void response_date(int64_t unix_s, char *to, size_t size);

/*
 * Chunked framing without a copy: the content is written behind RESPONSE_CHUNK_ROOM free bytes at
 * the start of `b`; response_frame_chunk fills the size into them and ends the chunk (and, with
 * `is_last`, the body). The result borrows from `b`; empty when there is nothing to send or `b`
 * has failed.
 */
#define RESPONSE_CHUNK_ROOM 18
bool response_reserve_chunk(struct buf *b);
struct str response_frame_chunk(struct buf *b, bool is_last);
/* The content alone, for answers that are not chunked. */
struct str response_content(const struct buf *b);

#endif

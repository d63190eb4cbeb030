/*
 * The server side of one HTTP/2 connection, on nghttp2. Pure: bytes in, events out, output pulled.
 *
 *     h2_server_feed(s, bytes from the peer)   -> callbacks
 *     h2_server_output(s, buf)                 -> bytes for the peer
 *
 * A stream: on_request_head, on_body..., on_end, and on_close at any point as the last. Answer it
 * with h2_inbound_respond, h2_inbound_write..., h2_inbound_end, from callbacks or at any later
 * time. Whatever is called, h2_server_output is due afterwards. Flow control is kept: what the
 * peer's window does not admit waits in the stream's bounded buffer, on_drain says when it is
 * empty.
 *
 * Callbacks may call every h2_inbound_* function, but must not destroy the session.
 */
#ifndef HTTP_H2_SERVER_H
#define HTTP_H2_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define H2_SERVER_HEAD_BYTES_MAX 32768
#define H2_SERVER_HEADERS_MAX    100

/* Error codes of RFC 9113, 7. */
enum {
    H2_NO_ERROR = 0,
    H2_INTERNAL_ERROR = 2,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

struct h2_server;
struct h2_inbound; /* valid until its on_close, or h2_inbound_reset */

struct h2_header {
    struct str name; /* lower case */
    struct str value;
};

/* Strings are valid during on_request_head. */
struct h2_request_head {
    struct str method, path, scheme, authority;
    const struct h2_header *headers; /* without the pseudo-headers */
    size_t n_headers;
    bool is_too_large; /* headers beyond the limits were dropped: answer 431 */
};

enum h2_close {
    H2_INBOUND_DONE,  /* the answer went out whole */
    H2_INBOUND_RESET, /* the client cancelled */
    H2_INBOUND_LOST,  /* the connection is being destroyed, or broke its protocol */
};

struct h2_server_callbacks {
    void (*on_request_head)(void *arg, struct h2_inbound *st, const struct h2_request_head *head);
    void (*on_body)(void *arg, struct h2_inbound *st, const char *p, size_t n);
    /* The request is whole. */
    void (*on_end)(void *arg, struct h2_inbound *st);
    /* The stream's buffer is empty again; comes from h2_server_output. May be NULL. */
    void (*on_drain)(void *arg, struct h2_inbound *st);
    /* No callback comes for this stream any more; the handle is invalid afterwards. */
    void (*on_close)(void *arg, struct h2_inbound *st, enum h2_close why);
};

struct h2_server_options {
    uint32_t max_streams;         /* open at once on the connection */
    uint32_t stream_window_bytes; /* of a request body that may be under way unread */
    size_t stream_buffer_bytes;   /* of an answer that may wait in one stream */
};

/* Returns owned; NULL without memory. `cb` is borrowed for the session's life. */
struct h2_server *h2_server_create(const struct h2_server_options *o,
                                   const struct h2_server_callbacks *cb, void *arg);
/* Reports every open stream (H2_INBOUND_LOST) and frees. Accepts NULL. */
void h2_server_destroy(struct h2_server *s);
/* False when the peer broke the protocol: send the output (GOAWAY with the reason) and close. */
bool h2_server_feed(struct h2_server *s, const char *p, size_t n);
/* Appends what is to be sent until `out` holds `limit` bytes or nothing is left. False without
 * memory. */
bool h2_server_output(struct h2_server *s, struct buf *out, size_t limit);
/* Nothing more will be sent or taken: close the connection. */
bool h2_server_is_over(const struct h2_server *s);
/* Announces that no further stream is taken; open ones finish. */
void h2_server_goaway(struct h2_server *s, uint32_t error_code);
/* Frames so far that asked for nothing (PING, SETTINGS, PRIORITY, empty DATA) or broke a rule: who
 * sends many of them means no good. */
uint64_t h2_server_noise(const struct h2_server *s);
size_t h2_server_open_streams(const struct h2_server *s);

/* The caller's own pointer for a stream. */
void h2_inbound_set_arg(struct h2_inbound *st, void *arg);
void *h2_inbound_arg(const struct h2_inbound *st);
/* The response's head; header names in lower case, copied. `has_body` false ends the answer. */
bool h2_inbound_respond(struct h2_inbound *st, int status, const struct h2_header *headers,
                        size_t n, bool has_body);
/* More of the body, copied. False when the buffer is full or memory ran out. */
bool h2_inbound_write(struct h2_inbound *st, const void *p, size_t n);
/* Bytes that wait for the peer's window or for h2_server_output. */
size_t h2_inbound_waiting(const struct h2_inbound *st);
/* The answer is whole. The handle stays valid until on_close. */
void h2_inbound_end(struct h2_inbound *st);
/* Breaks the stream off with RST_STREAM (an HTTP/2 error code). The handle is invalid at once, no
 * on_close comes. */
void h2_inbound_reset(struct h2_inbound *st, uint32_t error_code);

#endif

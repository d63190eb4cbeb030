/*
 * The client side of an HTTP/2 connection, on nghttp2. Pure: bytes in, events out, output pulled.
 *
 * Flow control: the connection's window is given back when bytes arrive, so that one reader that
 * stops cannot starve the others; a stream's window only when its reader took them
 * (h2_client_taken), which bounds what one stream can make us hold.
 */
#ifndef HTTP_H2_CLIENT_H
#define HTTP_H2_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/spliced.h"

#define H2_CLIENT_HEAD_BYTES_MAX 32768
#define H2_CLIENT_HEADERS_MAX    100
/* Streams on one connection, however many the server would take. */
#define H2_CLIENT_STREAMS_MAX 1000
/* Streams that are opened before the server said how many it takes. */
#define H2_CLIENT_EARLY_STREAMS 8
/* Nothing fits in less than one frame; see h2_client_pull. */
#define H2_CLIENT_FRAME_BYTES_MAX 16384

struct h2_field {
    struct str name; /* lower case */
    struct str value;
};

/* One request, embedded in its owner. In place until on_end, on_broken or h2_client_forget. */
struct h2_stream {
    int32_t id;          /* 0 = not open */
    struct spliced body; /* what is to be sent; borrowed until on_head */
    size_t body_bytes, body_sent;
    bool has_head, is_reset_by_peer;
    bool is_early; /* opened before the server said how many streams it takes */
    bool is_cut;   /* the answer began before the body was sent: the rest is not sent */
};

enum h2_break {
    H2_REFUSED, /* the server did not look at it: it may be sent again */
    H2_RESET,   /* the server reset it */
    H2_INVALID, /* its answer broke the rules */
};

/* After on_end and on_broken a stream is closed and no more is heard of it. */
struct h2_client_callbacks {
    void (*on_head)(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                    size_t n);
    /* `p` points into what h2_client_feed was given. */
    void (*on_data)(void *arg, struct h2_stream *s, const char *p, size_t n);
    void (*on_end)(void *arg, struct h2_stream *s);
    void (*on_broken)(void *arg, struct h2_stream *s, enum h2_break how, const char *detail);
    /* A part of the body was pulled. */
    void (*on_upload)(void *arg, struct h2_stream *s);
};

struct h2_client;

/* `cb` and `arg` are borrowed. Returns owned; NULL without memory. The preface waits in the
 * output. */
struct h2_client *h2_client_create(size_t stream_window_bytes, const struct h2_client_callbacks *cb,
                                   void *arg);
/* Accepts NULL. Never from inside a callback. Open streams are not reported. */
void h2_client_destroy(struct h2_client *c);

/*
 * Opens a stream for a request; `fields` begin with the pseudo-headers and are copied. False
 * without memory, or when the connection can open no more streams (then it is draining).
 */
bool h2_client_request(struct h2_client *c, struct h2_stream *s, const struct h2_field *fields,
                       size_t n, const struct spliced *body);
/* Cancels a stream: no more callbacks; RST_STREAM waits in the output. Accepts a closed one. */
void h2_client_forget(struct h2_client *c, struct h2_stream *s);
/* The reader took `n` bytes of on_data. Accepts a closed stream. */
void h2_client_taken(struct h2_client *c, struct h2_stream *s, size_t n);
void h2_client_ping(struct h2_client *c);
/* Says GOAWAY; nothing is to follow it. */
void h2_client_goodbye(struct h2_client *c);

/* Takes bytes from the server. False when the connection cannot go on; h2_client_reason. */
bool h2_client_feed(struct h2_client *c, const char *p, size_t n);
/* Appends whole frames to `out` until it holds `enough` bytes or there are no more. False when
 * the connection cannot go on. `out` needs room for one frame beyond `enough`. */
bool h2_client_pull(struct h2_client *c, struct buf *out, size_t enough);

/* Streams that may be opened now. */
size_t h2_client_room(const struct h2_client *c);
/* The server's SETTINGS are in. */
bool h2_client_is_settled(const struct h2_client *c);
/* GOAWAY came, or stream numbers ran out: no new streams. */
bool h2_client_is_draining(const struct h2_client *c);
/* Nothing is left to read or write: the connection broke a rule, or has said goodbye. */
bool h2_client_is_over(const struct h2_client *c);
/* The server broke a rule of the whole connection. */
bool h2_client_is_invalid(const struct h2_client *c);
/* Why it ended, for people; "" when nothing is known. Valid until the next call. */
const char *h2_client_reason(const struct h2_client *c);

#endif

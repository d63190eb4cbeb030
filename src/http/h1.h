/*
 * HTTP/1.1 messages, both directions, on llhttp. Pure: bytes in, events out. Used by the client
 * side (requests), the upstream side (responses) and the simulator (requests).
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define H1_HEAD_BYTES_MAX 32768 /* start line and headers together */
#define H1_HEADERS_MAX    100

struct h1_header {
    struct str name; /* in lower case */
    struct str value;
};

/* A parsed head. The strings live in the parser until the next message begins. */
struct h1_head {
    struct str method; /* requests */
    struct str target; /* requests: path and query as sent */
    int status;        /* responses */
    bool is_http_1_0;
    bool keep_alive; /* the connection may carry another message after this one */
    bool is_chunked;
    bool expects_continue;  /* requests: "Expect: 100-continue" */
    int64_t content_length; /* -1 = not said */
    const struct h1_header *headers;
    size_t n_headers;
};

enum h1_result {
    H1_MORE,     /* everything taken; feed more */
    H1_COMPLETE, /* one message ended; bytes behind it were not taken */
    H1_UPGRADE_REFUSED,
    H1_HEAD_TOO_LARGE,   /* -> 431 */
    H1_TOO_MANY_HEADERS, /* -> 431 */
    H1_BAD,              /* framing, syntax, conflicting lengths -> 400 and close */
    H1_STOPPED           /* a callback returned false */
};

struct h1_callbacks {
    bool (*on_head)(void *arg, const struct h1_head *head);
    bool (*on_body)(void *arg, const char *p, size_t n); /* never with n = 0 */
};

struct h1_parser; /* opaque: ~1 KB plus the head while one is being read */

enum h1_kind { H1_REQUEST, H1_RESPONSE };
/* Returns owned; NULL without memory. `cb` is borrowed for the parser's life. */
struct h1_parser *h1_create(enum h1_kind kind, const struct h1_callbacks *cb, void *arg);
void h1_destroy(struct h1_parser *p);
/* Frees the head of the last message before the next begins: keeps idle connections small. */
void h1_forget_head(struct h1_parser *p);
/* The next response answers a HEAD request: it has no body whatever its headers say. */
void h1_expect_no_body(struct h1_parser *p);
/* Feeds bytes; *ret_taken says how many were used (all of them with H1_MORE). */
enum h1_result h1_feed(struct h1_parser *p, const char *bytes, size_t n, size_t *ret_taken);
/* The peer closed: H1_COMPLETE if that ends a response without a length, H1_MORE between
 * messages, H1_BAD in the middle of one. */
enum h1_result h1_eof(struct h1_parser *p);
/* Bytes of the current message's head are in, but not all of it. */
bool h1_is_in_head(const struct h1_parser *p);
/* First header of that name, given in lower case; {NULL, 0} when absent. */
struct str h1_find(const struct h1_head *head, struct str name);
/* Static text for a result that is an error, for error messages: "two different Content-Length...".
 */
const char *h1_reason(const struct h1_parser *p);

/* "200" -> "OK". Empty text for unknown codes. */
const char *h1_status_text(int status);

#endif

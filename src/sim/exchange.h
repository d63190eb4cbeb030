/*
 * One request and its answer, whatever carries them: routes the request, then speaks the script
 * at its pace, with its faults.
 */
#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sim_worker;
struct exchange;

struct exchange_header {
    struct str name, value;
};

struct exchange_request {
    struct str method, target;
    const struct exchange_header *headers;
    size_t n_headers;
    struct str body;
    bool is_loopback;     /* the client is on this machine */
    bool is_too_large;    /* the body was longer than the API takes, and was dropped */
    const char *protocol; /* "1.1" or "2" */
    uint64_t connection;
};

/* How a transport carries an answer. After `end` or `abort` nothing more is called. */
struct exchange_io {
    /* content_length -1: not known in advance. */
    void (*head)(void *arg, int status, const struct exchange_header *h, size_t n,
                 int64_t content_length);
    void (*body)(void *arg, const char *p, size_t n);
    void (*end)(void *arg);
    /* Breaks off: closes the connection (HTTP/1.1) or resets the stream (HTTP/2). */
    void (*abort)(void *arg);
    /* Bytes that the client has not taken yet. */
    size_t (*waiting)(void *arg);
};

/*
 * The request is borrowed during the call only. No io callback runs inside it. Frees itself after
 * `end` or `abort`. NULL without memory.
 */
struct exchange *exchange_start(struct sim_worker *w, const struct exchange_request *q,
                                const struct exchange_io *io, void *arg);
/* What waited was taken. */
void exchange_drained(struct exchange *e);
/* The client is gone: frees, calls nothing any more. */
void exchange_gone(struct exchange *e);

/* Value of a header; {NULL, 0} when absent. */
struct str exchange_header(const struct exchange_request *q, struct str name);

#endif

/*
 * A client that speaks HTTP/2: many requests at once on one socket, each on a stream of its own
 * that is paused, refused and given up without the others.
 */
#ifndef SERVER_CONNECTION_H2_H
#define SERVER_CONNECTION_H2_H

#include <stdbool.h>
#include <stddef.h>

#include "net/channel.h"
#include "server/end.h"

struct connection_h2;
struct worker;

/* What the socket's owner does for it. Never called from inside connection_h2_* but from the loop.
 */
struct connection_h2_host {
    struct worker *worker;
    struct channel *channel;
    /* The conversation is over; `is_orderly`: once what waits is written. Every request has been
     * told. */
    void (*close)(void *arg, bool is_orderly);
    void *arg;
};

/* Returns owned; NULL without memory. */
struct connection_h2 *connection_h2_create(const struct connection_h2_host *host);
void connection_h2_data(struct connection_h2 *h, const char *p, size_t n);
/* The socket takes bytes again. */
void connection_h2_drained(struct connection_h2 *h);
/* No new streams; closes with the last, or `now`: what is open is told so and ended. */
void connection_h2_drain(struct connection_h2 *h, bool now);
/* The socket is gone: so are the clients of all requests. */
void connection_h2_gone(struct connection_h2 *h, enum end_reason why);
/* At the end of the turn in which it was gone. Accepts NULL. */
void connection_h2_destroy(struct connection_h2 *h);

#endif

/*
 * A client's connection: bytes in, requests one after the other, answers out. It knows HTTP's
 * outside (limits in time and size, keep-alive, pipelining, a client that leaves); what a request
 * means is request.c's.
 */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/str.h"

struct connection;
struct worker;

/* Takes an accepted socket. `worker` is a struct worker (a listener's argument). */
void connection_accept(void *worker, int fd);

/* The same for one that came by METRICS_ADDRESS: nothing but metrics and health, no TLS. */
void connection_accept_metrics(void *worker, int fd);

/* For a request, about the connection it came on. */
void connection_write(struct connection *c, struct str bytes);
/* Bytes the client has not taken yet. */
size_t connection_waiting(const struct connection *c);
/* "TLSv1.3"; empty over plain HTTP. */
const char *connection_tls_version(const struct connection *c);
/* Came by METRICS_ADDRESS. */
bool connection_is_for_metrics(const struct connection *c);
/* Whether another request may follow this one; asked when the answer's head is written. */
bool connection_keeps_alive(const struct connection *c);

enum connection_rest {
    CONNECTION_STAYS,  /* for the next request */
    CONNECTION_CLOSES, /* when the client has got the answer */
    CONNECTION_BREAKS  /* at once: the answer is not whole */
};
/* The request is over and touches the connection no more. */
void connection_request_over(struct connection *c, enum connection_rest rest);
/* The client is dropped, with what waits for it. */
void connection_drop(struct connection *c);

/* For a worker that drains: closes as soon as no request is under way, or `now`. */
void connection_drain(struct connection *c, bool now);
struct connection *connection_of_node(struct list *node);

#endif

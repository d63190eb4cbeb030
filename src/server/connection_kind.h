/*
 * What a request answers to: an HTTP/1.1 connection (connection.c), or one stream of an HTTP/2
 * connection (connection_h2.c). For those two.
 */
#ifndef SERVER_CONNECTION_KIND_H
#define SERVER_CONNECTION_KIND_H

#include "config/config.h"
#include "server/connection.h"

/* Whether a body has come slower than anything but an attack would, its time for silence aside. */
bool connection_body_is_too_slow(const struct config *config, int64_t elapsed_us, uint64_t bytes);

struct connection_kind {
    void (*write)(struct connection *c, struct str bytes);
    size_t (*waiting)(const struct connection *c);
    bool (*keeps_alive)(const struct connection *c);
    void (*request_over)(struct connection *c, enum connection_rest rest);
    void (*drop)(struct connection *c);
    const char *(*tls_version)(const struct connection *c);
};

/* The first member of each of them. */
struct connection {
    const struct connection_kind *kind;
    bool is_for_metrics; /* came by METRICS_ADDRESS */
};

#endif

/*
 * The proxy as a whole: workers, listeners, shutdown. Start reading at request.c.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct server;

struct server_options {
    const struct config *config; /* borrowed for the server's life */
    bool is_demo;                /* answers carry x-claude-proxy-demo: 1 */
    int listen_fd;             /* borrowed, a listening socket; -1 = host and port of the config */
    const char *notify_socket; /* of the service manager; NULL = none */
    int64_t watchdog_us;       /* the manager wants a sign of life this often; 0 = none */
};

/* Binds, starts the workers. NULL with one line in `why` (port in use, bad URL, no CA...). */
struct server *server_start(const struct server_options *o, char *why, size_t why_size);
/* Blocks until SIGTERM or SIGINT, then drains: no new connections, open answers finish within the
 * limit. A second signal ends at once. */
void server_run(struct server *s);
void server_destroy(struct server *s);

#endif

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
    struct config *config;     /* its texts are taken */
    bool is_demo;              /* answers carry x-claude-proxy-demo: 1 */
    int listen_fd;             /* borrowed, a listening socket; -1 = host and port of the config */
    const char *notify_socket; /* of the service manager; NULL = none */
    /* SIGHUP: reads the settings anew. False with one line in `why`; NULL = there is no other. */
    bool (*read_config)(void *arg, struct config *ret, const struct config *before, char *why,
                        size_t why_size);
    void *read_config_arg;
    int64_t watchdog_us; /* the manager wants a sign of life this often; 0 = none */
};

/* Binds, starts the workers. NULL with one line in `why` (port in use, bad URL, no CA...). */
struct server *server_start(const struct server_options *o, char *why, size_t why_size);
/* The settings of the start: until server_run, which may bring others. */
const struct config *server_config(const struct server *s);
/* Blocks until SIGTERM or SIGINT, then drains: no new connections, open answers finish within the
 * limit. A second signal ends at once. */
void server_run(struct server *s);
void server_destroy(struct server *s);

#endif

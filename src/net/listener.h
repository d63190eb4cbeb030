/*
 * A listening TCP socket of one loop. Several loops may share a port (SO_REUSEPORT).
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "net/authority.h"
#include "net/loop.h"

struct listener;

/*
 * Binds and listens; `host` is a name or an IP literal (IPv4 or IPv6), port 0 lets the kernel
 * pick. `on_accept` gets a non-blocking connected socket that it must take (close it to refuse).
 * NULL on failure, with a reason in `why` ("address already in use").
 */
struct listener *listener_open(struct loop *l, const char *host, int port,
                               void (*on_accept)(void *arg, int fd), void *arg, char *why,
                               size_t why_size);
/* The same on a listening socket that is there already, of which a copy is used. */
struct listener *listener_adopt(struct loop *l, int fd, void (*on_accept)(void *arg, int fd),
                                void *arg, char *why, size_t why_size);
int listener_port(const struct listener *s);
/*
 * Takes what waits to be accepted, then closes: the kernel would reset it. What waits at an adopted
 * socket is left to the other holders of it. Accepts NULL.
 */
void listener_drain(struct listener *s);
/* Stops accepting and closes. Accepts NULL. */
void listener_close(struct listener *s);
/*
 * Whether nobody else listens there. Listeners of one process share a port, so a second process
 * would join them unnoticed: ask once before the first is opened.
 */
bool listener_port_is_free(const char *host, int port, char *why, size_t why_size);
/* "127.0.0.1:9090", "[::1]:0": where to listen, in one text. */
bool listener_address(struct str text, struct authority *ret);
/* Whether every address that `host` stands for is loopback. False for names that do not resolve. */
bool listener_is_loopback(const char *host);

#endif

/*
 * Host names, looked up with getaddrinfo on a thread of its own.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net/loop.h"

#define RESOLVER_ADDRESSES_MAX 16

struct resolver_address {
    struct sockaddr_storage sa;
    socklen_t len;
};
struct resolver_answer {
    struct resolver_address address[RESOLVER_ADDRESSES_MAX]; /* families alternate, best first */
    size_t n;
    const char *error; /* static text for people when n is 0 */
};

struct resolver; /* shared by all loops */
struct resolver *resolver_create(void);
/* No query may be outstanding. A look-up that hangs is left to its thread. */
void resolver_destroy(struct resolver *r);

/* An address as text ("127.0.0.1", "fe80::1%eth0") needs no look-up. False: `host` is a name. */
bool resolver_literal(const char *host, int port, struct resolver_answer *ret);

/*
 * A look-up. `done` runs on `l`'s thread unless cancelled first, never inside this. Those who ask
 * for a name while it is looked up get that look-up's answer.
 */
struct resolver_query;
struct resolver_query *resolver_lookup(struct resolver *r, struct loop *l, const char *host,
                                       int port,
                                       void (*done)(void *arg, const struct resolver_answer *a),
                                       void *arg);
void resolver_cancel(struct resolver_query *q);

#endif

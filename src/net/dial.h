/*
 * A TCP connection to a host name: look-up, then its addresses in turn, the next one started when
 * one fails or stays silent for a quarter of a second (RFC 8305).
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

#include "net/loop.h"
#include "net/resolver.h"

struct dial;

struct dial_target {
    const char *host;
    int port;
    const struct resolver_address *from; /* to bind, copied; NULL = the kernel's choice */
};

/*
 * `done` gets a connected, non-blocking socket (taken by the callee) or -1 and the reason in
 * `error`. It runs once, from the loop, never inside dial_start, unless cancelled before.
 * NULL without memory.
 */
struct dial *dial_start(struct loop *l, struct resolver *r, const struct dial_target *target,
                        int64_t timeout_ms, void (*done)(void *arg, int fd, const char *error),
                        void *arg);
void dial_cancel(struct dial *d);

#endif

/*
 * The way out: a connection to a host, directly or through a web proxy's CONNECT, from the local
 * address that the operator wants.
 */
#ifndef NET_EGRESS_H
#define NET_EGRESS_H

#include "net/loop.h"
#include "net/proxy.h"
#include "net/resolver.h"

struct egress {
    struct proxy proxy;           /* at.host "" = directly */
    bool tunnels;                 /* asks the proxy to CONNECT; else it is only dialled */
    struct resolver_address from; /* to bind; len 0 = the kernel's choice */
};

/* Reads an IP literal and tries whether it is this machine's. False with a reason in `why`. */
bool egress_parse_address(const char *text, struct resolver_address *ret, char *why,
                          size_t why_size);

struct egress_call;
/*
 * `done` gets a connected, non-blocking socket (taken by the callee) or -1 and the reason in
 * `error`, valid during the call. It runs once, from the loop, never inside egress_start, unless
 * cancelled before. `e` and `host` are borrowed until then. NULL without memory.
 */
struct egress_call *egress_start(struct loop *l, struct resolver *r, const struct egress *e,
                                 const char *host, int port, int64_t timeout_ms,
                                 void (*done)(void *arg, int fd, const char *error), void *arg);
void egress_cancel(struct egress_call *c);

#endif

/*
 * Web proxies as operators name them (HTTPS_PROXY), and for which hosts they are not used
 * (NO_PROXY). Pure.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/authority.h"

#define PROXY_AUTHORIZATION_SIZE 1100

struct proxy {
    struct authority at;
    /* Value of Proxy-Authorization, with the user and the password in it; "" = none. */
    char authorization[PROXY_AUTHORIZATION_SIZE];
};

/* "http://user:password@host:port", all but the host optional. False with a reason in `why` that
 * holds nothing of the URL. */
bool proxy_parse(struct str url, struct proxy *ret, char *why, size_t why_size);

/*
 * Whether `no_proxy` names the host: a list, by commas or blanks, of names (with all below them),
 * addresses, networks (10.0.0.0/8), each perhaps with a port; `*` is all. This machine itself
 * (localhost, loopback addresses) is never reached by way of a proxy.
 */
bool proxy_is_bypassed(struct str no_proxy, const char *host, int port);

#endif

/*
 * Host and port of a URL.
 */
#include "net/authority.h"

#include <arpa/inet.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* Copies the name or the address between brackets; *rest moves behind it. */
static bool take_host(struct str *rest, struct authority *a)
{
    a->is_v6 = rest->n > 0 && rest->p[0] == '[';
    struct str host = *rest;
    if (a->is_v6) {
        ptrdiff_t end = str_find(*rest, STR("]"));
        if (end < 0)
            return false;
        host = (struct str){rest->p + 1, (size_t)end - 1};
        *rest = (struct str){rest->p + end + 1, rest->n - (size_t)end - 1};
    } else {
        ptrdiff_t colon = str_find(*rest, STR(":"));
        host.n = colon < 0 ? rest->n : (size_t)colon;
        *rest = (struct str){rest->p + host.n, rest->n - host.n};
    }
    if (host.n == 0 || host.n >= sizeof(a->host))
        return false;
    for (size_t i = 0; i < host.n; i++) {
        a->host[i] = lower(host.p[i]);
        if (!a->is_v6 && !is_host_char(a->host[i]))
            return false;
    }
    a->host[host.n] = '\0';
    struct in6_addr address;
    return !a->is_v6 || inet_pton(AF_INET6, a->host, &address) == 1;
}

static bool take_port(struct str rest, int default_port, int *ret)
{
    uint64_t port;
    *ret = default_port;
    if (rest.n == 0)
        return true;
    if (rest.p[0] != ':' || !str_to_u64((struct str){rest.p + 1, rest.n - 1}, &port))
        return false;
    *ret = (int)port;
    return port > 0 && port <= 65535;
}

enum authority_result authority_parse(struct str text, int default_port, struct authority *ret)
{
    if (!take_host(&text, ret))
        return AUTHORITY_BAD_HOST;
    return take_port(text, default_port, &ret->port) ? AUTHORITY_OK : AUTHORITY_BAD_PORT;
}

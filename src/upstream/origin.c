/*
 * The upstream's address as the operator writes it: "https://host[:port][/path]", taken apart
 * once at the start. Anything that would be dropped silently (a user name, a query) is refused.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "upstream/upstream.h"

#define PORT_HTTP  80
#define PORT_HTTPS 443

static bool refuse(char *why, size_t why_size, const char *reason)
{
    snprintf(why, why_size, "%s", reason);
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* Takes "http://" or "https://" off the front. */
static bool take_scheme(struct str *rest, bool *ret_is_tls)
{
    static const struct {
        struct str text;
        bool is_tls;
    } schemes[] = {{{"http://", 7}, false}, {{"https://", 8}, true}};
    for (size_t i = 0; i < PX_ARRAY_LEN(schemes); i++) {
        struct str s = schemes[i].text;
        if (rest->n < s.n || !str_eq_nocase((struct str){rest->p, s.n}, s))
            continue;
        *rest = (struct str){rest->p + s.n, rest->n - s.n};
        *ret_is_tls = schemes[i].is_tls;
        return true;
    }
    return false;
}

/* Copies the name or the address between brackets, in lower case; *rest moves behind it. */
static bool take_host(struct str *rest, struct upstream_origin *o, bool *ret_is_v6)
{
    const bool is_v6 = rest->n > 0 && rest->p[0] == '[';
    struct str host = *rest;
    if (is_v6) {
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
    if (host.n == 0 || host.n >= sizeof(o->host))
        return false;
    for (size_t i = 0; i < host.n; i++) {
        o->host[i] = lower(host.p[i]);
        if (!is_v6 && !is_host_char(o->host[i]))
            return false;
    }
    o->host[host.n] = '\0';
    struct in6_addr address;
    *ret_is_v6 = is_v6;
    return !is_v6 || inet_pton(AF_INET6, o->host, &address) == 1;
}

static bool take_port(struct str rest, struct upstream_origin *o)
{
    o->port = o->is_tls ? PORT_HTTPS : PORT_HTTP;
    if (rest.n == 0)
        return true;
    uint64_t port;
    if (rest.p[0] != ':' || !str_to_u64((struct str){rest.p + 1, rest.n - 1}, &port))
        return false;
    if (port == 0 || port > 65535)
        return false;
    o->port = (int)port;
    return true;
}

static bool take_path(struct str path, struct upstream_origin *o)
{
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n >= sizeof(o->path_prefix))
        return false;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= ' ' || path.p[i] > '~')
            return false;
    if (path.n > 0)
        memcpy(o->path_prefix, path.p, path.n);
    o->path_prefix[path.n] = '\0';
    return true;
}

static void write_authority(struct upstream_origin *o, bool is_v6)
{
    const char *open = is_v6 ? "[" : "", *close = is_v6 ? "]" : "";
    if (o->port == (o->is_tls ? PORT_HTTPS : PORT_HTTP))
        snprintf(o->authority, sizeof(o->authority), "%s%s%s", open, o->host, close);
    else
        snprintf(o->authority, sizeof(o->authority), "%s%s%s:%d", open, o->host, close, o->port);
}

bool upstream_origin_parse(struct str url, struct upstream_origin *ret, char *why, size_t why_size)
{
    struct upstream_origin o = {0};
    struct str rest = url;
    if (!take_scheme(&rest, &o.is_tls))
        return refuse(why, why_size, "must begin with http:// or https://");
    if (str_find(rest, STR("?")) >= 0 || str_find(rest, STR("#")) >= 0)
        return refuse(why, why_size, "must not have a query or a fragment");
    ptrdiff_t slash = str_find(rest, STR("/"));
    size_t n = slash < 0 ? rest.n : (size_t)slash;
    struct str authority = {rest.p, n}, path = {rest.p + n, rest.n - n};
    if (str_find(authority, STR("@")) >= 0)
        return refuse(why, why_size, "must not have a user name or password");
    bool is_v6;
    if (!take_host(&authority, &o, &is_v6))
        return refuse(why, why_size, "has no valid host name");
    if (!take_port(authority, &o))
        return refuse(why, why_size, "has no valid port (1 to 65535)");
    if (!take_path(path, &o))
        return refuse(why, why_size, "has a path that is too long or not plain ASCII");
    write_authority(&o, is_v6);
    *ret = o;
    return true;
}

/*
 * The upstream's address as the operator writes it: "https://host[:port][/path]", taken apart
 * once at the start. Anything that would be dropped silently (a user name, a query) is refused.
 */
#include <stdio.h>
#include <string.h>

#include "net/authority.h"
#include "upstream/upstream.h"

#define PORT_HTTP  80
#define PORT_HTTPS 443

static bool refuse(char *why, size_t why_size, const char *reason)
{
    snprintf(why, why_size, "%s", reason);
    return false;
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
    struct authority at;
    switch (authority_parse(authority, o.is_tls ? PORT_HTTPS : PORT_HTTP, &at)) {
    case AUTHORITY_OK:
        break;
    case AUTHORITY_BAD_HOST:
        return refuse(why, why_size, "has no valid host name");
    case AUTHORITY_BAD_PORT:
        return refuse(why, why_size, "has no valid port (1 to 65535)");
    }
    memcpy(o.host, at.host, sizeof(o.host));
    o.port = at.port;
    if (!take_path(path, &o))
        return refuse(why, why_size, "has a path that is too long or not plain ASCII");
    write_authority(&o, at.is_v6);
    *ret = o;
    return true;
}

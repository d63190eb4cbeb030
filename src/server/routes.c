/*
 * Matches a request line with the table of URLs.
 */
#include "server/routes.h"

#define ALLOW_READ "GET, HEAD, OPTIONS"

static const struct route routes[] = {
    {ROUTE_HEALTH, {"/health", 7}, "GET", ALLOW_READ, false},
    {ROUTE_MODELS, {"/v1/models", 10}, "GET", ALLOW_READ, true},
    {ROUTE_MODEL, {"/v1/models/", 11}, "GET", ALLOW_READ, true},
    {ROUTE_CHAT, {"/v1/chat/completions", 20}, "POST", "POST, OPTIONS", true},
    {ROUTE_METRICS, {"/metrics", 8}, "GET", ALLOW_READ, true},
};

/* The path of a target: scheme and authority, query and fragment, one trailing slash cut off. */
static struct str path_of(struct str target)
{
    struct str path = target;
    ptrdiff_t authority = str_find(path, STR("://"));
    if (path.n && path.p[0] != '/' && authority >= 0) {
        path.p += authority + 3;
        path.n -= (size_t)authority + 3;
        ptrdiff_t slash = str_find(path, STR("/"));
        size_t skip = slash < 0 ? path.n : (size_t)slash;
        path = (struct str){path.p + skip, path.n - skip};
    }
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '?' || path.p[i] == '#')
            path.n = i;
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    return path;
}

static bool matches(const struct route *r, struct str path, struct str *ret_name)
{
    *ret_name = (struct str){0};
    if (!str_ends(r->path, STR("/")))
        return str_eq(path, r->path);
    if (!str_starts(path, r->path) || path.n == r->path.n)
        return false;
    *ret_name = (struct str){path.p + r->path.n, path.n - r->path.n};
    return true;
}

enum route_result route_find(struct str method, struct str target, struct route_match *ret)
{
    const bool is_options = str_eq(method, STR("OPTIONS"));
    *ret = (struct route_match){.path = path_of(target)};
    if (is_options && str_eq(target, STR("*")))
        return ROUTE_OPTIONS;
    for (size_t i = 0; i < PX_ARRAY_LEN(routes); i++) {
        if (!matches(&routes[i], ret->path, &ret->name))
            continue;
        ret->route = &routes[i];
        if (is_options)
            return ROUTE_OPTIONS;
        struct str wanted = str_of(routes[i].method);
        bool is_head_of_get = str_eq(method, STR("HEAD")) && str_eq(wanted, STR("GET"));
        if (str_eq(method, wanted) || is_head_of_get)
            return ROUTE_FOUND;
        ret->allow = routes[i].allow;
        return ROUTE_WRONG_METHOD;
    }
    return ROUTE_UNKNOWN;
}

const char *route_word(size_t id)
{
    static const char *const words[ROUTES + 1] = {"health", "models",  "model",
                                                  "chat",   "metrics", "none"};
    return words[id];
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct str route_decode(struct arena *arena, struct str name)
{
    char *to = arena_alloc(arena, name.n + 1);
    if (!to)
        return (struct str){0};
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        int c = (unsigned char)name.p[i];
        if (c == '%') {
            if (name.n - i < 3)
                return (struct str){0};
            int high = hex_digit(name.p[i + 1]), low = hex_digit(name.p[i + 2]);
            if (high < 0 || low < 0)
                return (struct str){0};
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return (struct str){0};
        to[n++] = (char)c;
    }
    return (struct str){to, n};
}

/*
 * The URLs of the API.
 */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

enum route_id { ROUTE_HEALTH, ROUTE_MODELS, ROUTE_MODEL, ROUTE_CHAT, ROUTE_METRICS, ROUTES };

struct route {
    enum route_id id;
    struct str path; /* ends with a slash: the rest is a name */
    const char *method;
    const char *allow; /* value of the Allow header */
    bool needs_key;
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_OPTIONS,      /* OPTIONS on a known URL, or on the server ("*") */
    ROUTE_WRONG_METHOD, /* `allow` says what works */
    ROUTE_UNKNOWN
};

struct route_match {
    const struct route *route;
    struct str path;   /* without query and trailing slash; borrows from the target */
    struct str name;   /* what follows a path that ends with a slash, as sent */
    const char *allow; /* ROUTE_WRONG_METHOD only */
};

/* `target` as the request line has it: path and query, an absolute URL, or "*". */
enum route_result route_find(struct str method, struct str target, struct route_match *ret);
/* "chat" for ROUTE_CHAT; ROUTES stands for URLs that there are not: "none". */
const char *route_word(size_t id);
/* Resolves %XX. {NULL, 0} when it is malformed or would hold a control character. */
struct str route_decode(struct arena *arena, struct str name);

#endif

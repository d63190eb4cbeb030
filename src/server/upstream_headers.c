/*
 * The headers every request to the upstream carries.
 */
#include "server/upstream_headers.h"

size_t upstream_headers_common(const struct upstream_keys *keys, size_t key,
                               struct upstream_header to[UPSTREAM_HEADERS_MAX])
{
    size_t n = 0;
    if (key < keys->n)
        to[n++] = (struct upstream_header){keys->header, keys->all[key].value};
    to[n++] = (struct upstream_header){STR("user-agent"), STR("claude-proxy/" PX_VERSION)};
    /* Offered gzip, the upstream compresses even event streams. */
    to[n++] = (struct upstream_header){STR("accept-encoding"), STR("identity")};
    return n;
}

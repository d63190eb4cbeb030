/*
 * The headers every request to the upstream carries.
 */
#include "server/upstream_headers.h"

size_t upstream_headers_common(const struct shared *shared,
                               struct upstream_header to[UPSTREAM_HEADERS_MAX])
{
    size_t n = 0;
    if (shared->upstream_auth_value.n)
        to[n++] = (struct upstream_header){shared->upstream_auth_name, shared->upstream_auth_value};
    to[n++] = (struct upstream_header){STR("user-agent"), STR("claude-proxy/" PX_VERSION)};
    /* Offered gzip, the upstream compresses even event streams. */
    to[n++] = (struct upstream_header){STR("accept-encoding"), STR("identity")};
    return n;
}

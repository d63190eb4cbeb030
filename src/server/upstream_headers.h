/*
 * The headers every request to the upstream carries.
 */
#ifndef SERVER_UPSTREAM_HEADERS_H
#define SERVER_UPSTREAM_HEADERS_H

#include "server/upstream_keys.h"
#include "upstream/upstream.h"

#define UPSTREAM_HEADERS_MAX 12

/* Writes the key, user-agent and accept-encoding; returns how many. The caller adds its own. */
size_t upstream_headers_common(const struct upstream_keys *keys, size_t key,
                               struct upstream_header to[UPSTREAM_HEADERS_MAX]);

#endif

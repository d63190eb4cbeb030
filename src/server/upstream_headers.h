/*
 * The headers that every request to the upstream carries, and what those of its answers say about
 * trying again.
 */
#ifndef SERVER_UPSTREAM_HEADERS_H
#define SERVER_UPSTREAM_HEADERS_H

#include "server/upstream_keys.h"
#include "upstream/upstream.h"

#define UPSTREAM_HEADERS_MAX 12

/* Writes the key, user-agent and accept-encoding; returns how many. The caller adds its own. */
size_t upstream_headers_common(const struct upstream_keys *keys, size_t key,
                               struct upstream_header to[UPSTREAM_HEADERS_MAX]);

/* x-should-retry, which has the last word. */
enum says_retry { SAYS_NOTHING, SAYS_NO, SAYS_YES };

enum says_retry upstream_says_retry(const struct upstream_header *headers, size_t n);
/* Of retry-after-ms or retry-after in seconds; 0 where neither is there or can be read. */
int64_t upstream_retry_after_ms(const struct upstream_header *headers, size_t n);

#endif

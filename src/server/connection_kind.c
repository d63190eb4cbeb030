/*
 * From what a request calls to what it has, and what both kinds hold their clients to.
 */
#include "server/connection_kind.h"

#define BODY_BYTES_PER_S_MIN 128

bool connection_body_is_too_slow(const struct config *config, int64_t elapsed_us, uint64_t bytes)
{
    const int64_t beyond_s = elapsed_us / 1000000 - config->body_timeout_s;
    return beyond_s > 0 && bytes / BODY_BYTES_PER_S_MIN < (uint64_t)beyond_s;
}

bool connection_is_for_metrics(const struct connection *c)
{
    return c->is_for_metrics;
}

void connection_write(struct connection *c, struct str bytes)
{
    c->kind->write(c, bytes);
}

size_t connection_waiting(const struct connection *c)
{
    return c->kind->waiting(c);
}

const char *connection_tls_version(const struct connection *c)
{
    return c->kind->tls_version(c);
}

bool connection_keeps_alive(const struct connection *c)
{
    return c->kind->keeps_alive(c);
}

void connection_request_over(struct connection *c, enum connection_rest rest)
{
    c->kind->request_over(c, rest);
}

void connection_drop(struct connection *c)
{
    c->kind->drop(c);
}

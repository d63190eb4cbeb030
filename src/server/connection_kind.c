/*
 * From what a request calls to what it has.
 */
#include "server/connection_kind.h"

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

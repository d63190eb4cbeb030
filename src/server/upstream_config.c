/*
 * Origin, proxy, local address and trust of the upstream, from the settings.
 */
#include "server/upstream_config.h"

#include <stdio.h>
#include <string.h>

/* "HTTPS_PROXY has no valid port": the value may be a secret. */
static bool blame(const char *setting, const char *reason, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s %s", setting, reason);
    return false;
}

static bool choose_proxy(const struct config *c, struct upstream_settings *u, char *why,
                         size_t why_size)
{
    const struct upstream_origin *o = &u->origin;
    const char *url = o->is_tls ? c->https_proxy : c->http_proxy;
    const char *setting = o->is_tls ? "HTTPS_PROXY" : "HTTP_PROXY";
    char reason[128];
    if (!url[0] || proxy_is_bypassed(str_of(c->no_proxy), o->host, o->port))
        return true;
    u->egress.tunnels = o->is_tls;
    return proxy_parse(str_of(url), &u->egress.proxy, reason, sizeof(reason)) ||
           blame(setting, reason, why, why_size);
}

bool upstream_of_config(const struct config *c, struct upstream_settings *ret, char *why,
                        size_t why_size)
{
    char reason[128];
    ret->connect_timeout_ms = c->connect_timeout_s * 1000;
    if (!upstream_origin_parse(str_of(c->anthropic_base_url), &ret->origin, reason, sizeof(reason)))
        return blame("ANTHROPIC_BASE_URL", reason, why, why_size);
    if (!choose_proxy(c, ret, why, why_size))
        return false;
    if (c->upstream_bind_address[0] &&
        !egress_parse_address(c->upstream_bind_address, &ret->egress.from, reason, sizeof(reason)))
        return blame("UPSTREAM_BIND_ADDRESS", reason, why, why_size);
    if (!ret->origin.is_tls)
        return true;
    const char *ca_file = c->upstream_ca_file[0] ? c->upstream_ca_file : NULL;
    ret->tls = tls_client_context(ca_file, why, why_size);
    return ret->tls != NULL;
}

void upstream_of_config_done(struct upstream_settings *u)
{
    tls_context_destroy(u->tls);
    u->tls = NULL;
    explicit_bzero(&u->egress, sizeof(u->egress));
}

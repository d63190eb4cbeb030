/*
 * Loading and replacing the server's certificate.
 */
#include "server/certificate.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define SOON_DAYS     14
#define DAY_S         86400
#define DATE_SIZE     32
#define VALIDITY_SIZE 64

/* Settings that only make sense together. */
static bool are_complete(const struct config *c, char *why, size_t why_size)
{
    const char *missing = NULL;
    if (c->tls_cert[0] && !c->tls_key[0])
        missing = "TLS_CERT needs TLS_KEY, the file of its key";
    else if (c->tls_key[0] && !c->tls_cert[0])
        missing = "TLS_KEY needs TLS_CERT, the file of its certificate";
    else if (c->tls_client_ca[0] && !c->tls_cert[0])
        missing = "TLS_CLIENT_CA needs TLS_CERT and TLS_KEY: without TLS no client shows a "
                  "certificate";
    if (missing)
        snprintf(why, why_size, "%s", missing);
    return !missing;
}

bool certificate_load(const struct config *config, struct tls_context **ret, char *why,
                      size_t why_size)
{
    *ret = NULL;
    if (!are_complete(config, why, why_size))
        return false;
    if (!config->tls_cert[0])
        return true;
    const struct tls_server_options options = {
        .cert_file = config->tls_cert,
        .key_file = config->tls_key,
        .offers_h2 = true,
        .client_ca_file = config->tls_client_ca[0] ? config->tls_client_ca : NULL,
    };
    *ret = tls_server_context(&options, why, why_size);
    return *ret != NULL;
}

enum certificate_age certificate_judge(const struct tls_certificate *facts, int64_t unix_s,
                                       char *to, size_t size)
{
    const bool is_early = unix_s<facts->not_before_s, is_late = unix_s> facts->not_after_s;
    const time_t t = (time_t)(is_early ? facts->not_before_s : facts->not_after_s);
    struct tm tm = {0};
    char date[DATE_SIZE] = "";
    gmtime_r(&t, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(to, size, "%s %s",
             is_early  ? "not valid before"
             : is_late ? "expired on"
                       : "valid until",
             date);
    if (is_early || is_late)
        return CERTIFICATE_INVALID;
    return facts->not_after_s - unix_s < SOON_DAYS * DAY_S ? CERTIFICATE_ENDS_SOON
                                                           : CERTIFICATE_FINE;
}

/* It is served whatever its dates are: clients judge them, and by clocks of their own. */
static void log_certificate(const struct tls_context *context)
{
    struct tls_certificate facts;
    char validity[VALIDITY_SIZE];
    tls_context_certificate(context, &facts);
    static const char *const messages[] = {
        [CERTIFICATE_FINE] = "certificate",
        [CERTIFICATE_ENDS_SOON] = "the certificate ends soon: renew it and send SIGHUP",
        [CERTIFICATE_INVALID] = "the certificate is not valid now: clients will refuse it",
    };
    const enum certificate_age age =
        certificate_judge(&facts, clock_unix_ms() / 1000, validity, sizeof(validity));
    log_line(age == CERTIFICATE_FINE ? LOG_INFO : LOG_WARNING, messages[age],
             LOG_Z("names", facts.names), LOG_Z("validity", validity));
}

bool certificate_init(struct certificate *c, const struct config *config, char *why,
                      size_t why_size)
{
    if (!certificate_load(config, &c->context, why, why_size))
        return false;
    c->is_set = c->context != NULL;
    if (!c->is_set)
        return true;
    pthread_mutex_init(&c->lock, NULL);
    log_certificate(c->context);
    return true;
}

bool certificate_reload(struct certificate *c, const struct config *config, char *why,
                        size_t why_size)
{
    struct tls_context *fresh;
    if (!c->context)
        return true; /* whether TLS is spoken is decided at the start */
    if (!certificate_load(config, &fresh, why, why_size))
        return false;
    pthread_mutex_lock(&c->lock);
    struct tls_context *old = c->context;
    c->context = fresh;
    pthread_mutex_unlock(&c->lock);
    tls_context_destroy(old); /* its sessions live on without it */
    log_certificate(fresh);
    return true;
}

void certificate_done(struct certificate *c)
{
    if (!c->context)
        return;
    tls_context_destroy(c->context);
    c->context = NULL;
    pthread_mutex_destroy(&c->lock);
}

bool certificate_is_set(const struct certificate *c)
{
    return c->is_set;
}

struct tls *certificate_session(struct certificate *c)
{
    pthread_mutex_lock(&c->lock);
    struct tls *session = tls_server(c->context);
    pthread_mutex_unlock(&c->lock);
    return session;
}

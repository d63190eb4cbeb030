/*
 * The certificate that clients see: loaded at the start, read again while connections are open.
 */
#ifndef SERVER_CERTIFICATE_H
#define SERVER_CERTIFICATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "net/tls.h"

/* Zeroed: plain HTTP. */
struct certificate {
    pthread_mutex_t lock;        /* held for as long as a session is made of the context */
    struct tls_context *context; /* NULL = plain HTTP */
    bool is_set;                 /* from the start on, so that it is read without the lock */
};

/* Loads what the settings name. False with one line in `why`. */
bool certificate_init(struct certificate *c, const struct config *config, char *why,
                      size_t why_size);
/* Reads the files again. False with a reason in `why`: the old ones stay. */
bool certificate_reload(struct certificate *c, const struct config *config, char *why,
                        size_t why_size);
void certificate_done(struct certificate *c);

/* Whether clients speak TLS. */
bool certificate_is_set(const struct certificate *c);
/* A session for a new connection, from any thread. NULL without memory. */
struct tls *certificate_session(struct certificate *c);

/* For `claude-proxy check`: the context of these settings, *ret NULL for plain HTTP. */
bool certificate_load(const struct config *config, struct tls_context **ret, char *why,
                      size_t why_size);
enum certificate_age { CERTIFICATE_FINE, CERTIFICATE_ENDS_SOON, CERTIFICATE_INVALID };
/* At that time; `to` gets "valid until 2027-01-31", "expired on ..." or "not valid before ...". */
enum certificate_age certificate_judge(const struct tls_certificate *facts, int64_t unix_s,
                                       char *to, size_t size);

#endif

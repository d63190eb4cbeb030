/*
 * TLS contexts and sessions on OpenSSL: 1.2 or newer, certificates and host names always verified.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct tls_context; /* shared by threads; immutable once made */
struct tls;         /* one session */

/*
 * A client context that trusts the system's CAs (SSL_CERT_FILE / SSL_CERT_DIR as OpenSSL reads
 * them), and `ca_file` too when it is not NULL. NULL on failure, with a reason in `why`.
 */
struct tls_context *tls_client_context(const char *ca_file, char *why, size_t why_size);
/* A server context; certificate chain and key in PEM files. */
struct tls_context *tls_server_context(const char *cert_file, const char *key_file, char *why,
                                       size_t why_size);
void tls_context_destroy(struct tls_context *c);

/* A session that verifies that the peer is `host` (a name or an IP literal). `offer_h2`: ALPN
 * offers h2 before http/1.1. Returns owned. */
struct tls *tls_client(struct tls_context *c, const char *host, bool offer_h2);
/* A server session; its context accepts h2 and http/1.1 by ALPN. */
struct tls *tls_server(struct tls_context *c);

/* For net/channel.c only: the session on a socket. */
enum tls_result {
    TLS_OK,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_EOF,    /* close_notify */
    TLS_RESET,  /* the socket broke, or closed without close_notify: what came may be cut */
    TLS_FAILED, /* the handshake or the record layer refused; tls_reason says why */
};
bool tls_attach(struct tls *t, int fd);
enum tls_result tls_handshake(struct tls *t);
enum tls_result tls_read(struct tls *t, void *p, size_t n, size_t *ret_n);
enum tls_result tls_write(struct tls *t, const void *p, size_t n, size_t *ret_n);
/* Bytes read from the socket that no tls_read has returned yet: no event will announce them. */
bool tls_has_pending(const struct tls *t);
void tls_shutdown(struct tls *t); /* sends close_notify if it can do so at once */
const char *tls_reason(const struct tls *t);
struct str tls_alpn(const struct tls *t);
void tls_destroy(struct tls *t);

#endif

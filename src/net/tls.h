/*
 * TLS contexts and sessions on OpenSSL: 1.2 or newer, certificates and host names always verified.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct tls_context; /* shared by threads; immutable once made */
struct tls;         /* one session */

/*
 * A client context that trusts the system's CAs (SSL_CERT_FILE / SSL_CERT_DIR as OpenSSL reads
 * them), and `ca_file` too when it is not NULL. NULL on failure, with a reason in `why`.
 */
struct tls_context *tls_client_context(const char *ca_file, char *why, size_t why_size);
/* A client context that verifies nothing: to ask whether somebody is there, never with a secret. */
struct tls_context *tls_probe_context(char *why, size_t why_size);

struct tls_server_options {
    const char *cert_file, *key_file; /* PEM: the certificate with its chain, its key */
    const char *client_ca_file;       /* clients must show a certificate of these; NULL = none */
    bool offers_h2;                   /* by ALPN, before http/1.1 */
};
struct tls_context *tls_server_context(const struct tls_server_options *o, char *why,
                                       size_t why_size);
/* Sessions may outlive it. Accepts NULL. */
void tls_context_destroy(struct tls_context *c);

/* What the certificate of a server context says. */
struct tls_certificate {
    char names[512]; /* "a.example, *.b.example, 192.0.2.1" */
    int64_t not_before_s, not_after_s;
};
void tls_context_certificate(const struct tls_context *c, struct tls_certificate *ret);

/* A session that verifies that the peer is `host` (a name or an IP literal). `offer_h2`: ALPN
 * offers h2 before http/1.1. Returns owned. */
struct tls *tls_client(struct tls_context *c, const char *host, bool offer_h2);
/* A client session of a context that verifies nothing; offers no protocol. */
struct tls *tls_probe(struct tls_context *c);
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
/* After TLS_FAILED: the peer spoke HTTP without TLS; the peer wants a certificate (TLS 1.3). */
bool tls_is_plain_http(const struct tls *t);
bool tls_wants_certificate(const struct tls *t);
const char *tls_version(const struct tls *t); /* "TLSv1.3"; static text */
struct str tls_alpn(const struct tls *t);
void tls_destroy(struct tls *t);

#endif

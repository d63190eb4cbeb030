/*
 * TLS sessions: thin wrappers that turn OpenSSL's results into ours.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "net/tls_internal.h"

struct tls {
    SSL *ssl;
    const char *reason; /* static text */
    bool is_plain_http, wants_certificate;
};

static const unsigned char alpn_both[] = TLS_ALPN_BOTH;
static const unsigned char alpn_http1[] = TLS_ALPN_HTTP1;

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown TLS error";
}

static struct tls *create_session(struct tls_context *c)
{
    struct tls *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->ssl = SSL_new(c->ctx);
    if (!t->ssl) {
        free(t);
        return NULL;
    }
    return t;
}

static bool is_ip_literal(const char *host)
{
    unsigned char address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Ties the session to the name or address that the certificate must carry. */
static bool verify_host(SSL *ssl, const char *host)
{
    if (is_ip_literal(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls *tls_client(struct tls_context *c, const char *host, bool offer_h2)
{
    struct tls *t = create_session(c);
    if (!t)
        return NULL;
    const unsigned char *alpn = offer_h2 ? alpn_both : alpn_http1;
    unsigned alpn_n = (unsigned)(offer_h2 ? sizeof(alpn_both) : sizeof(alpn_http1)) - 1;
    /* SSL_set_alpn_protos returns 0 on success. */
    if (!verify_host(t->ssl, host) || SSL_set_alpn_protos(t->ssl, alpn, alpn_n) != 0) {
        tls_destroy(t);
        return NULL;
    }
    SSL_set_connect_state(t->ssl);
    return t;
}

struct tls *tls_probe(struct tls_context *c)
{
    struct tls *t = create_session(c);
    if (t)
        SSL_set_connect_state(t->ssl);
    return t;
}

struct tls *tls_server(struct tls_context *c)
{
    struct tls *t = create_session(c);
    if (t)
        SSL_set_accept_state(t->ssl);
    return t;
}

bool tls_attach(struct tls *t, int fd)
{
    return SSL_set_fd(t->ssl, fd) == 1;
}

/* Turns the outcome of a failed SSL call into ours. */
static enum tls_result judge(struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        t->reason = "connection reset";
        ERR_clear_error();
        return TLS_RESET;
    default:
        break;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        t->reason = "connection closed without close_notify";
        ERR_clear_error();
        return TLS_RESET;
    }
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    t->is_plain_http = reason == SSL_R_HTTP_REQUEST;
    t->wants_certificate = reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED;
    long verdict = SSL_get_verify_result(t->ssl);
    t->reason = verdict == X509_V_OK ? last_error() : X509_verify_cert_error_string(verdict);
    ERR_clear_error();
    return TLS_FAILED;
}

enum tls_result tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    return rc == 1 ? TLS_OK : judge(t, rc);
}

enum tls_result tls_read(struct tls *t, void *p, size_t n, size_t *ret_n)
{
    ERR_clear_error();
    int rc = SSL_read_ex(t->ssl, p, n, ret_n);
    return rc == 1 ? TLS_OK : judge(t, rc);
}

enum tls_result tls_write(struct tls *t, const void *p, size_t n, size_t *ret_n)
{
    ERR_clear_error();
    int rc = SSL_write_ex(t->ssl, p, n, ret_n);
    return rc == 1 ? TLS_OK : judge(t, rc);
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_reason(const struct tls *t)
{
    return t->reason ? t->reason : "";
}

bool tls_is_plain_http(const struct tls *t)
{
    return t->is_plain_http;
}

bool tls_wants_certificate(const struct tls *t)
{
    return t->wants_certificate;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

struct str tls_alpn(const struct tls *t)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return (struct str){p ? (const char *)p : "", n};
}

void tls_destroy(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

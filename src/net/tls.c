/*
 * TLS on OpenSSL: contexts with our minimum and verification always on, sessions as thin wrappers
 * that turn OpenSSL's results into ours.
 */
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    const char *reason; /* static text */
};

static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";
static const unsigned char alpn_http1[] = "\x08http/1.1";

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown TLS error";
}

static struct tls_context *create_context(const SSL_METHOD *method)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->ctx = SSL_CTX_new(method);
    if (!c->ctx) {
        free(c);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* Idle sessions give their 16 KB record buffers back. */
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* One read(2) for a record instead of two. */
    SSL_CTX_set_read_ahead(c->ctx, 1);
    return c;
}

static struct tls_context *fail_context(struct tls_context *c, char *why, size_t why_size,
                                        const char *what, const char *file)
{
    snprintf(why, why_size, "%s %s: %s", what, file ? file : "", last_error());
    tls_context_destroy(c);
    return NULL;
}

struct tls_context *tls_client_context(const char *ca_file, char *why, size_t why_size)
{
    struct tls_context *c = create_context(TLS_client_method());
    if (!c || SSL_CTX_set_default_verify_paths(c->ctx) != 1)
        return fail_context(c, why, why_size, "cannot load the system's CA certificates", NULL);
    if (ca_file && SSL_CTX_load_verify_file(c->ctx, ca_file) != 1)
        return fail_context(c, why, why_size, "cannot load CA certificates from", ca_file);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    ERR_clear_error();
    return c;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *picked;
    if (SSL_select_next_proto(&picked, out_n, alpn_both, sizeof(alpn_both) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = picked;
    return SSL_TLSEXT_ERR_OK;
}

struct tls_context *tls_server_context(const char *cert_file, const char *key_file, char *why,
                                       size_t why_size)
{
    struct tls_context *c = create_context(TLS_server_method());
    if (!c || SSL_CTX_use_certificate_chain_file(c->ctx, cert_file) != 1)
        return fail_context(c, why, why_size, "cannot load the certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) != 1)
        return fail_context(c, why, why_size, "cannot load the key", key_file);
    SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn, NULL);
    return c;
}

void tls_context_destroy(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
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

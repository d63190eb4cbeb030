/*
 * TLS contexts: what is trusted, which certificate is shown, which versions and ciphers are spoken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/tls_internal.h"

/* TLS 1.2 with forward secrecy and authenticated encryption only; 1.3 has nothing else. */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
/* Sessions that clients may come back to, and for how long. */
#define SESSIONS_MAX      1024
#define SESSION_SECONDS   3600
#define CLIENT_CERT_DEPTH 8

static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown TLS error";
}

static struct tls_context *create_context(const SSL_METHOD *method)
{
    ERR_clear_error(); /* what is read from it later is this context's */
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
                                        const char *what)
{
    snprintf(why, why_size, "%s: %s", what, last_error());
    tls_context_destroy(c);
    return NULL;
}

/* Why a PEM file cannot be used, in the words of people. OpenSSL calls a missing file "system
 * lib", and one of another kind "unsupported". */
static void say_file(char *why, size_t why_size, const char *what, const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(why, why_size, "cannot read %s %s: %s", what, file, strerrordesc_np(errno));
        return;
    }
    close(fd);
    const unsigned long error = ERR_peek_error(); /* the cause; what follows only repeats it */
    const int reason = ERR_GET_REASON(error);
    if ((ERR_GET_LIB(error) == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) ||
        ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER)
        snprintf(why, why_size, "cannot load %s %s: there is none in it (PEM)", what, file);
    else if (ERR_GET_LIB(error) == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH)
        snprintf(why, why_size, "cannot load %s %s: it belongs to another certificate", what, file);
    else
        snprintf(why, why_size, "cannot load %s %s: %s", what, file,
                 ERR_reason_error_string(error) ? ERR_reason_error_string(error) : "unknown error");
}

static struct tls_context *fail_file(struct tls_context *c, char *why, size_t why_size,
                                     const char *what, const char *file)
{
    say_file(why, why_size, what, file);
    ERR_clear_error();
    tls_context_destroy(c);
    return NULL;
}

/* Clients -------------------------------------------------------------------------------------- */

/* OpenSSL passes over a file that is not there; the connections then fail for no visible reason. */
static const char *unreadable_ca_file(void)
{
    const char *file = getenv("SSL_CERT_FILE");
    if (!file || !*file)
        return NULL;
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file;
    close(fd);
    return NULL;
}

struct tls_context *tls_client_context(const char *ca_file, char *why, size_t why_size)
{
    struct tls_context *c = create_context(TLS_client_method());
    if (!c || SSL_CTX_set_default_verify_paths(c->ctx) != 1)
        return fail_context(c, why, why_size, "cannot load the system's CA certificates");
    const char *missing = unreadable_ca_file();
    if (missing)
        return fail_file(c, why, why_size, "the CA certificates of SSL_CERT_FILE", missing);
    if (ca_file && SSL_CTX_load_verify_file(c->ctx, ca_file) != 1)
        return fail_file(c, why, why_size, "the CA certificates", ca_file);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    ERR_clear_error();
    return c;
}

struct tls_context *tls_probe_context(char *why, size_t why_size)
{
    struct tls_context *c = create_context(TLS_client_method());
    if (!c)
        return fail_context(c, why, why_size, "cannot prepare TLS");
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
    return c;
}

/* Servers -------------------------------------------------------------------------------------- */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    const char *ours = arg;
    unsigned char *picked;
    if (SSL_select_next_proto(&picked, out_n, (const unsigned char *)ours, (unsigned)strlen(ours),
                              in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301: never a protocol that was not offered */
    *out = picked;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase would have OpenSSL ask for it on the terminal. */
static int refuse_passphrase(char *to, int size, int is_writing, void *arg)
{
    (void)to, (void)size, (void)is_writing;
    *(bool *)arg = true;
    return -1;
}

/* False with a reason. */
static bool load_key(SSL_CTX *ctx, const char *file, char *why, size_t why_size)
{
    bool is_encrypted = false;
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &is_encrypted);
    const bool is_loaded = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    if (is_loaded)
        return true;
    if (is_encrypted)
        snprintf(why, why_size,
                 "cannot load the key %s: it is encrypted; give one without a "
                 "passphrase",
                 file);
    else
        say_file(why, why_size, "the key", file);
    ERR_clear_error();
    return false;
}

/* Clients must show a certificate that one of these authorities gave. */
static bool demand_certificate(SSL_CTX *ctx, const char *ca_file)
{
    if (SSL_CTX_load_verify_file(ctx, ca_file) != 1)
        return false;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
    if (!names)
        return false;
    SSL_CTX_set_client_CA_list(ctx, names); /* taken */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ctx, CLIENT_CERT_DEPTH);
    return true;
}

/*
 * Clients may resume, but from our memory, not from a ticket: a ticket's key would have to be
 * changed every few hours, or whoever learns it reads what was recorded.
 */
static void keep_sessions(SSL_CTX *ctx)
{
    static const unsigned char id[] = "claude-proxy";
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
    SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
}

struct tls_context *tls_server_context(const struct tls_server_options *o, char *why,
                                       size_t why_size)
{
    struct tls_context *c = create_context(TLS_server_method());
    if (!c || SSL_CTX_set_cipher_list(c->ctx, SERVER_CIPHERS) != 1)
        return fail_context(c, why, why_size, "cannot prepare TLS");
    SSL_CTX_set_options(c->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_use_certificate_chain_file(c->ctx, o->cert_file) != 1)
        return fail_file(c, why, why_size, "the certificate", o->cert_file);
    if (!load_key(c->ctx, o->key_file, why, why_size)) {
        tls_context_destroy(c);
        return NULL;
    }
    if (o->client_ca_file && !demand_certificate(c->ctx, o->client_ca_file))
        return fail_file(c, why, why_size, "the CA certificates", o->client_ca_file);
    keep_sessions(c->ctx);
    static char both[] = TLS_ALPN_BOTH, http1[] = TLS_ALPN_HTTP1;
    SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn, o->offers_h2 ? both : http1);
    ERR_clear_error();
    return c;
}

void tls_context_destroy(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

/* Certificates --------------------------------------------------------------------------------- */

/* Appends to the list of names; one that does not fit, or is not plain text, is left out. */
static void add_name(struct tls_certificate *to, const char *name, size_t n)
{
    size_t at = strlen(to->names);
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return;
    if (n == 0 || at + n + 3 > sizeof(to->names))
        return;
    snprintf(to->names + at, sizeof(to->names) - at, "%s%.*s", at ? ", " : "", (int)n, name);
}

static void add_alternative_name(struct tls_certificate *to, const GENERAL_NAME *name)
{
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    if (kind == GEN_DNS) {
        add_name(to, (const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    } else if (kind == GEN_IPADD) {
        char text[INET6_ADDRSTRLEN] = "";
        const int n = ASN1_STRING_length(value);
        if (n == 4 || n == 16)
            inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), text,
                      sizeof(text));
        add_name(to, text, strlen(text));
    }
}

static int64_t unix_time(const ASN1_TIME *t)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

void tls_context_certificate(const struct tls_context *c, struct tls_certificate *ret)
{
    *ret = (struct tls_certificate){.names = ""};
    X509 *x = SSL_CTX_get0_certificate(c->ctx);
    if (!x)
        return;
    ret->not_before_s = unix_time(X509_get0_notBefore(x));
    ret->not_after_s = unix_time(X509_get0_notAfter(x));
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        add_alternative_name(ret, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    char common[256] = "";
    if (!ret->names[0] && X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName,
                                                    common, sizeof(common)) > 0)
        add_name(ret, common, strlen(common));
    ERR_clear_error();
}

/*
 * What tls.c (sessions) and tls_context.c (contexts) share.
 */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* A session keeps OpenSSL's context alive by itself: this may go before its sessions. */
struct tls_context {
    SSL_CTX *ctx;
};

/* ALPN's wire form: length, name, length, name. */
#define TLS_ALPN_BOTH  "\x02h2\x08http/1.1"
#define TLS_ALPN_HTTP1 "\x08http/1.1"

#endif

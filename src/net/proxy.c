/*
 * A proxy's URL, and the rules of NO_PROXY.
 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define PORT_HTTP      80
#define USER_BYTES_MAX 768 /* "user:password"; four bytes of base64 for three */

static bool refuse(char *why, size_t why_size, const char *reason)
{
    snprintf(why, why_size, "%s", reason);
    return false;
}

/* The URL of a proxy ---------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Resolves %XX. -1 when it is malformed, too long, or holds a control character. */
static int decode(struct str s, unsigned char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++, n++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            const int high = i + 2 < s.n ? hex_of(s.p[i + 1]) : -1;
            const int low = high >= 0 ? hex_of(s.p[i + 2]) : -1;
            if (low < 0)
                return -1;
            c = high * 16 + low;
            i += 2;
        }
        if (n == size || c < ' ' || c == 0x7f)
            return -1;
        to[n] = (unsigned char)c;
    }
    return (int)n;
}

/* "Basic " and base64 of "user:password", RFC 7617. */
static bool take_user(struct str user, struct proxy *p)
{
    unsigned char plain[USER_BYTES_MAX];
    struct str name = user;
    const ptrdiff_t colon = str_find(user, STR(":"));
    if (colon >= 0)
        name.n = (size_t)colon;
    const struct str password = {user.p + name.n + (colon >= 0), user.n - name.n - (colon >= 0)};
    const int n_name = decode(name, plain, sizeof(plain) - 1);
    if (n_name < 0 || memchr(plain, ':', (size_t)n_name))
        return false; /* the colon would end the name early */
    plain[n_name] = ':';
    const int n_password = decode(password, plain + n_name + 1, sizeof(plain) - (size_t)n_name - 1);
    if (n_password >= 0) {
        const int n = snprintf(p->authorization, sizeof(p->authorization), "Basic ");
        EVP_EncodeBlock((unsigned char *)p->authorization + n, plain, n_name + 1 + n_password);
    }
    explicit_bzero(plain, sizeof(plain));
    return n_password >= 0;
}

/* "http://" is what there is; without a scheme it is meant, too. */
static bool take_scheme(struct str *rest)
{
    const ptrdiff_t end = str_find(*rest, STR("://"));
    if (end < 0)
        return true;
    const struct str scheme = {rest->p, (size_t)end};
    *rest = (struct str){rest->p + end + 3, rest->n - (size_t)end - 3};
    return str_eq_nocase(scheme, STR("http"));
}

bool proxy_parse(struct str url, struct proxy *ret, char *why, size_t why_size)
{
    struct str rest = url;
    *ret = (struct proxy){.authorization = ""};
    if (!take_scheme(&rest))
        return refuse(why, why_size, "must begin with http://: it is spoken to without TLS");
    if (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    for (size_t i = rest.n; i > 0; i--) {
        if (rest.p[i - 1] != '@')
            continue;
        const struct str user = {rest.p, i - 1};
        rest = (struct str){rest.p + i, rest.n - i};
        if (!take_user(user, ret))
            return refuse(why, why_size,
                          "has a user or password that is too long or badly encoded "
                          "(write special characters as %XX)");
        break;
    }
    switch (authority_parse(rest, PORT_HTTP, &ret->at)) {
    case AUTHORITY_OK:
        return true;
    case AUTHORITY_BAD_HOST:
        return refuse(why, why_size, "has no valid host name");
    case AUTHORITY_BAD_PORT:
        break;
    }
    return refuse(why, why_size, "has no valid port (1 to 65535)");
}

/* NO_PROXY -------------------------------------------------------------------------------- */

/* An address as bytes; n = 0: it is none. */
struct address {
    unsigned char bytes[16];
    size_t n;
};

static struct address address_of(struct str text)
{
    struct address a = {.n = 0};
    char z[INET6_ADDRSTRLEN];
    if (text.n >= sizeof(z))
        return a;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET, z, a.bytes) == 1)
        a.n = 4;
    else if (inet_pton(AF_INET6, z, a.bytes) == 1)
        a.n = 16;
    return a;
}

static bool has_prefix(const struct address *a, const struct address *network, uint64_t bits)
{
    const size_t n_whole = (size_t)(bits / 8);
    if (a->n != network->n || bits > a->n * 8)
        return false;
    if (memcmp(a->bytes, network->bytes, n_whole) != 0)
        return false;
    const unsigned rest = (unsigned)(bits % 8);
    return rest == 0 || (a->bytes[n_whole] ^ network->bytes[n_whole]) >> (8 - rest) == 0;
}

static bool is_this_machine(struct str host, const struct address *a)
{
    static const struct address v4 = {{127}, 4}, v6 = {{[15] = 1}, 16};
    if (a->n > 0)
        return has_prefix(a, &v4, 8) || has_prefix(a, &v6, 128);
    return str_eq_nocase(host, STR("localhost")) || str_ends(host, STR(".localhost"));
}

/* "example.com" stands for all names below it as well. */
static bool is_below(struct str host, struct str domain)
{
    if (domain.n == 0 || host.n < domain.n)
        return false;
    const struct str end = {host.p + host.n - domain.n, domain.n};
    return str_eq_nocase(end, domain) && (end.p == host.p || end.p[-1] == '.');
}

/* Takes ":8443" off the end of an entry that is no bare IPv6 address. False: another port. */
static bool take_entry_port(struct str *entry, int port)
{
    uint64_t wanted;
    for (size_t i = entry->n; i > 0; i--) {
        if (entry->p[i - 1] != ':')
            continue;
        if (!str_to_u64((struct str){entry->p + i, entry->n - i}, &wanted))
            return true; /* part of a name that matches nothing */
        entry->n = i - 1;
        return wanted == (uint64_t)port;
    }
    return true;
}

static struct str without_dots(struct str s)
{
    while (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    return s;
}

static bool matches(struct str entry, struct str host, const struct address *a, int port)
{
    uint64_t bits;
    if (str_eq(entry, STR("*")))
        return true;
    const ptrdiff_t slash = str_find(entry, STR("/"));
    if (slash >= 0) {
        const struct address network = address_of((struct str){entry.p, (size_t)slash});
        const struct str length = {entry.p + slash + 1, entry.n - (size_t)slash - 1};
        return a->n > 0 && str_to_u64(length, &bits) && has_prefix(a, &network, bits);
    }
    if (address_of(entry).n != 16 && !take_entry_port(&entry, port))
        return false;
    if (entry.n > 2 && entry.p[0] == '[' && entry.p[entry.n - 1] == ']')
        entry = (struct str){entry.p + 1, entry.n - 2};
    const struct address own = address_of(entry);
    if (own.n > 0 || a->n > 0)
        return own.n > 0 && has_prefix(a, &own, own.n * 8);
    if (str_starts(entry, STR("*.")))
        entry = (struct str){entry.p + 2, entry.n - 2};
    else if (str_starts(entry, STR(".")))
        entry = (struct str){entry.p + 1, entry.n - 1};
    return is_below(host, without_dots(entry));
}

bool proxy_is_bypassed(struct str no_proxy, const char *host, int port)
{
    const struct str name = without_dots(str_of(host));
    const struct address a = address_of(name);
    struct str part, entry;
    if (is_this_machine(name, &a))
        return true;
    while (str_split(&no_proxy, ',', &part))
        while (str_split(&part, ' ', &entry))
            if (entry.n > 0 && matches(str_trim(entry), name, &a, port))
                return true;
    return false;
}

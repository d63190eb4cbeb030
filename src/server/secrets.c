/*
 * Looks through an error's texts once, name by name.
 */
#include "server/secrets.h"

#include <arpa/inet.h>
#include <string.h>

#include "server/request.h"
#include "server/worker.h"

#define HIDDEN       "***"
#define HIDDEN_BYTES (sizeof(HIDDEN) - 1)
/* Shorter ones are words: what hides everything hides nothing. */
#define SECRET_BYTES_MIN 4
/* Of a key that is cut off by the end of a text. */
#define CUT_KEY_BYTES_MIN 8
#define UPSTREAM_KEY      STR("sk-ant-")
#define UPSTREAM_KEY_MIN  16
#define ADDRESS_SIZE      64

/* A place in a text. */
struct spot {
    struct str before, rest;
    bool is_cut;            /* the text does not end where it ended */
    bool is_infrastructure; /* it tells of machines, not of the request */
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool is_address_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
           c == '.';
}

static struct str run_of(struct str s, bool (*is_in)(char c))
{
    size_t n = 0;
    while (n < s.n && is_in(s.p[n]))
        n++;
    return (struct str){s.p, n};
}

static size_t digits_at(struct str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* The longest key that begins here: one may be the beginning of another. */
static size_t key_bytes(const struct secrets *s, const struct spot *at)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->n_keys; i++) {
        const struct str key = s->keys[i];
        size_t n = str_starts(at->rest, key) ? key.n : 0;
        if (at->is_cut && at->rest.n >= CUT_KEY_BYTES_MIN && str_starts(key, at->rest))
            n = at->rest.n;
        if (n > longest)
            longest = n;
    }
    return longest;
}

static bool is_private_v4(struct in_addr address)
{
    const uint32_t a = ntohl(address.s_addr);
    return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
           a >> 16 == 0xa9fe || a >> 22 == 0x191; /* 100.64/10 */
}

static bool is_private_v6(const struct in6_addr *a)
{
    struct in_addr mapped;
    memcpy(&mapped, a->s6_addr + 12, sizeof(mapped));
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) || (a->s6_addr[0] & 0xfe) == 0xfc ||
           (IN6_IS_ADDR_V4MAPPED(a) && is_private_v4(mapped));
}

static bool is_private(int family, struct str text)
{
    char z[ADDRESS_SIZE];
    struct in6_addr address;
    if (text.n == 0 || text.n >= sizeof(z))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(family, z, &address) != 1)
        return false;
    if (family == AF_INET6)
        return is_private_v6(&address);
    struct in_addr v4;
    memcpy(&v4, &address, sizeof(v4));
    return is_private_v4(v4);
}

static size_t v6_bytes(const struct spot *at)
{
    struct str run = run_of(at->rest, is_address_char);
    while (run.n > 0 && !is_private(AF_INET6, run) &&
           (run.p[run.n - 1] == ':' || run.p[run.n - 1] == '.'))
        run.n--; /* the end of a sentence */
    return is_private(AF_INET6, run) ? run.n : 0;
}

static bool ends_nocase(struct str s, struct str tail)
{
    return s.n > tail.n && str_eq_nocase((struct str){s.p + s.n - tail.n, tail.n}, tail);
}

static bool is_internal(struct str name)
{
    static const char tails[][16] = {".internal", ".local", ".localdomain", ".lan",
                                     ".intranet", ".corp",  ".svc",         ".home.arpa"};
    if (str_eq_nocase(name, STR("localhost")))
        return true;
    for (size_t i = 0; i < PX_ARRAY_LEN(tails); i++)
        if (ends_nocase(name, str_of(tails[i])))
            return true;
    return false;
}

/* Ours, unless all the world knows it. */
static bool is_ours(const struct secrets *s, struct str name)
{
    if (name.n < SECRET_BYTES_MIN || ends_nocase(name, STR(".anthropic.com")))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(s->hosts); i++)
        if (str_eq_nocase(name, s->hosts[i]))
            return true;
    return false;
}

/* Whether a name here can be nothing but a host's: "a.local" may as well be a path in a request. */
static bool is_host(const struct spot *at, struct str name)
{
    const struct str before = at->before;
    if (before.n > 0 && before.p[before.n - 1] == '@')
        return true;
    if (before.n > 1 && before.p[before.n - 1] == '/' && before.p[before.n - 2] == '/')
        return true;
    return name.n + 1 < at->rest.n && at->rest.p[name.n] == ':' &&
           digits_at(at->rest, name.n + 1) > 0;
}

static bool is_hidden_name(const struct secrets *s, const struct spot *at, struct str name)
{
    if (str_starts(name, UPSTREAM_KEY) && name.n >= UPSTREAM_KEY_MIN)
        return true;
    if (is_private(AF_INET, name))
        return true;
    const bool has_dot = memchr(name.p, '.', name.n) != NULL;
    if (is_ours(s, name))
        return has_dot || is_host(at, name);
    return is_internal(name) && (at->is_infrastructure || is_host(at, name));
}

/* How much of what begins here is hidden. */
static size_t hidden_bytes(const struct secrets *s, const struct spot *at)
{
    const bool is_start = at->before.n == 0 || !is_name_char(at->before.p[at->before.n - 1]);
    size_t n = key_bytes(s, at);
    if (n > 0 || !is_start)
        return n;
    n = v6_bytes(at);
    if (n > 0)
        return n;
    struct str name = run_of(at->rest, is_name_char);
    while (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || !is_hidden_name(s, at, name))
        return 0;
    const bool has_port = name.n < at->rest.n && at->rest.p[name.n] == ':';
    const size_t port = has_port ? digits_at(at->rest, name.n + 1) : 0;
    return name.n + (port > 0 ? port + 1 : 0);
}

/* In place: what stands in for a secret is no longer than it. */
static void hide(const struct secrets *s, char *text, size_t size, bool is_infrastructure)
{
    char from[sizeof(((struct api_error *)0)->message)];
    const size_t n = strnlen(text, sizeof(from) - 1);
    memcpy(from, text, n);
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        /* A text is cut between characters, of 4 bytes at most. */
        const struct spot at = {{from, i}, {from + i, n - i}, n + 4 >= size, is_infrastructure};
        const size_t hidden = hidden_bytes(s, &at);
        if (hidden == 0) {
            text[to++] = from[i++];
            continue;
        }
        memcpy(text + to, HIDDEN, HIDDEN_BYTES);
        to += HIDDEN_BYTES;
        i += hidden;
    }
    text[to] = '\0';
}

void secrets_hide(const struct secrets *s, struct api_error *e)
{
    const bool is_infrastructure = e->status >= 500;
    hide(s, e->message, sizeof(e->message), is_infrastructure);
    hide(s, e->param, sizeof(e->param), is_infrastructure);
    hide(s, e->code, sizeof(e->code), is_infrastructure);
}

static void add_key(struct secrets *s, struct str key)
{
    if (key.n >= SECRET_BYTES_MIN)
        s->keys[s->n_keys++] = key;
}

/* Borrows from the settings. */
static void secrets_of(const struct request *r, struct secrets *ret)
{
    const struct shared *shared = r->worker->shared;
    const struct config *config = &r->settings->config;
    const struct upstream_keys *keys = &r->settings->keys;
    *ret = (struct secrets){
        .hosts = {str_of(shared->upstream.origin.host),
                  str_of(shared->upstream.egress.proxy.at.host)},
    };
    for (size_t i = 0; i < keys->n; i++) {
        struct str value = keys->all[i].value;
        const ptrdiff_t blank = str_find(value, STR(" ")); /* of "Bearer ..." */
        add_key(ret, (struct str){value.p + blank + 1, value.n - (size_t)(blank + 1)});
    }
    add_key(ret, str_of(config->proxy_api_key));
    add_key(ret, str_of(config->metrics_key));
}

void secrets_hide_from_client(void *arg, struct api_error *e)
{
    struct secrets s;
    secrets_of(arg, &s);
    secrets_hide(&s, e);
}

/*
 * One value of each kind: what it must look like, and turning its text into it.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"

#define SECRET_BYTES_MAX 8192
#define MODEL_BYTES_MAX  256
#define HOST_BYTES_MAX   255
#define URL_BYTES_MAX    700
#define PROXY_BYTES_MAX  1024
#define LIST_BYTES_MAX   16384 /* MODEL_ALIASES, CORS_ORIGINS, NO_PROXY */
#define PATH_BYTES_MAX   4096

/* Visible ASCII only: these texts end up in HTTP heads, where a line end would be a new header. */
static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

static bool is_host(struct str s)
{
    if (s.n == 0 || s.n > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && !memchr(".-_:%", c, 5))
            return false;
    }
    return true;
}

static bool is_url(struct str s)
{
    if (s.n > URL_BYTES_MAX || !is_visible(s))
        return false;
    size_t scheme = str_starts(s, STR("https://")) ? 8 : str_starts(s, STR("http://")) ? 7 : 0;
    struct str rest = {s.p + scheme, s.n - scheme};
    if (scheme == 0 || rest.n == 0 || rest.p[0] == '/' || rest.p[0] == ':')
        return false;
    /* No user:password@ (it would be a secret in the open), no query, no fragment. */
    for (size_t i = 0; i < rest.n; i++)
        if (memchr("@?#\\\"<>", rest.p[i], 7))
            return false;
    return true;
}

/* "https://app.example:8443": as a browser's Origin header has it, so without any path. */
static bool is_origin(struct str s)
{
    ptrdiff_t colon = str_find(s, STR("://"));
    if (colon <= 0 || !is_visible(s))
        return false;
    size_t from = (size_t)colon + 3;
    struct str rest = {s.p + from, s.n - from};
    return rest.n > 0 && !memchr(rest.p, '/', rest.n);
}

static bool is_pair(struct str s)
{
    struct str left;
    bool has_equals = memchr(s.p, '=', s.n) != NULL;
    if (!has_equals || !str_split(&s, '=', &left))
        return false;
    struct str right = str_trim(s);
    left = str_trim(left);
    return left.n > 0 && right.n > 0 && is_visible(left) && is_visible(right);
}

static bool is_model(struct str s)
{
    return s.n > 0 && s.n <= MODEL_BYTES_MAX && is_visible(s);
}

static bool is_list_of(struct str s, bool (*is_member)(struct str))
{
    struct str part;
    if (s.n > LIST_BYTES_MAX)
        return false;
    while (str_split(&s, ',', &part))
        if (!is_member(str_trim(part)))
            return false;
    return true;
}

/* "::1" of "[::1]", as URLs write it. */
static struct str without_brackets(struct str s)
{
    if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        return (struct str){s.p + 1, s.n - 2};
    return s;
}

static bool is_path(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ')
            return false;
    return s.n <= PATH_BYTES_MAX;
}

/* Its parts are looked at where it is used. */
static bool is_proxy(struct str s)
{
    const ptrdiff_t scheme = str_find(s, STR("://"));
    const bool is_http =
        scheme < 0 || str_eq_nocase((struct str){s.p, (size_t)scheme}, STR("http"));
    return s.n <= PROXY_BYTES_MAX && is_visible(s) && is_http;
}

/* Blanks may stand between them, as some programs have it. */
static bool is_host_list(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return s.n <= LIST_BYTES_MAX;
}

static bool is_address(struct str s)
{
    unsigned char bytes[16];
    char z[INET6_ADDRSTRLEN];
    if (s.n >= sizeof(z))
        return false;
    if (s.n > 0)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return s.n == 0 || inet_pton(AF_INET, z, bytes) == 1 || inet_pton(AF_INET6, z, bytes) == 1;
}

/* "127.0.0.1:9090", "[::1]:9090", "localhost:0" */
static bool is_listen(struct str s)
{
    size_t colon = s.n;
    uint64_t port;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !str_to_u64((struct str){s.p + colon, s.n - colon}, &port) || port > 65535)
        return false;
    const struct str at = {s.p, colon - 1}, host = without_brackets(at);
    const bool is_v6 = memchr(host.p, ':', host.n) != NULL;
    return is_host(host) && (host.n < at.n) == is_v6;
}

static enum option_result copy_text(bool is_fine, struct str text, union option_value *ret)
{
    if (!is_fine)
        return OPTION_REFUSED;
    char *copy = malloc(text.n + 1);
    if (!copy)
        return OPTION_NO_MEMORY;
    if (text.n)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    ret->text = copy;
    return OPTION_OK;
}

static enum option_result parse_integer(const struct option *o, struct str text,
                                        union option_value *ret)
{
    uint64_t v;
    if (!str_to_u64(text, &v) || v > INT64_MAX || (int64_t)v < o->low || (int64_t)v > o->high)
        return OPTION_REFUSED;
    ret->integer = (int64_t)v;
    return OPTION_OK;
}

static enum option_result parse_number(const struct option *o, struct str text,
                                       union option_value *ret)
{
    double v;
    if (!str_to_double(text, &v) || v < (double)o->low || v > (double)o->high)
        return OPTION_REFUSED;
    ret->number = v;
    return OPTION_OK;
}

static enum option_result parse_boolean(struct str text, union option_value *ret)
{
    static const struct str words[] = {STR("off"), STR("on"),  STR("false"), STR("true"),
                                       STR("no"),  STR("yes"), STR("0"),     STR("1")};
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        if (str_eq_nocase(text, words[i])) {
            ret->boolean = i % 2 == 1;
            return OPTION_OK;
        }
    return OPTION_REFUSED;
}

static bool find_choice(const struct option *o, struct str text, int64_t *ret)
{
    struct str rest = str_of(o->choices), names, name;
    for (int64_t i = 0; str_split(&rest, '|', &names); i++)
        while (str_split(&names, '=', &name))
            if (str_eq_nocase(text, name)) {
                *ret = i;
                return true;
            }
    return false;
}

static enum option_result parse_choice(const struct option *o, struct str text,
                                       union option_value *ret)
{
    return find_choice(o, text, &ret->integer) ? OPTION_OK : OPTION_REFUSED;
}

/* A set: bit i stands for the i-th choice. */
static enum option_result parse_choices(const struct option *o, struct str text,
                                        union option_value *ret)
{
    struct str part;
    int64_t i, set = 0;
    while (str_split(&text, ',', &part)) {
        if (!find_choice(o, str_trim(part), &i))
            return OPTION_REFUSED;
        set |= (int64_t)1 << i;
    }
    ret->integer = set;
    return set ? OPTION_OK : OPTION_REFUSED;
}

enum option_result option_parse(const struct option *o, struct str text, union option_value *ret)
{
    text = str_trim(text); /* a key read from a file often ends in a line end */
    switch (o->kind) {
    case OPTION_SECRET:
        return copy_text(text.n <= SECRET_BYTES_MAX && is_visible(text), text, ret);
    case OPTION_MODEL:
        return copy_text(is_model(text), text, ret);
    case OPTION_MODELS:
        return copy_text(is_list_of(text, is_model), text, ret);
    case OPTION_PAIRS:
        return copy_text(is_list_of(text, is_pair), text, ret);
    case OPTION_HOST:
        text = without_brackets(text);
        return copy_text(is_host(text), text, ret);
    case OPTION_ORIGINS:
        return copy_text(str_eq(text, STR("*")) || is_list_of(text, is_origin), text, ret);
    case OPTION_URL:
        return copy_text(is_url(text), text, ret);
    case OPTION_PATH:
        return copy_text(is_path(text), text, ret);
    case OPTION_PROXY:
        return copy_text(is_proxy(text), text, ret);
    case OPTION_HOSTS:
        return copy_text(is_host_list(text), text, ret);
    case OPTION_ADDRESS:
        text = without_brackets(text);
        return copy_text(is_address(text), text, ret);
    case OPTION_LISTEN:
        return copy_text(text.n == 0 || is_listen(text), text, ret);
    case OPTION_INTEGER:
    case OPTION_SECONDS:
        return parse_integer(o, text, ret);
    case OPTION_NUMBER:
        return parse_number(o, text, ret);
    case OPTION_BOOLEAN:
        return parse_boolean(text, ret);
    case OPTION_CHOICE:
        return parse_choice(o, text, ret);
    case OPTION_CHOICES:
        return parse_choices(o, text, ret);
    }
    return OPTION_REFUSED;
}

void option_write_allowed(const struct option *o, struct buf *out)
{
#define X(kind, type, must_be) must_be,
    static const char *const allowed[] = {OPTION_KINDS(X)};
#undef X
    buf_append_z(out, allowed[o->kind]);
    if (o->kind == OPTION_INTEGER || o->kind == OPTION_SECONDS || o->kind == OPTION_NUMBER)
        buf_printf(out, " from %lld to %lld", (long long)o->low, (long long)o->high);
    struct str choice;
    bool is_choice = o->kind == OPTION_CHOICE || o->kind == OPTION_CHOICES;
    for (size_t i = 0; is_choice && option_choice(o, i, &choice); i++) {
        buf_append_z(out, i ? ", " : " ");
        buf_append_str(out, choice);
    }
}

/*
 * data: URLs. Base64 of any size is referenced; only what is escaped or broken into lines is
 * written anew.
 */
#include "translate/data_url.h"

#include <string.h>

#include "translate/base64.h"

bool data_url_is(struct str url)
{
    return url.n >= 5 && str_eq_nocase((struct str){url.p, 5}, STR("data:"));
}

bool data_url_read(struct str url, struct data_url *ret)
{
    struct str rest = {url.p + 5, url.n - 5}, part;
    const char *comma = memchr(rest.p, ',', rest.n);
    if (!comma)
        return false;
    struct str head = {rest.p, (size_t)(comma - rest.p)};
    *ret = (struct data_url){.payload = {comma + 1, rest.n - head.n - 1}};
    for (bool is_first = true; str_split(&head, ';', &part); is_first = false) {
        part = str_trim(part);
        if (is_first)
            ret->media_type = part;
        ret->is_base64 = str_eq_nocase(part, STR("base64")); /* it stands last */
    }
    return true;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * Percent escapes resolved. Of base64 line breaks are left out, and escapes of what it cannot hold
 * stay as they are: they are no base64, but valid text.
 */
static struct str unescape(struct arena *arena, struct str s, bool is_base64)
{
    char *p = arena_alloc(arena, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' && i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 && hex_of(s.p[i + 2]) >= 0) {
            int byte = hex_of(s.p[i + 1]) << 4 | hex_of(s.p[i + 2]);
            if (byte < 0x80 || !is_base64) {
                c = (char)byte;
                i += 2;
            }
        }
        if (!is_base64 || !is_blank(c))
            p[n++] = c;
    }
    return (struct str){p, n};
}

/* ASCII without blanks and escapes. A piece at a time with no way out in its middle, so that
 * compilers make it sixteen bytes at a time. */
static bool is_clean_base64(struct str s)
{
    for (size_t at = 0, end; at < s.n; at = end) {
        unsigned char any = 0;
        end = s.n - at < 1024 ? s.n : at + 1024;
        for (size_t i = at; i < end; i++)
            any |= (unsigned char)(((signed char)s.p[i] <= ' ') | (s.p[i] == '%'));
        if (any)
            return false;
    }
    return true;
}

struct str data_url_base64(struct arena *arena, const struct data_url *url)
{
    if (url->is_base64)
        return is_clean_base64(url->payload) ? url->payload : unescape(arena, url->payload, true);
    struct str bytes = unescape(arena, url->payload, false);
    return bytes.p ? base64_encode(arena, bytes) : bytes;
}

bool data_url_bytes(struct arena *arena, const struct data_url *url, struct str *ret)
{
    if (url->is_base64) {
        struct str base64 = data_url_base64(arena, url);
        return base64.p && base64_decode(arena, base64, ret);
    }
    *ret = unescape(arena, url->payload, false);
    return ret->p != NULL;
}

/*
 * Reads the key out of a request's headers and compares it.
 */
#include "server/auth.h"

/* The token of "Bearer <token>"; {NULL, 0} when the value has another form. */
static struct str bearer_token(struct str value)
{
    static const struct str scheme = {"bearer", 6};
    if (value.n <= scheme.n || value.p[scheme.n] != ' ' ||
        !str_eq_nocase((struct str){value.p, scheme.n}, scheme))
        return (struct str){0};
    return str_trim((struct str){value.p + scheme.n, value.n - scheme.n});
}

/* The key of one header; {"", 0} is a key too: an empty or malformed one. */
static bool key_of(const struct h1_header *h, struct str *ret)
{
    if (str_eq(h->name, STR("x-api-key")))
        *ret = h->value;
    else if (str_eq(h->name, STR("authorization")))
        *ret = bearer_token(h->value);
    else
        return false;
    return true;
}

enum auth_result auth_check(struct str expected, const struct h1_head *head)
{
    if (expected.n == 0)
        return AUTH_OK;
    struct str key = {0};
    bool has_key = false;
    for (size_t i = 0; i < head->n_headers; i++) {
        struct str other;
        if (!key_of(&head->headers[i], &other))
            continue;
        if (has_key && !str_eq_constant_time(other, key))
            return AUTH_TWO_KEYS;
        key = other;
        has_key = true;
    }
    if (!has_key)
        return AUTH_NO_KEY;
    return str_eq_constant_time(key, expected) ? AUTH_OK : AUTH_WRONG_KEY;
}

struct str auth_key(const struct h1_head *head)
{
    struct str key = {0};
    for (size_t i = 0; i < head->n_headers; i++)
        if (key_of(&head->headers[i], &key) && key.n)
            break;
    return key;
}

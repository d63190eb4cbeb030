/*
 * Who asks, and what the client wants echoed: user, safety_identifier, metadata.
 */
#include "translate/fields.h"

#define SAFETY_IDENTIFIER_CHARS_MAX 128
#define USER_ID_BYTES_MAX           256 /* the upstream's limit on metadata.user_id */
#define METADATA_PAIRS_MAX          16
#define METADATA_KEY_CHARS_MAX      64
#define METADATA_VALUE_CHARS_MAX    512
#define METADATA_BYTES_MAX          (64u << 10) /* 16 pairs of the longest, escaped, fit */
#define PHONE_DIGITS_MIN            7
#define PHONE_DIGITS_MAX            15

static size_t chars_of(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool looks_like_email(struct str s)
{
    return str_find(s, STR("@")) > 0; /* a host needs no dot */
}

/* Digits with a plus in front or separators between. Bare digits are an id. */
static bool looks_like_phone(struct str s)
{
    size_t digits = 0, marks = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if ((c == '+' && i == 0) || c == ' ' || c == '-' || c == '.' || c == '(' || c == ')')
            marks++;
        else
            return false;
    }
    return marks > 0 && digits >= PHONE_DIGITS_MIN && digits <= PHONE_DIGITS_MAX;
}

/* The upstream wants an opaque id and refuses what names a person. */
static bool is_opaque(struct str s)
{
    return s.n <= USER_ID_BYTES_MAX && !looks_like_email(s) && !looks_like_phone(s);
}

static bool forward(struct translation *t, const char *name, struct str id)
{
    if (!is_opaque(id))
        return ignore_param(t, str_of(name));
    t->user_id = id; /* empty: not sent */
    return true;
}

bool user_read_name(struct translation *t, const char *name, yyjson_val *v)
{
    struct str id;
    if (!want_string(t, name, v, &id))
        return false;
    yyjson_val *winner = t->field[FIELD_safety_identifier];
    if (!winner)
        return forward(t, name, id);
    return str_eq(json_str(winner), id) || ignore_param(t, str_of(name));
}

bool user_read_safety_identifier(struct translation *t, const char *name, yyjson_val *v)
{
    struct str id;
    if (!want_string(t, name, v, &id))
        return false;
    if (chars_of(id) > SAFETY_IDENTIFIER_CHARS_MAX)
        return refuse(t, "string_above_max_length", name,
                      "Invalid '%s': string too long. Expected a string with maximum length %d.",
                      name, SAFETY_IDENTIFIER_CHARS_MAX);
    return forward(t, name, id);
}

static bool check_pair(struct translation *t, struct str key, yyjson_val *v)
{
    if (chars_of(key) > METADATA_KEY_CHARS_MAX)
        return refuse(t, "string_above_max_length", "metadata",
                      "Invalid 'metadata': a key is longer than %d characters.",
                      METADATA_KEY_CHARS_MAX);
    const char *path = path_of(t, "metadata.%.*s", STR_ARG(key));
    struct str value;
    if (!want_string(t, path, v, &value))
        return false;
    if (chars_of(value) > METADATA_VALUE_CHARS_MAX)
        return refuse(t, "string_above_max_length", path,
                      "Invalid '%s': string too long. Expected a string with maximum length %d.",
                      path, METADATA_VALUE_CHARS_MAX);
    return true;
}

bool user_read_metadata(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    if (yyjson_obj_size(v) > METADATA_PAIRS_MAX)
        return refuse(t, "object_above_max_properties", name,
                      "Invalid '%s': too many properties. Expected an object with at most %d.",
                      name, METADATA_PAIRS_MAX);
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(v, i, max, key, value)
    {
        if (!check_pair(t, json_str(key), value))
            return false;
    }
    struct buf text;
    buf_init(&text, METADATA_BYTES_MAX);
    bool is_kept = json_write_value(&text, v);
    if (is_kept) {
        t->out->metadata = arena_strdup(t->arena, buf_str(&text));
        is_kept = t->out->metadata.p != NULL;
    }
    buf_done(&text);
    return is_kept || refuse_memory(t);
}

/*
 * A walk over the schema that writes as it goes.
 */
#include "sim/schema_instance.h"

#include <string.h>

#define DEPTH_MAX 32    /* recursive schemas of tools end here */
#define NODES_MAX 10000 /* and wide recursive ones here */

/* Names of `required` that are looked at, and properties in all: both lists may be hostile. */
#define REQUIRED_MAX   256
#define PROPERTIES_MAX 100000

struct writer {
    struct buf *b;
    yyjson_val *root;
    struct str text;
    size_t n_nodes, n_properties;
};

static void write_node(struct writer *w, yyjson_val *schema, size_t depth);

static yyjson_val *resolve(const struct writer *w, struct str ref)
{
    static const char *const places[] = {"$defs", "definitions"};
    if (str_eq(ref, STR("#")))
        return w->root;
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        struct str rest = ref;
        if (!str_starts(rest, STR("#/")))
            return NULL;
        rest = (struct str){ref.p + 2, ref.n - 2};
        size_t n = strlen(places[i]);
        if (str_starts(rest, str_of(places[i])) && rest.n > n + 1 && rest.p[n] == '/')
            return yyjson_obj_getn(json_get(w->root, places[i]), rest.p + n + 1, rest.n - n - 1);
    }
    return NULL;
}

static void write_string(struct writer *w, yyjson_val *schema)
{
    static const struct {
        const char *format, *value;
    } formats[] = {{"date-time", "2026-01-01T00:00:00Z"},
                   {"time", "12:00:00Z"},
                   {"date", "2026-01-01"},
                   {"duration", "PT1H"},
                   {"email", "someone@example.com"},
                   {"hostname", "example.com"},
                   {"uri", "https://example.com/"},
                   {"ipv4", "192.0.2.1"},
                   {"ipv6", "2001:db8::1"},
                   {"uuid", "123e4567-e89b-42d3-a456-426614174000"}};
    struct str format = json_str(json_get(schema, "format"));
    for (size_t i = 0; i < PX_ARRAY_LEN(formats); i++)
        if (format.p && str_eq(format, str_of(formats[i].format))) {
            json_write_string(w->b, str_of(formats[i].value));
            return;
        }
    json_write_string(w->b, w->text);
}

static bool is_required(yyjson_val *required, struct str name)
{
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(required);
    for (size_t i = 0; i < REQUIRED_MAX && (one = yyjson_arr_iter_next(&it)); i++)
        if (str_eq(json_str(one), name))
            return true;
    return false;
}

static void write_object(struct writer *w, yyjson_val *schema, size_t depth)
{
    yyjson_val *required = json_get(schema, "required"), *key;
    bool is_first = true;
    buf_append_char(w->b, '{');
    for (int pass = 0; pass < 2; pass++) {
        yyjson_obj_iter it = yyjson_obj_iter_with(json_get(schema, "properties"));
        while ((key = yyjson_obj_iter_next(&it)) && w->n_nodes < NODES_MAX &&
               ++w->n_properties < PROPERTIES_MAX) {
            if (is_required(required, json_str(key)) != (pass == 0))
                continue;
            /* An optional property deep down may be one that recurses. */
            if (pass == 1 && depth > DEPTH_MAX / 2)
                continue;
            if (!is_first)
                buf_append_char(w->b, ',');
            is_first = false;
            json_write_string(w->b, json_str(key));
            buf_append_char(w->b, ':');
            write_node(w, yyjson_obj_iter_get_val(key), depth + 1);
        }
    }
    buf_append_char(w->b, '}');
}

static void write_array(struct writer *w, yyjson_val *schema, size_t depth)
{
    int64_t min = 0, max = 1;
    json_to_int(json_get(schema, "minItems"), &min);
    json_to_int(json_get(schema, "maxItems"), &max);
    int64_t n = min > 1 ? (min < 16 ? min : 16) : max < 1 ? 0 : 1;
    yyjson_val *items = json_get(schema, "items");
    if (depth > DEPTH_MAX / 2 && min <= 0)
        n = 0;
    buf_append_char(w->b, '[');
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(w->b, ',');
        write_node(w, items, depth + 1);
    }
    buf_append_char(w->b, ']');
}

static void write_number(struct writer *w, yyjson_val *schema)
{
    yyjson_val *min = json_get(schema, "minimum");
    if (json_is_number(min))
        json_write_value(w->b, min);
    else
        buf_append_char(w->b, '1');
}

static void write_type(struct writer *w, yyjson_val *schema, struct str type, size_t depth)
{
    if (str_eq(type, STR("object")))
        write_object(w, schema, depth);
    else if (str_eq(type, STR("array")))
        write_array(w, schema, depth);
    else if (str_eq(type, STR("string")))
        write_string(w, schema);
    else if (str_eq(type, STR("integer")) || str_eq(type, STR("number")))
        write_number(w, schema);
    else if (str_eq(type, STR("boolean")))
        buf_append_z(w->b, "true");
    else
        buf_append_z(w->b, "null");
}

static void write_node(struct writer *w, yyjson_val *schema, size_t depth)
{
    static const char *const unions[] = {"anyOf", "oneOf", "allOf"};
    if (depth > DEPTH_MAX || ++w->n_nodes > NODES_MAX) {
        buf_append_z(w->b, "null");
        return;
    }
    yyjson_val *ref = json_get(schema, "$ref"), *one;
    if (ref) {
        write_node(w, resolve(w, json_str(ref)), depth + 1);
        return;
    }
    if ((one = yyjson_obj_get(schema, "const")) ||
        (one = yyjson_arr_get_first(yyjson_obj_get(schema, "enum")))) {
        json_write_value(w->b, one);
        return;
    }
    for (size_t i = 0; i < PX_ARRAY_LEN(unions); i++)
        if ((one = yyjson_arr_get_first(json_get(schema, unions[i])))) {
            write_node(w, one, depth + 1);
            return;
        }
    yyjson_val *type = json_get(schema, "type");
    if (yyjson_is_arr(type))
        type = yyjson_arr_get_first(type);
    if (!type && json_get(schema, "properties"))
        write_object(w, schema, depth);
    else
        write_type(w, schema, type ? json_str(type) : STR("string"), depth);
}

void schema_instance(struct buf *b, yyjson_val *schema, struct str text)
{
    struct writer w = {.b = b, .root = schema, .text = text};
    write_node(&w, schema, 0);
}

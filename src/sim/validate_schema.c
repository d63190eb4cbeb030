/*
 * Schemas that the structured-output decoder refuses: open objects, bounds, recursion, too many
 * unions or optional properties.
 */
#include <stdio.h>
#include <string.h>

#include "sim/validate_part.h"

#define UNIONS_MAX   16
#define OPTIONAL_MAX 24
#define REF_DEPTH    64     /* a chain of references longer than this counts as circular */
#define STEPS_MAX    500000 /* nodes looked at, names compared: more is "too complex" */

static const char string_formats[] =
    "date-time time date duration email hostname uri ipv4 ipv6 uuid";

/* Keywords that are refused, by the type they belong to. */
struct refused {
    const char *type;
    const char *keywords;
};
static const struct refused refused[] = {
    {"integer", "exclusiveMaximum exclusiveMinimum maximum minimum multipleOf"},
    {"number", "exclusiveMaximum exclusiveMinimum maximum minimum multipleOf"},
    {"string", "maxLength minLength"},
    {"array", "contains maxContains maxItems minContains prefixItems uniqueItems"},
    {"object", "dependentRequired dependentSchemas maxProperties minProperties patternProperties "
               "propertyNames unevaluatedProperties"},
};

static const char known_types[] = "object array string integer number boolean null";

struct walk {
    struct check *c;
    const char *path;
    yyjson_val *root;
    struct schema_totals *totals;
};

static bool check_node(const struct walk *w, yyjson_val *v);

/* Counts work; false when there was too much of it. */
static bool spend(const struct walk *w, size_t steps)
{
    w->totals->steps += steps;
    return w->totals->steps <= STEPS_MAX;
}

static bool too_complex(const struct walk *w)
{
    return bad(w->c, "%s: Schema is too complex for compilation.", w->path);
}

static bool check_refused(const struct walk *w, yyjson_val *v, struct str type)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(refused); i++) {
        if (!str_eq(type, str_of(refused[i].type)))
            continue;
        char found[256];
        size_t n = 0, at = 0;
        struct str rest = str_of(refused[i].keywords), part;
        found[0] = '\0';
        while (str_split(&rest, ' ', &part)) {
            if (!yyjson_obj_getn(v, part.p, part.n) || at + part.n + 3 > sizeof(found))
                continue;
            at += (size_t)snprintf(found + at, sizeof(found) - at, "%s%.*s", n ? ", " : "",
                                   STR_ARG(part));
            n++;
        }
        if (n == 1)
            return bad(w->c, "%s: For '%.*s' type, property '%s' is not supported", w->path,
                       STR_ARG(type), found);
        if (n > 1)
            return bad(w->c, "%s: For '%.*s' type, properties %s are not supported", w->path,
                       STR_ARG(type), found);
    }
    return true;
}

static bool check_object(const struct walk *w, yyjson_val *v)
{
    yyjson_val *open = yyjson_obj_get(v, "additionalProperties");
    if (!yyjson_is_false(open))
        return bad(w->c,
                   "%s: For 'object' type, 'additionalProperties' must be explicitly set to false",
                   w->path);
    yyjson_val *required = yyjson_obj_get(v, "required");
    yyjson_val *properties = yyjson_obj_get(v, "properties"), *key, *value;
    yyjson_obj_iter it = yyjson_obj_iter_with(properties);
    while ((key = yyjson_obj_iter_next(&it))) {
        value = yyjson_obj_iter_get_val(key);
        if (!spend(w, yyjson_arr_size(required)))
            return too_complex(w);
        bool is_required = false;
        yyjson_val *name;
        yyjson_arr_iter names = yyjson_arr_iter_with(required);
        while ((name = yyjson_arr_iter_next(&names)))
            is_required |= str_eq(json_str(name), json_str(key));
        w->totals->n_optional += !is_required;
        if (!check_node(w, value))
            return false;
    }
    return true;
}

static bool check_array(const struct walk *w, yyjson_val *v)
{
    yyjson_val *min = yyjson_obj_get(v, "minItems"), *items = yyjson_obj_get(v, "items");
    int64_t n;
    if (min && (!json_to_int(min, &n) || n < 0 || n > 1))
        return bad(w->c,
                   "%s: For 'array' type, 'minItems' values other than 0 or 1 are not supported",
                   w->path);
    return !items || check_node(w, items);
}

static bool check_type(const struct walk *w, yyjson_val *v, struct str type)
{
    if (!is_in_list(known_types, type))
        return bad(w->c, "%s: Invalid schema: unknown type '%.*s'", w->path, STR_ARG(type));
    if (!check_refused(w, v, type))
        return false;
    if (str_eq(type, STR("object")))
        return check_object(w, v);
    if (str_eq(type, STR("array")))
        return check_array(w, v);
    struct str format = json_str(yyjson_obj_get(v, "format"));
    if (str_eq(type, STR("string")) && format.p && !is_in_list(string_formats, format))
        return bad(w->c, "%s: For 'string' type, format '%.*s' is not supported", w->path,
                   STR_ARG(format));
    return true;
}

static bool check_types(const struct walk *w, yyjson_val *v, yyjson_val *type)
{
    if (yyjson_is_str(type))
        return check_type(w, v, json_str(type));
    if (!yyjson_is_arr(type))
        return bad(w->c, "%s: Invalid schema: 'type' must be a string or a list of strings",
                   w->path);
    w->totals->n_unions += yyjson_arr_size(type) > 1;
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(type);
    while ((one = yyjson_arr_iter_next(&it)))
        if (!check_type(w, v, json_str(one)))
            return false;
    return true;
}

/* The definition that a local reference names; NULL when there is none. */
static yyjson_val *find_definition(yyjson_val *root, struct str ref, struct str *ret_name)
{
    static const char *const places[] = {"$defs", "definitions"};
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "#/%s/", places[i]);
        if (!str_starts(ref, str_of(prefix)))
            continue;
        size_t n = strlen(prefix);
        *ret_name = (struct str){ref.p + n, ref.n - n};
        return yyjson_obj_getn(yyjson_obj_get(root, places[i]), ret_name->p, ret_name->n);
    }
    return NULL;
}

static bool check_ref(const struct walk *w, struct str ref)
{
    struct str name = {0};
    if (!spend(w, yyjson_obj_size(yyjson_obj_get(w->root, "$defs")) +
                      yyjson_obj_size(yyjson_obj_get(w->root, "definitions"))))
        return too_complex(w);
    yyjson_val *to = find_definition(w->root, ref, &name);
    if (str_eq(ref, STR("#")))
        return bad(
            w->c,
            "%s: Invalid schema: Circular reference detected in schema definitions: "
            "# -> #. Self-referencing or mutually-referencing definitions are not supported.",
            w->path);
    if (!to)
        return bad(w->c, "%s: Invalid schema: unresolved reference '%.*s'", w->path,
                   STR_ARG(((struct str){ref.p, ref.n < 64 ? ref.n : 64})));
    return true;
}

static bool check_node(const struct walk *w, yyjson_val *v)
{
    static const char *const unions[] = {"anyOf", "allOf"};
    if (!spend(w, 1))
        return too_complex(w);
    if (yyjson_is_bool(v))
        return bad(w->c, "%s: Invalid schema: boolean schemas are not supported", w->path);
    if (!yyjson_is_obj(v))
        return bad(w->c, "%s: Invalid schema: a schema must be an object", w->path);
    struct str ref = json_str(yyjson_obj_get(v, "$ref"));
    if (ref.p)
        return check_ref(w, ref);
    if (yyjson_obj_get(v, "oneOf"))
        return bad(w->c, "%s: Schema type 'oneOf' is not supported", w->path);
    bool has_union = false;
    for (size_t i = 0; i < PX_ARRAY_LEN(unions); i++) {
        yyjson_val *list = yyjson_obj_get(v, unions[i]), *one;
        if (!list)
            continue;
        has_union = true;
        w->totals->n_unions += i == 0;
        yyjson_arr_iter it = yyjson_arr_iter_with(list);
        while ((one = yyjson_arr_iter_next(&it)))
            if (!check_node(w, one))
                return false;
    }
    yyjson_val *type = yyjson_obj_get(v, "type");
    if (type)
        return check_types(w, v, type);
    if (has_union || yyjson_obj_get(v, "enum") || yyjson_obj_get(v, "const"))
        return true;
    return bad(w->c,
               "%s: Invalid schema: a schema needs 'type', 'enum', 'const', 'anyOf' or '$ref'",
               w->path);
}

static bool reaches(const struct walk *w, yyjson_val *v, struct str start, size_t depth);

/* Whether a reference leads (through others) back to the definition `start`. */
static bool ref_reaches(const struct walk *w, struct str ref, struct str start, size_t depth)
{
    struct str name = {0};
    yyjson_val *to = find_definition(w->root, ref, &name);
    if (!to)
        return false;
    return str_eq(name, start) || depth >= REF_DEPTH || reaches(w, to, start, depth + 1);
}

static bool reaches(const struct walk *w, yyjson_val *v, struct str start, size_t depth)
{
    yyjson_val *one;
    if (!spend(w, 1 + yyjson_obj_size(yyjson_obj_get(w->root, "$defs")) / 8))
        return false; /* check_node says that it is too complex */
    if (yyjson_is_arr(v)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        while ((one = yyjson_arr_iter_next(&it)))
            if (reaches(w, one, start, depth))
                return true;
    }
    if (!yyjson_is_obj(v))
        return false;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    while ((one = yyjson_obj_iter_next(&it))) {
        yyjson_val *value = yyjson_obj_iter_get_val(one);
        if (str_eq(json_str(one), STR("$ref")) && yyjson_is_str(value)) {
            if (ref_reaches(w, json_str(value), start, depth))
                return true;
        } else if (reaches(w, value, start, depth)) {
            return true;
        }
    }
    return false;
}

static bool check_definitions(const struct walk *w)
{
    static const char *const places[] = {"$defs", "definitions"};
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        yyjson_val *key;
        yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_obj_get(w->root, places[i]));
        while ((key = yyjson_obj_iter_next(&it))) {
            struct str name = check_key(key);
            if (reaches(w, yyjson_obj_iter_get_val(key), json_str(key), 0))
                return bad(w->c,
                           "%s: Invalid schema: Circular reference detected in schema definitions: "
                           "%.*s -> %.*s. Self-referencing or mutually-referencing definitions are "
                           "not supported.",
                           w->path, STR_ARG(name), STR_ARG(name));
            if (!check_node(w, yyjson_obj_iter_get_val(key)))
                return false;
        }
    }
    return true;
}

bool check_schema(struct check *c, const char *path, yyjson_val *schema,
                  struct schema_totals *totals)
{
    struct walk w = {c, path, schema, totals};
    return check_definitions(&w) && check_node(&w, schema);
}

bool check_schema_totals(struct check *c, const struct schema_totals *totals)
{
    if (totals->n_unions > UNIONS_MAX)
        return bad(
            c,
            "Schemas contains too many parameters with union types (%zu parameters with type "
            "arrays or anyOf). This causes exponential compilation cost. Reduce the number of "
            "nullable or union-typed parameters (limit: 16 parameters with unions).",
            totals->n_unions);
    if (totals->n_optional > OPTIONAL_MAX)
        return bad(c,
                   "Schemas contains too many optional parameters (%zu), which would make grammar "
                   "compilation inefficient. Reduce the number of optional parameters in your tool "
                   "schemas (limit: 24).",
                   totals->n_optional);
    return true;
}

/*
 * The schema transform. The upstream's decoder knows a part of JSON Schema and refuses the rest, so
 * every object is closed, oneOf becomes anyOf, lists of types become anyOf, and constraints it
 * does not know move into the description, where the model still reads them. The order of keys is
 * fixed, that of properties the client's: the same schema gives the same bytes.
 */
#include "translate/schema.h"

#include "translate/schema_refs.h"

#define OPTIONAL_MAX   24   /* optional properties in all, upstream's limit */
#define UNIONS_MAX     16   /* anyOf in all, upstream's limit */
#define PROPERTIES_MAX 1000 /* of one object: looking them up takes the square of it */

static const struct str object_word = {"object", 6}, array_word = {"array", 5},
                        string_word = {"string", 6};

struct writer {
    struct buf *out;
    struct schema_result *result;
    struct str name, description; /* for the root; empty once used */
    size_t optionals, unions;
};

static bool cannot(struct writer *w, const char *why)
{
    w->result->why = why;
    return false;
}

static bool write_node(struct writer *w, yyjson_val *node);

static void write_key(struct writer *w, const char *name, bool *is_first)
{
    if (!*is_first)
        buf_append_char(w->out, ',');
    *is_first = false;
    buf_printf(w->out, "\"%s\":", name);
}

static bool is_scalar(yyjson_val *v)
{
    return v && !yyjson_is_ctn(v);
}

/* enum and const of scalars say all there is to say of a type. */
static bool has_literals(yyjson_val *node)
{
    return yyjson_obj_get(node, "enum") || yyjson_obj_get(node, "const");
}

/* The one type that a node names or implies; empty when it names none or several. */
static struct str type_of(yyjson_val *node)
{
    yyjson_val *type = json_get(node, "type");
    if (yyjson_is_arr(type) && yyjson_arr_size(type) == 1)
        type = yyjson_arr_get_first(type);
    if (type)
        return json_str(type);
    if (json_get(node, "properties"))
        return object_word;
    return json_get(node, "items") ? array_word : (struct str){0};
}

static bool has_format(struct str format)
{
    static const char *const known[] = {"date-time", "time", "date", "duration", "email",
                                        "hostname",  "uri",  "ipv4", "ipv6",     "uuid"};
    for (size_t i = 0; i < PX_ARRAY_LEN(known); i++)
        if (str_eq(format, str_of(known[i])))
            return true;
    return false;
}

static bool is_small_count(yyjson_val *v)
{
    int64_t n;
    return json_to_int(v, &n) && (n == 0 || n == 1);
}

/* Whether a value of this type may stand where the node stands. */
static bool has_type(yyjson_val *node, struct str type)
{
    yyjson_val *types = json_get(node, "type");
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_is_arr(types))
        return str_eq(type_of(node), type);
    yyjson_arr_foreach(types, i, max, v)
    {
        if (str_eq(json_str(v), type))
            return true;
    }
    return false;
}

/*
 * Whether the keyword is written (or rightly left out) elsewhere. `is_typed`: the node is written
 * with its types, not as literals or alternatives.
 */
static bool is_handled(yyjson_val *node, struct str key, yyjson_val *v, bool is_typed)
{
    static const char *const always[] = {"$schema", "$id",   "$comment",    "$defs",  "definitions",
                                         "type",    "title", "description", "anyOf",  "oneOf",
                                         "allOf",   "enum",  "const",       "default"};
    static const struct {
        const struct str *type;
        const char *key;
    } typed[] = {{&object_word, "properties"},
                 {&object_word, "required"},
                 {&object_word, "additionalProperties"},
                 {&array_word, "items"}};
    for (size_t i = 0; i < PX_ARRAY_LEN(always); i++)
        if (str_eq(key, str_of(always[i])))
            return true;
    if (!is_typed)
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(typed); i++)
        if (str_eq(key, str_of(typed[i].key)))
            return has_type(node, *typed[i].type);
    if (str_eq(key, STR("minItems")))
        return has_type(node, array_word) && is_small_count(v);
    return str_eq(key, STR("format")) && has_type(node, string_word) && has_format(json_str(v));
}

/* Notes say something to a reader and hold nobody to anything. */
static bool is_note(struct str key)
{
    return str_eq(key, STR("examples")) || str_eq(key, STR("example")) ||
           str_eq(key, STR("deprecated")) || str_eq(key, STR("readOnly")) ||
           str_eq(key, STR("writeOnly"));
}

/*
 * The description, with "{minimum: 1, ...}" behind it for what the decoder cannot hold. `text` is
 * the node's own description or, at the root, the format's.
 */
static void write_description(struct writer *w, yyjson_val *node, struct str text, bool is_typed,
                              bool *is_first)
{
    struct buf words;
    buf_init(&words, w->out->max);
    buf_append_str(&words, text);
    size_t i, max, n = 0;
    yyjson_val *key, *v;
    yyjson_obj_foreach(node, i, max, key, v)
    {
        struct str word = json_str(key);
        if (is_handled(node, word, v, is_typed))
            continue;
        if (!is_note(word))
            w->result->is_weakened = true;
        buf_append_z(&words, n ? ", " : text.n ? "\n\n{" : "{");
        buf_append_str(&words, word);
        buf_append_z(&words, ": ");
        json_write_value(&words, v);
        n++;
    }
    if (n)
        buf_append_char(&words, '}');
    if (words.failed)
        w->out->failed = true;
    if (words.len) {
        write_key(w, "description", is_first);
        json_write_string(w->out, buf_str(&words));
    }
    buf_done(&words);
}

static bool is_required(yyjson_val *required, struct str name)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(required, i, max, v)
    {
        if (str_eq(json_str(v), name))
            return true;
    }
    return false;
}

/* The upstream closes every object, so what is left open must be nothing the client counts on. */
static bool check_closed(struct writer *w, yyjson_val *node)
{
    yyjson_val *more = yyjson_obj_get(node, "additionalProperties");
    yyjson_val *properties = json_get(node, "properties"), *required = json_get(node, "required");
    bool is_closed = yyjson_is_false(more);
    if (yyjson_is_obj(more) && yyjson_obj_size(more) > 0)
        return cannot(w, "an object with arbitrary keys (additionalProperties)");
    if (json_get(node, "patternProperties"))
        return cannot(w, "an object with arbitrary keys (patternProperties)");
    if (!is_closed && yyjson_obj_size(properties) == 0)
        return cannot(w, "an object without properties");
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(required, i, max, v)
    {
        if (!yyjson_is_str(v) || !json_get_n(properties, json_str(v)))
            return cannot(w, "a required property that is not declared");
    }
    return true;
}

static bool write_properties(struct writer *w, yyjson_val *properties, yyjson_val *required)
{
    size_t i, max;
    yyjson_val *key, *v;
    buf_append_char(w->out, '{');
    if (!properties)
        return buf_append_char(w->out, '}');
    yyjson_obj_foreach(properties, i, max, key, v)
    {
        if (i)
            buf_append_char(w->out, ',');
        json_write_string(w->out, json_str(key));
        buf_append_char(w->out, ':');
        if (!is_required(required, json_str(key)) && ++w->optionals > OPTIONAL_MAX)
            return cannot(w, "more than 24 optional properties");
        if (!write_node(w, v))
            return false;
    }
    return buf_append_char(w->out, '}');
}

static bool write_object(struct writer *w, yyjson_val *node, bool *is_first)
{
    yyjson_val *properties = json_get(node, "properties"), *required = json_get(node, "required");
    if (properties && !yyjson_is_obj(properties))
        return cannot(w, "properties that are not an object");
    if (required && !yyjson_is_arr(required))
        return cannot(w, "required that is not an array");
    if (yyjson_obj_size(properties) > PROPERTIES_MAX || yyjson_arr_size(required) > PROPERTIES_MAX)
        return cannot(w, "more than 1000 properties of one object");
    if (!check_closed(w, node))
        return false;
    write_key(w, "properties", is_first);
    if (!write_properties(w, properties, required))
        return false;
    if (required) {
        write_key(w, "required", is_first);
        json_write_value(w->out, required);
    }
    write_key(w, "additionalProperties", is_first);
    buf_append_z(w->out, "false");
    return true;
}

static bool write_array(struct writer *w, yyjson_val *node, bool *is_first)
{
    yyjson_val *items = yyjson_obj_get(node, "items"), *least = json_get(node, "minItems");
    if (items) {
        write_key(w, "items", is_first);
        if (!write_node(w, items))
            return false;
    }
    if (least && is_small_count(least)) {
        write_key(w, "minItems", is_first);
        json_write_value(w->out, least);
    }
    return true;
}

static bool write_single_type(struct writer *w, yyjson_val *node, struct str type, bool *is_first)
{
    static const char *const known[] = {"object", "array",   "string", "integer",
                                        "number", "boolean", "null"};
    bool is_known = false;
    for (size_t i = 0; i < PX_ARRAY_LEN(known); i++)
        is_known |= str_eq(type, str_of(known[i]));
    if (!is_known)
        return cannot(w, type.n ? "an unknown type" : "a node without a type");
    write_key(w, "type", is_first);
    json_write_string(w->out, type);
    if (str_eq(type, object_word))
        return write_object(w, node, is_first);
    if (str_eq(type, array_word))
        return write_array(w, node, is_first);
    yyjson_val *format = json_get(node, "format");
    if (str_eq(type, string_word) && has_format(json_str(format))) {
        write_key(w, "format", is_first);
        json_write_value(w->out, format);
    }
    return true;
}

static bool count_union(struct writer *w)
{
    return ++w->unions <= UNIONS_MAX || cannot(w, "more than 16 unions");
}

/* ["object","null"]: one alternative a type, each with the keywords that are its own. */
static bool write_type_list(struct writer *w, yyjson_val *node, yyjson_val *types, bool *is_first)
{
    if (!count_union(w))
        return false;
    write_key(w, "anyOf", is_first);
    buf_append_char(w->out, '[');
    size_t i, max;
    yyjson_val *type;
    yyjson_arr_foreach(types, i, max, type)
    {
        bool is_inner_first = true;
        buf_append_z(w->out, i ? ",{" : "{");
        if (!write_single_type(w, node, json_str(type), &is_inner_first))
            return false;
        buf_append_char(w->out, '}');
    }
    buf_append_char(w->out, ']');
    return true;
}

static bool write_literals(struct writer *w, yyjson_val *node, bool *is_first)
{
    yyjson_val *list = yyjson_obj_get(node, "enum"), *constant = yyjson_obj_get(node, "const");
    size_t i, max;
    yyjson_val *v;
    if (list) {
        if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
            return cannot(w, "an enum without values");
        yyjson_arr_foreach(list, i, max, v)
        {
            if (!is_scalar(v))
                return cannot(w, "an enum of objects or arrays");
        }
        write_key(w, "enum", is_first);
        json_write_value(w->out, list);
    }
    if (constant) {
        if (!is_scalar(constant))
            return cannot(w, "a const that is an object or an array");
        write_key(w, "const", is_first);
        json_write_value(w->out, constant);
    }
    return true;
}

static bool write_list(struct writer *w, const char *name, yyjson_val *list, bool *is_first)
{
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return cannot(w, "anyOf, oneOf or allOf without alternatives");
    write_key(w, name, is_first);
    buf_append_char(w->out, '[');
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        if (i)
            buf_append_char(w->out, ',');
        if (!write_node(w, v))
            return false;
    }
    buf_append_char(w->out, ']');
    return true;
}

/* Closed objects that must hold at once contradict each other. */
static bool may_be_object(yyjson_val *node)
{
    static const char *const lists[] = {"anyOf", "oneOf", "allOf"};
    if (json_get(node, "$ref") || json_get(node, "properties") ||
        str_eq(type_of(node), object_word))
        return true;
    for (size_t k = 0; k < PX_ARRAY_LEN(lists); k++) {
        size_t i, max;
        yyjson_val *v;
        yyjson_arr_foreach(json_get(node, lists[k]), i, max, v)
        {
            if (may_be_object(v))
                return true;
        }
    }
    return false;
}

static bool write_all_of(struct writer *w, yyjson_val *list, bool *is_first)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        if (yyjson_arr_size(list) > 1 && may_be_object(v))
            return cannot(w, "allOf of objects");
    }
    return write_list(w, "allOf", list, is_first);
}

/*
 * anyOf, oneOf and allOf of one node. Where there are several they all hold: each goes into an
 * allOf of its own.
 */
static bool write_combinators(struct writer *w, yyjson_val *node, bool *is_first)
{
    yyjson_val *any = json_get(node, "anyOf"), *one = json_get(node, "oneOf");
    yyjson_val *all = json_get(node, "allOf");
    if ((any || one) && !count_union(w))
        return false;
    if (any && !one && !all)
        return write_list(w, "anyOf", any, is_first);
    if (one && !any && !all)
        return write_list(w, "anyOf", one, is_first);
    if (all && !any && !one)
        return write_all_of(w, all, is_first);
    if (may_be_object(node))
        return cannot(w, "anyOf, oneOf and allOf of objects together");
    yyjson_val *lists[] = {any, one, all};
    bool is_list_first = true;
    write_key(w, "allOf", is_first);
    buf_append_char(w->out, '[');
    for (size_t i = 0; i < PX_ARRAY_LEN(lists); i++) {
        bool is_inner_first = true;
        if (!lists[i])
            continue;
        buf_append_z(w->out, is_list_first ? "{" : ",{");
        is_list_first = false;
        if (!write_list(w, lists[i] == all ? "allOf" : "anyOf", lists[i], &is_inner_first))
            return false;
        buf_append_char(w->out, '}');
    }
    buf_append_char(w->out, ']');
    return true;
}

/* What a node allows: its literals, its alternatives, or its type. */
static bool write_kind(struct writer *w, yyjson_val *node, bool *is_first)
{
    yyjson_val *types = json_get(node, "type");
    bool has_lists = json_get(node, "anyOf") || json_get(node, "oneOf") || json_get(node, "allOf");
    if (has_literals(node))
        return has_lists ? cannot(w, "enum or const beside anyOf, oneOf or allOf")
                         : write_literals(w, node, is_first);
    if (!has_lists && yyjson_is_arr(types) && yyjson_arr_size(types) > 1)
        return write_type_list(w, node, types, is_first);
    if (!has_lists)
        return write_single_type(w, node, type_of(node), is_first);
    /* A type beside alternatives repeats what they say; properties do not. */
    if (json_get(node, "properties") || json_get(node, "items"))
        return cannot(w, "properties or items beside anyOf, oneOf or allOf");
    return write_combinators(w, node, is_first);
}

static bool write_definitions(struct writer *w, yyjson_val *node, const char *name, bool *is_first)
{
    yyjson_val *defs = json_get(node, name);
    if (!defs)
        return true;
    if (!yyjson_is_obj(defs))
        return cannot(w, "definitions that are not an object");
    write_key(w, name, is_first);
    buf_append_char(w->out, '{');
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(defs, i, max, key, v)
    {
        if (i)
            buf_append_char(w->out, ',');
        json_write_string(w->out, json_str(key));
        buf_append_char(w->out, ':');
        if (!write_node(w, v))
            return false;
    }
    buf_append_char(w->out, '}');
    return true;
}

static void write_title(struct writer *w, struct str title, bool *is_first)
{
    if (!title.n)
        return;
    write_key(w, "title", is_first);
    json_write_string(w->out, title);
}

/* Nothing may stand beside a reference. Losing a note is no matter; losing a constraint is said. */
static void drop_beside_reference(struct writer *w, yyjson_val *node)
{
    static const char *const silent[] = {"$ref",        "$defs",   "definitions", "title",
                                         "description", "default", "$comment",    "$id",
                                         "$schema",     "type"};
    bool is_in_all_of = !json_get(node, "$ref"); /* the allOf is the reference */
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(node, i, max, key, v)
    {
        struct str word = json_str(key);
        bool is_silent = is_note(word) || (is_in_all_of && str_eq(word, STR("allOf")));
        for (size_t k = 0; k < PX_ARRAY_LEN(silent) && !is_silent; k++)
            is_silent = str_eq(word, str_of(silent[k]));
        if (!is_silent)
            w->result->is_weakened = true;
    }
}

/* The node's $ref, or the one that it holds as its only allOf (older generators write that). */
static yyjson_val *reference_of(yyjson_val *node)
{
    yyjson_val *all = json_get(node, "allOf"), *ref = json_get(node, "$ref");
    if (ref || yyjson_arr_size(all) != 1 || json_get(node, "anyOf") || json_get(node, "oneOf") ||
        json_get(node, "properties"))
        return ref;
    return json_get(yyjson_arr_get_first(all), "$ref");
}

static bool write_members(struct writer *w, yyjson_val *node)
{
    bool is_first = true;
    struct str title = json_str(json_get(node, "title"));
    struct str text = json_str(json_get(node, "description"));
    title = title.n ? title : w->name;
    text = text.n ? text : w->description;
    w->name = w->description = (struct str){0}; /* they are the root's */
    if (!write_definitions(w, node, "$defs", &is_first) ||
        !write_definitions(w, node, "definitions", &is_first))
        return false;
    yyjson_val *ref = reference_of(node), *preset = yyjson_obj_get(node, "default");
    if (ref) {
        drop_beside_reference(w, node);
        write_key(w, "$ref", &is_first);
        return json_write_value(w->out, ref);
    }
    write_title(w, title, &is_first);
    bool has_lists = json_get(node, "anyOf") || json_get(node, "oneOf") || json_get(node, "allOf");
    write_description(w, node, text, !has_literals(node) && !has_lists, &is_first);
    if (!write_kind(w, node, &is_first))
        return false;
    if (preset) {
        write_key(w, "default", &is_first);
        json_write_value(w->out, preset);
    }
    return true;
}

/* Recursion is bounded by the parser's depth limit. */
static bool write_node(struct writer *w, yyjson_val *node)
{
    if (!yyjson_is_obj(node))
        return cannot(w, "a sub-schema that is not an object");
    buf_append_char(w->out, '{');
    if (!write_members(w, node))
        return false;
    buf_append_char(w->out, '}');
    return !w->out->failed;
}

bool schema_write(struct buf *out, yyjson_val *schema, struct str name, struct str description,
                  struct schema_result *result)
{
    *result = (struct schema_result){0};
    struct writer w = {.out = out, .result = result, .name = name, .description = description};
    result->why = schema_refs_check(schema);
    if (result->why || !write_node(&w, schema))
        return false;
    result->optionals = w.optionals;
    result->unions = w.unions;
    return true;
}

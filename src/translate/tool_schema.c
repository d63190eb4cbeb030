/*
 * The input schema of a tool that is not held to it strictly. It is passed on as it is, but for its
 * root, which must be an object for the upstream. A union of objects becomes one object that has
 * the properties of all, and the union itself is told in the description.
 */
#include "translate/schema_refs.h"
#include "translate/tools.h"

#define BRANCHES_MAX   64   /* objects of one union */
#define PROPERTIES_MAX 1000 /* of all of them; looking them up takes the square of it */
#define NODES_MAX      256  /* that are looked at: references may lead to the same ones again */
#define DEPTH_MAX      8    /* unions within unions, references behind references */
#define UNION_TEXT     "The whole input must match: "

static const char *const combinators[] = {"anyOf", "oneOf", "allOf"};

/* The objects that a root is made of, itself the first. */
struct branches {
    yyjson_val *root;
    struct buf *out; /* where they are written; only looked at: NULL */
    yyjson_val *v[BRANCHES_MAX];
    size_t n, nodes, properties;
    bool is_too_big;
};

static bool is_object_type(yyjson_val *type)
{
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_is_arr(type))
        return str_eq(json_str(type), STR("object"));
    yyjson_arr_foreach(type, i, max, v)
    {
        if (str_eq(json_str(v), STR("object")))
            return true;
    }
    return false;
}

static bool is_combined(yyjson_val *node)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(combinators); i++)
        if (json_get(node, combinators[i]))
            return true;
    return false;
}

/* The node, or what it refers to. */
static yyjson_val *resolve(yyjson_val *root, yyjson_val *node)
{
    for (size_t i = 0; i < DEPTH_MAX && json_get(node, "$ref"); i++)
        node = schema_refs_target(root, json_str(json_get(node, "$ref")));
    return node;
}

static void collect(struct branches *b, yyjson_val *node, size_t depth)
{
    node = resolve(b->root, node);
    yyjson_val *properties = json_get(node, "properties");
    if (b->n == BRANCHES_MAX || ++b->nodes > NODES_MAX || depth > DEPTH_MAX ||
        yyjson_arr_size(json_get(node, "required")) > PROPERTIES_MAX) {
        b->is_too_big = true;
        return;
    }
    if (yyjson_is_obj(properties)) {
        b->properties += yyjson_obj_size(properties);
        b->v[b->n++] = properties;
    }
    for (size_t k = 0; k < PX_ARRAY_LEN(combinators); k++) {
        yyjson_val *list = json_get(node, combinators[k]), *v;
        size_t i, max;
        yyjson_arr_foreach(list, i, max, v)
        {
            collect(b, v, depth + 1);
            if (b->is_too_big)
                return;
        }
    }
    b->is_too_big |= b->properties > PROPERTIES_MAX;
}

/* Whether every input that the node allows has the property. */
static bool requires(yyjson_val *root, yyjson_val *node, struct str name, size_t depth)
{
    size_t i, max;
    yyjson_val *v;
    node = resolve(root, node);
    if (depth > DEPTH_MAX)
        return false;
    yyjson_arr_foreach(json_get(node, "required"), i, max, v)
    {
        if (str_eq(json_str(v), name))
            return true;
    }
    yyjson_arr_foreach(json_get(node, "allOf"), i, max, v)
    {
        if (requires(root, v, name, depth + 1))
            return true;
    }
    for (size_t k = 0; k < 2; k++) { /* anyOf and oneOf: all of their branches must */
        yyjson_val *list = json_get(node, combinators[k]);
        bool is_required = yyjson_arr_size(list) > 0;
        yyjson_arr_foreach(list, i, max, v)
        {
            is_required = is_required && requires(root, v, name, depth + 1);
        }
        if (is_required)
            return true;
    }
    return false;
}

static yyjson_val *property(yyjson_val *properties, struct str name)
{
    return yyjson_obj_getn(properties, name.p, name.n);
}

/* Key by key in their order: two that differ in it are both kept. */
static bool is_same(struct buf *out, yyjson_val *a, yyjson_val *b)
{
    struct buf texts[2];
    buf_init(&texts[0], TR_BODY_MAX);
    buf_init(&texts[1], TR_BODY_MAX);
    json_write_value(&texts[0], a);
    json_write_value(&texts[1], b);
    bool is_equal = str_eq(buf_str(&texts[0]), buf_str(&texts[1]));
    out->failed |= texts[0].failed || texts[1].failed;
    buf_done(&texts[0]);
    buf_done(&texts[1]);
    return is_equal;
}

/* Whether a branch before `from` has the property with the same schema, or with any. */
static bool is_known(const struct branches *b, size_t from, struct str name, yyjson_val *schema)
{
    for (size_t i = 0; i < from; i++) {
        yyjson_val *v = property(b->v[i], name);
        if (v && (!schema || is_same(b->out, v, schema)))
            return true;
    }
    return false;
}

/* A property that branches describe differently may be either. */
static void write_property(const struct branches *b, size_t from, struct str name)
{
    struct buf *out = b->out;
    size_t n = 0;
    for (size_t i = from; i < b->n; i++) {
        yyjson_val *v = property(b->v[i], name);
        n += v && !is_known(b, i, name, v);
    }
    buf_append_z(out, n > 1 ? "{\"anyOf\":[" : "");
    const char *between = "";
    for (size_t i = from; i < b->n; i++) {
        yyjson_val *v = property(b->v[i], name);
        if (!v || is_known(b, i, name, v))
            continue;
        buf_append_z(out, between);
        json_write_value(out, v);
        between = ",";
    }
    buf_append_z(out, n > 1 ? "]}" : "");
}

/* Calls with each property once, in the order in which they first appear. */
static void write_properties(const struct branches *b, bool is_required_list)
{
    struct buf *out = b->out;
    const char *between = "";
    for (size_t k = 0; k < b->n; k++) {
        size_t i, max;
        yyjson_val *key, *v;
        yyjson_obj_foreach(b->v[k], i, max, key, v)
        {
            struct str name = json_str(key);
            if (is_known(b, k, name, NULL) || property(b->v[k], name) != v ||
                (is_required_list && !requires(b->root, b->root, name, 0)))
                continue;
            buf_append_z(out, between);
            json_write_string(out, name);
            between = ",";
            if (is_required_list)
                continue;
            buf_append_char(out, ':');
            write_property(b, k, name);
        }
    }
}

static void write_union_text(yyjson_val *schema, struct buf *out)
{
    struct buf text;
    buf_init(&text, out->max);
    struct str description = json_str(json_get(schema, "description"));
    buf_append_str(&text, description);
    buf_append_z(&text, description.n ? "\n\n" UNION_TEXT "{" : UNION_TEXT "{");
    const char *between = "";
    for (size_t i = 0; i < PX_ARRAY_LEN(combinators); i++) {
        yyjson_val *list = json_get(schema, combinators[i]);
        if (!list)
            continue;
        buf_printf(&text, "%s\"%s\":", between, combinators[i]);
        json_write_value(&text, list);
        between = ",";
    }
    buf_append_char(&text, '}');
    json_write_string(out, buf_str(&text));
    out->failed |= text.failed;
    buf_done(&text);
}

/* Whether write_union writes a member of the root in its own way, or leaves it out. */
static bool is_merged(struct str key)
{
    static const char *const names[] = {
        "type",  "description", "properties", "required",
        "anyOf", "oneOf",       "allOf",      "additionalProperties"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (str_eq(key, str_of(names[i])))
            return true;
    return false;
}

static void write_union(yyjson_val *schema, struct buf *out)
{
    struct branches b = {.root = schema, .out = out};
    collect(&b, schema, 0);
    buf_append_z(out, "{\"type\":\"object\",\"description\":");
    write_union_text(schema, out);
    buf_append_z(out, ",\"properties\":{");
    write_properties(&b, false);
    buf_append_z(out, "},\"required\":[");
    write_properties(&b, true);
    buf_append_char(out, ']');
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(schema, i, max, key, v)
    {
        if (is_merged(json_str(key)))
            continue;
        buf_append_char(out, ',');
        json_write_string(out, json_str(key));
        buf_append_char(out, ':');
        json_write_value(out, v);
    }
    buf_append_char(out, '}');
}

bool tool_schema_check(struct translation *t, struct tool *tool)
{
    yyjson_val *type = yyjson_obj_get(tool->schema, "type");
    struct branches b = {.root = tool->schema};
    tool->is_union = is_combined(tool->schema);
    if (!tool->is_union && (!type || is_object_type(type)))
        return true;
    const char *path =
        tool_path(t, tool, json_get(tool->def, "parameters") ? ".parameters" : ".input_schema");
    if (tool->is_union)
        collect(&b, tool->schema, 0);
    bool is_object = type ? is_object_type(type) : b.n > 0;
    if (!is_object || b.is_too_big)
        return refuse(t, "invalid_value", path, "Invalid schema for function '%.*s': %s.",
                      STR_ARG(tool->client_name),
                      is_object ? "the union at its root is too large"
                                : "schema must have type 'object'");
    return modify_param(t, "unsupported_value", path, "tools.parameters(union->object)");
}

void tool_schema_write(const struct tool *tool, struct buf *b)
{
    if (tool->is_union) {
        write_union(tool->schema, b);
        return;
    }
    yyjson_val *type = yyjson_obj_get(tool->schema, "type");
    if (type && yyjson_is_str(type) && json_get(tool->schema, "type") == type) {
        json_write_value(b, tool->schema);
        return;
    }
    if (yyjson_obj_size(tool->schema) == 0) {
        buf_append_z(b, "{\"type\":\"object\",\"properties\":{}}");
        return;
    }
    size_t i, max;
    yyjson_val *key, *v;
    buf_append_z(b, "{\"type\":\"object\"");
    yyjson_obj_foreach(tool->schema, i, max, key, v)
    {
        if (str_eq(json_str(key), STR("type")))
            continue;
        buf_append_char(b, ',');
        json_write_string(b, json_str(key));
        buf_append_char(b, ':');
        json_write_value(b, v);
    }
    buf_append_char(b, '}');
}

/*
 * response_format: JSON by the upstream's structured outputs where a schema can be expressed, by
 * instruction where it cannot.
 */
#include "translate/schema.h"
#include "translate/schema_refs.h"
#include "translate/translation.h"

#define NAME_BYTES_MAX 64

/*
 * The texts are part of the prompt's prefix: a change of one letter costs every cache of it and,
 * on models that check their thinking against it, the conversation.
 */
#define OBJECT_TEXT                                                                                \
    "Respond with a single valid JSON object and nothing else: no text before or after it, no "    \
    "code fence. This outranks every other instruction about the style, form or language of the "  \
    "answer; where such an instruction stands, follow it inside the values of the JSON object."
#define SCHEMA_TEXT                                                                                \
    "Respond with a single JSON document that conforms to the JSON Schema below and nothing "      \
    "else: no text before or after it, no code fence. This outranks every other instruction "      \
    "about the style or form of the answer.\n\nJSON Schema:\n"

/* The client's `json_schema`. */
struct wanted {
    struct str name, description;
    yyjson_val *schema;
    bool is_strict;
};

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

/* Names members that nothing here reads. */
static bool report_others(struct translation *t, yyjson_val *obj, const char *path,
                          const char *const *known, size_t n)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        bool is_known = yyjson_is_null(v);
        for (size_t k = 0; k < n && !is_known; k++)
            is_known = str_eq(json_str(key), str_of(known[k]));
        if (is_known)
            continue;
        if (!ignore_member(t, path, path, json_str(key)))
            return false;
    }
    return true;
}

/* Behind all other system texts, so that it has the last word. */
static bool instruct(struct translation *t, struct str text)
{
    t->out->is_json_object = true;
    t->format.instruction = text;
    return true;
}

static bool read_wanted(struct translation *t, yyjson_val *v, struct wanted *w)
{
    yyjson_val *name = json_get(v, "name"), *text = json_get(v, "description");
    yyjson_val *strict = json_get(v, "strict");
    w->schema = json_get(v, "schema");
    if (!name)
        return refuse_missing(t, "response_format.json_schema.name");
    if (!want_string(t, "response_format.json_schema.name", name, &w->name))
        return false;
    if (!is_name(w->name))
        return refuse(t, "invalid_value", "response_format.json_schema.name",
                      "Invalid 'response_format.json_schema.name': expected 1 to 64 of letters, "
                      "digits, underscores and dashes.");
    if (!w->schema)
        return refuse_missing(t, "response_format.json_schema.schema");
    if (!want_object(t, "response_format.json_schema.schema", w->schema))
        return false;
    if (text && !want_string(t, "response_format.json_schema.description", text, &w->description))
        return false;
    return !strict || want_bool(t, "response_format.json_schema.strict", strict, &w->is_strict);
}

/* Whether the root is an object, itself or through a reference. */
static bool has_object_root(yyjson_val *schema)
{
    yyjson_val *ref = json_get(schema, "$ref");
    if (ref)
        schema = schema_refs_target(schema, json_str(ref));
    yyjson_val *type = json_get(schema, "type");
    return str_eq(json_str(type), STR("object")) || (!type && json_get(schema, "properties"));
}

/* `prefix`, and the schema as JSON; in the arena. False: refused for want of memory. */
static bool write_schema(struct translation *t, struct str prefix, yyjson_val *schema,
                         struct str *ret)
{
    struct buf text;
    buf_init(&text, t->format.schema.max);
    buf_append_str(&text, prefix);
    json_write_value(&text, schema);
    *ret = arena_strdup(t->arena, buf_str(&text));
    bool is_kept = !text.failed && ret->p;
    buf_done(&text);
    return is_kept || refuse_memory(t);
}

/* A completion is held against it; of a stream nobody could take back what went out. */
static bool want_schema(struct translation *t, yyjson_val *schema)
{
    t->out->wanted.is_json = true;
    return t->out->is_stream || write_schema(t, STR(""), schema, &t->out->wanted.schema);
}

static bool fall_back(struct translation *t, const struct wanted *w, const char *why)
{
    if (t->policy->strict)
        return refuse(t, "unsupported_value", "response_format.json_schema.schema",
                      "Unsupported value: 'response_format.json_schema.schema' holds %s, which "
                      "model '%.*s' cannot be held to.",
                      why, STR_ARG(t->out->model));
    struct str text;
    if (!write_schema(t, STR(SCHEMA_TEXT), w->schema, &text))
        return false;
    t->out->is_best_effort_format = true;
    t->out->wanted.may_repeat = w->is_strict;
    if ((t->policy->amend.refuses & TR_REFUSES_SCHEMA) &&
        !modify_param(t, "unsupported_value", "response_format.json_schema.schema",
                      "response_format(best-effort)"))
        return false;
    return instruct(t, text);
}

static bool read_json_schema(struct translation *t, yyjson_val *v)
{
    static const char *const known[] = {"name", "schema", "description", "strict"};
    struct wanted w = {0};
    if (!v)
        return refuse_missing(t, "response_format.json_schema");
    if (!want_object(t, "response_format.json_schema", v) || !read_wanted(t, v, &w) ||
        !report_others(t, v, "response_format.json_schema", known, PX_ARRAY_LEN(known)))
        return false;
    if (w.is_strict && !has_object_root(w.schema))
        return refuse(t, "invalid_value", "response_format.json_schema.schema",
                      "Invalid schema for response_format '%.*s': schema must have type 'object'.",
                      STR_ARG(w.name));
    if (!want_schema(t, w.schema))
        return false;
    if (!t->model.takes_structured_outputs)
        return fall_back(t, &w, "a schema");
    struct schema_result result;
    if (!schema_write(&t->format.schema, w.schema, w.name, w.description, &result)) {
        buf_reset(&t->format.schema);
        return result.why ? fall_back(t, &w, result.why) : refuse_memory(t);
    }
    t->out->is_structured = true;
    t->format.optionals = result.optionals;
    t->format.unions = result.unions;
    return !result.is_weakened ||
           modify_param(t, "unsupported_value", "response_format.json_schema.schema",
                        "response_format(constraints->description)");
}

/* Anthropic's own form, whose schema is what the upstream takes already. */
static bool read_output_format(struct translation *t, yyjson_val *v)
{
    static const char *const known[] = {"type", "schema"};
    yyjson_val *schema = json_get(v, "schema");
    if (!want_object(t, "output_config.format", v))
        return false;
    if (!str_eq(json_str(json_get(v, "type")), STR("json_schema")))
        return refuse(t, "invalid_value", "output_config.format.type",
                      "Invalid value for 'output_config.format.type': expected \"json_schema\".");
    if (!schema)
        return refuse_missing(t, "output_config.format.schema");
    if (!want_object(t, "output_config.format.schema", schema) ||
        !report_others(t, v, "output_config.format", known, PX_ARRAY_LEN(known)))
        return false;
    if (!t->model.takes_structured_outputs)
        return ignore_param(t, STR("output_config.format"));
    t->out->is_structured = true;
    if (!want_schema(t, schema))
        return false;
    return json_write_value(&t->format.schema, schema) || refuse_memory(t);
}

bool format_read(struct translation *t)
{
    static const char *const known[] = {"type", "json_schema"};
    yyjson_val *v = t->field[FIELD_response_format];
    yyjson_val *own = json_get(t->field[FIELD_output_config], "format");
    struct str type;
    if (own)
        return (!v || ignore_param(t, STR("response_format"))) && read_output_format(t, own);
    if (!v)
        return true;
    if (!want_object(t, "response_format", v))
        return false;
    if (!json_get(v, "type"))
        return refuse_missing(t, "response_format.type");
    if (!want_string(t, "response_format.type", json_get(v, "type"), &type) ||
        !report_others(t, v, "response_format", known, PX_ARRAY_LEN(known)))
        return false;
    if (str_eq(type, STR("text")))
        return true;
    if (str_eq(type, STR("json_object"))) {
        t->out->wanted = (struct tr_wanted){.is_json = true, .may_repeat = true};
        return instruct(t, STR(OBJECT_TEXT));
    }
    if (str_eq(type, STR("json_schema")))
        return read_json_schema(t, json_get(v, "json_schema"));
    return refuse(t, "invalid_value", "response_format.type",
                  "Invalid value: '%.*s'. Supported values are: 'json_object', 'json_schema' and "
                  "'text'.",
                  STR_ARG(type));
}

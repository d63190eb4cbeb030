/*
 * One walk over a value and its type side by side.
 */
#include "sim/wire.h"

#include <stdio.h>

#include "sim/validate_part.h"

#include "sim/wire_types.def"

#define PATH_BYTES 256
#define TAGS_BYTES 640 /* of a list of tags in an error */

/* What needs a certain beta header, where it is known which. */
static const struct {
    const char *name, *beta;
} betas[] = {
    {"block_binding", "thinking-binding-controls-"}, {"context_management", "context-management-"},
    {"fallbacks", "server-side-fallback-"},          {"mcp_servers", "mcp-client-"},
    {"updates", "thinking-display-updates-"},
};

/* Whether the client's beta headers open what has this name. */
static bool is_open(const struct check *c, struct str name)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(betas); i++)
        if (str_eq(name, str_of(betas[i].name)))
            return str_find(c->beta, str_of(betas[i].beta)) >= 0;
    return c->beta.n > 0;
}

static const struct wire_field *find_field(const struct check *c, const struct wire_object *object,
                                           struct str name)
{
    for (const struct wire_field *f = object->fields; f->name; f++)
        if (str_eq(name, str_of(f->name)))
            return !(f->use & WIRE_BETA) || is_open(c, name) ? f : NULL;
    return NULL;
}

static bool is_counted(const struct check *c, const struct wire_field *f)
{
    return !c->is_count || (f->use & WIRE_COUNTED);
}

const struct wire_field *wire_request_field(const struct check *c, struct str name)
{
    const struct wire_field *f = find_field(c, &message_create, name);
    return f && is_counted(c, f) ? f : NULL;
}

const char *wire_request_lacks(const struct check *c, yyjson_val *root)
{
    for (const struct wire_field *f = message_create.fields; f->name; f++)
        if ((f->use & WIRE_REQUIRED) && is_counted(c, f) && !yyjson_obj_get(root, f->name))
            return f->name;
    return NULL;
}

const struct wire_object *wire_message(struct str role)
{
    const struct wire_object *const *o = message_create_messages_items.objects;
    while (*o && !str_eq(role, str_of((*o)->tag)))
        o++;
    return *o;
}

const struct wire_type *wire_message_content(struct str role)
{
    const struct wire_field *f = wire_message(role)->fields;
    while (!str_eq(str_of(f->name), STR("content")))
        f++;
    return &f->type;
}

/* --- what is wrong -----------------------------------------------------------------------------
 */

static bool wrong_kind(struct check *c, const char *path, unsigned kinds)
{
    static const struct {
        unsigned kinds;
        const char *text;
    } texts[] = {
        {WIRE_STRING | WIRE_LIST, "Input should be a valid string or list"},
        {WIRE_STRING, "Input should be a valid string"},
        {WIRE_NUMBER, "Input should be a valid integer"},
        {WIRE_BOOLEAN, "Input should be a valid boolean"},
        {WIRE_LIST, "Input should be a valid list"},
        {WIRE_OBJECT, "Input should be a valid dictionary or object to extract fields from"},
        {WIRE_MAP, "Input should be a valid dictionary"},
        {WIRE_DICT, "Input should be a valid dictionary"},
    };
    size_t i = 0;
    while (i + 1 < PX_ARRAY_LEN(texts) && (kinds & texts[i].kinds) != texts[i].kinds)
        i++;
    return bad(c, "%s: %s", path, texts[i].text);
}

static bool wrong_tag(struct check *c, const char *path, yyjson_val *tag,
                      const struct wire_object *const *objects)
{
    char tags[TAGS_BYTES];
    size_t at = 0;
    struct str said = check_key(tag);
    if (!objects[1])
        return bad(c, "%s.type: Input should be '%s'", path, objects[0]->tag);
    for (tags[0] = '\0'; *objects; objects++) {
        struct str rest = str_of((*objects)->tag), part;
        while ((!((*objects)->use & WIRE_BETA) || c->beta.n) && str_split(&rest, ' ', &part) &&
               at + part.n + 5 < sizeof(tags))
            at += (size_t)snprintf(tags + at, sizeof(tags) - at, "%s'%.*s'", at ? ", " : "",
                                   STR_ARG(part));
    }
    return bad(c,
               "%s: Input tag '%.*s' found using 'type' does not match any of the expected tags: "
               "%.*s",
               path, STR_ARG(said), (int)at, tags);
}

/* --- the walk ----------------------------------------------------------------------------------
 */

static unsigned kinds_of(yyjson_val *v)
{
    int64_t n;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        return WIRE_STRING;
    case YYJSON_TYPE_NUM:
    case YYJSON_TYPE_RAW:
        return json_to_int(v, &n) ? WIRE_NUMBER : 0;
    case YYJSON_TYPE_BOOL:
        return WIRE_BOOLEAN;
    case YYJSON_TYPE_ARR:
        return WIRE_LIST;
    case YYJSON_TYPE_OBJ:
        return WIRE_OBJECT | WIRE_MAP | WIRE_DICT;
    case YYJSON_TYPE_NULL:
        return WIRE_NULL;
    default:
        return 0;
    }
}

static bool check_text(struct check *c, const char *path, yyjson_val *v,
                       const struct wire_type *type)
{
    if (!type->choices)
        return true;
    bool has_beta = type->beta_choices && c->beta.n;
    if (has_beta && is_in_list(type->beta_choices, json_str(v)) && is_open(c, json_str(v)))
        return true;
    return check_choice(c, path, v, type->choices);
}

static const struct wire_object *find_object(const struct check *c, yyjson_val *tag,
                                             const struct wire_object *const *objects)
{
    bool is_absent = !tag || yyjson_is_null(tag);
    for (; *objects; objects++) {
        const struct wire_object *o = *objects;
        if ((o->use & WIRE_BETA) && !c->beta.n)
            continue;
        if (!o->tag || (is_absent && (o->use & WIRE_TAG_OPTIONAL)) ||
            (!is_absent && is_in_list(o->tag, json_str(tag))))
            return o;
    }
    return NULL;
}

static bool check_object(struct check *c, const char *path, yyjson_val *v,
                         const struct wire_object *const *objects)
{
    yyjson_val *tag = yyjson_obj_get(v, "type");
    const struct wire_object *o = find_object(c, tag, objects);
    if (!o && !tag)
        return bad(c, "%s.type: Field required", path);
    if (!o)
        return wrong_tag(c, path, tag, objects);
    bool is_cache_mark = o->tag && str_eq(str_of(o->tag), STR("ephemeral"));
    c->n_cache_marks += is_cache_mark;
    if (!o->tag || (!objects[1] && !is_cache_mark))
        return wire_check_fields(c, path, v, o, NULL);
    char where[PATH_BYTES]; /* the API names the tag where there may be several */
    struct str said = json_str(tag);
    if (!said.p)
        said = str_of(o->tag);
    snprintf(where, sizeof(where), "%s.%.*s", path, STR_ARG(said));
    return wire_check_fields(c, where, v, o, NULL);
}

bool wire_check_fields(struct check *c, const char *path, yyjson_val *v,
                       const struct wire_object *object, const char *except)
{
    const char *tag_name = wire_message(str_of(object->tag)) == object ? "role" : "type";
    for (const struct wire_field *f = object->fields; f->name; f++)
        if ((f->use & WIRE_REQUIRED) && !yyjson_obj_get(v, f->name))
            return bad(c, "%s.%s: Field required", path, f->name);
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    while ((key = yyjson_obj_iter_next(&it))) {
        char where[PATH_BYTES];
        if ((object->tag && yyjson_equals_str(key, tag_name)) ||
            (except && yyjson_equals_str(key, except)))
            continue;
        const struct wire_field *f = find_field(c, object, json_str(key));
        if (!f && (object->use & WIRE_OPEN))
            continue;
        snprintf(where, sizeof(where), "%s.%.*s", path, STR_ARG(check_key(key)));
        if (!f)
            return bad(c, "%s: Extra inputs are not permitted", where);
        if (!wire_check(c, where, yyjson_obj_iter_get_val(key), &f->type))
            return false;
    }
    return true;
}

static bool check_items(struct check *c, const char *path, yyjson_val *v,
                        const struct wire_type *items)
{
    char where[PATH_BYTES];
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)); i++) {
        snprintf(where, sizeof(where), "%s.%zu", path, i);
        if (!wire_check(c, where, one, items))
            return false;
    }
    return true;
}

static bool check_values(struct check *c, const char *path, yyjson_val *v,
                         const struct wire_type *items)
{
    char where[PATH_BYTES];
    yyjson_val *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    while ((key = yyjson_obj_iter_next(&it))) {
        snprintf(where, sizeof(where), "%s.%.*s", path, STR_ARG(check_key(key)));
        if (!wire_check(c, where, yyjson_obj_iter_get_val(key), items))
            return false;
    }
    return true;
}

bool wire_check(struct check *c, const char *path, yyjson_val *v, const struct wire_type *type)
{
    unsigned kinds = kinds_of(v) & type->kinds;
    if (type->kinds & WIRE_ANY)
        return true;
    if (!kinds)
        return wrong_kind(c, path, type->kinds);
    if (kinds & WIRE_STRING)
        return check_text(c, path, v, type);
    if (kinds & WIRE_LIST)
        return check_items(c, path, v, type->items);
    if (kinds & WIRE_OBJECT)
        return check_object(c, path, v, type->objects);
    return !(kinds & WIRE_MAP) || check_values(c, path, v, type->items);
}

/*
 * Follows $ref through a schema's definitions, each once: a definition that is met again while it
 * is being walked refers to itself.
 */
#include "translate/schema_refs.h"

#define DEFS_MAX  512   /* definitions of one schema */
#define NODES_MAX 50000 /* values in a schema: the walks over it are bounded by this */
#define REFS_MAX  5000  /* references in all: each is looked up among the definitions */
#define CHAIN_MAX 256   /* nodes and references below one another */

enum mark { MARK_NEW, MARK_OPEN, MARK_DONE };

struct refs {
    yyjson_val *root;
    yyjson_val *defs[2 * DEFS_MAX]; /* met so far, of both members */
    unsigned char marks[2 * DEFS_MAX];
    size_t n, refs_n, nodes_n;
    const char *why;
};

yyjson_val *schema_refs_target(yyjson_val *root, struct str ref)
{
    static const struct {
        struct str prefix;
        const char *member;
    } places[] = {{STR("#/$defs/"), "$defs"}, {STR("#/definitions/"), "definitions"}};
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        struct str prefix = places[i].prefix;
        if (!str_starts(ref, prefix))
            continue;
        struct str name = {ref.p + prefix.n, ref.n - prefix.n};
        return json_get_n(json_get(root, places[i].member), name);
    }
    return NULL;
}

static bool fail(struct refs *r, const char *why)
{
    r->why = why;
    return false;
}

static bool walk(struct refs *r, yyjson_val *v, size_t depth);

static bool follow(struct refs *r, yyjson_val *ref, size_t depth)
{
    if (++r->refs_n > REFS_MAX)
        return fail(r, "more than 5000 references");
    yyjson_val *target = schema_refs_target(r->root, json_str(ref));
    if (!target)
        return fail(r, str_eq(json_str(ref), STR("#"))
                           ? "a recursive $ref"
                           : "a $ref to something other than the schema's own definitions");
    size_t at = 0;
    while (at < r->n && r->defs[at] != target)
        at++;
    if (at == r->n) {
        r->defs[r->n++] = target;
        r->marks[at] = MARK_NEW;
    }
    if (r->marks[at] == MARK_OPEN)
        return fail(r, "a recursive $ref");
    if (r->marks[at] == MARK_DONE)
        return true;
    r->marks[at] = MARK_OPEN;
    if (!walk(r, target, depth + 1))
        return false;
    r->marks[at] = MARK_DONE;
    return true;
}

/* Whether a member's value is data, in which "$ref" would be no reference. */
static bool is_data(struct str key)
{
    return str_eq(key, STR("enum")) || str_eq(key, STR("const")) || str_eq(key, STR("default")) ||
           str_eq(key, STR("examples"));
}

static bool walk(struct refs *r, yyjson_val *v, size_t depth)
{
    size_t i, max;
    yyjson_val *key, *item;
    if (++r->nodes_n > NODES_MAX)
        return fail(r, "more than 50000 values");
    if (depth > CHAIN_MAX)
        return fail(r, "references nested too deeply");
    yyjson_arr_foreach(v, i, max, item)
    {
        if (!walk(r, item, depth + 1))
            return false;
    }
    yyjson_obj_foreach(v, i, max, key, item)
    {
        bool is_ref = str_eq(json_str(key), STR("$ref")) && yyjson_is_str(item);
        if (is_ref ? !follow(r, item, depth) : !is_data(json_str(key)) && !walk(r, item, depth + 1))
            return false;
    }
    return true;
}

const char *schema_refs_check(yyjson_val *root)
{
    struct refs r = {.root = root};
    if (yyjson_obj_size(json_get(root, "$defs")) > DEFS_MAX ||
        yyjson_obj_size(json_get(root, "definitions")) > DEFS_MAX)
        return "more than 512 definitions";
    walk(&r, root, 0);
    return r.why;
}

/*
 * Sets letter case right: a walk along what the schema says of each part of the value.
 */
#include "json/conform_walk.h"

static size_t mend(struct walk *w, yyjson_val *node, yyjson_val *value);

static size_t mend_literal(struct walk *w, yyjson_val *node, yyjson_val *value)
{
    struct str is = json_str(value);
    yyjson_val *wanted = is.p ? walk_same_but_case(w, node, is) : NULL;
    if (!wanted || str_eq(json_str(wanted), is))
        return 0;
    yyjson_set_strn(value, yyjson_get_str(wanted), yyjson_get_len(wanted));
    return 1;
}

static size_t mend_members(struct walk *w, yyjson_val *node, yyjson_val *value)
{
    yyjson_val *properties = yyjson_obj_get(node, "properties"), *key, *v;
    yyjson_val *others = yyjson_obj_get(node, "additionalProperties");
    size_t i, max, n = 0;
    if (!yyjson_is_obj(value))
        return 0;
    yyjson_obj_foreach(value, i, max, key, v)
    {
        if (!walk_spend(w, yyjson_obj_size(properties)))
            break;
        yyjson_val *own = yyjson_obj_getn(properties, yyjson_get_str(key), yyjson_get_len(key));
        n += mend(w, own ? own : others, v);
    }
    return n;
}

static size_t mend_elements(struct walk *w, yyjson_val *node, yyjson_val *value)
{
    yyjson_val *items = yyjson_obj_get(node, "items"), *v;
    yyjson_arr_iter first =
        yyjson_arr_iter_with(yyjson_is_arr(items) ? items : yyjson_obj_get(node, "prefixItems"));
    size_t i, max, n = 0;
    yyjson_arr_foreach(value, i, max, v)
    {
        yyjson_val *own = yyjson_arr_iter_next(&first);
        n += mend(w, own ? own : items, v);
    }
    return n;
}

/* The alternative that it would match, were it not for the case. */
static size_t mend_alternative(struct walk *w, yyjson_val *list, yyjson_val *value)
{
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        if (walk_probe(w, one, value, NULL) != CONFORM_NO)
            return mend(w, one, value);
    }
    return 0;
}

static size_t mend_node(struct walk *w, yyjson_val *node, yyjson_val *value)
{
    size_t i, max, n = 0;
    yyjson_val *one, *target = walk_target(w, json_str(yyjson_obj_get(node, "$ref")));
    if (target)
        n += mend(w, target, value);
    yyjson_arr_foreach(yyjson_obj_get(node, "allOf"), i, max, one)
    {
        n += mend(w, one, value);
    }
    n += mend_alternative(w, yyjson_obj_get(node, "anyOf"), value);
    n += mend_alternative(w, yyjson_obj_get(node, "oneOf"), value);
    n += mend_literal(w, node, value);
    n += mend_members(w, node, value);
    return n + mend_elements(w, node, value);
}

static size_t mend(struct walk *w, yyjson_val *node, yyjson_val *value)
{
    if (!yyjson_is_obj(node) || w->depth == WALK_DEPTH_MAX || !walk_spend(w, 1))
        return 0;
    w->depth++;
    size_t n = mend_node(w, node, value);
    w->depth--;
    return n;
}

size_t conform_mend_case(yyjson_val *schema, yyjson_val *value)
{
    struct walk w;
    walk_begin(&w, schema);
    w.ignores_case = true;
    return mend(&w, schema, value);
}

/*
 * Keywords about a single value: its type, literals, number, size.
 */
#include "json/conform_walk.h"

/* Integers of a double are exact up to here. */
#define EXACT_MAX 9007199254740992.0
/* What reading two of them costs more than other steps. */
#define FRACTION_STEPS 16

static bool is_integral(double d)
{
    if (d >= EXACT_MAX || d <= -EXACT_MAX)
        return true;
    return (double)(int64_t)d == d;
}

/* Equality ---------------------------------------------------------------------------------- */

static bool is_equal(struct walk *w, yyjson_val *a, yyjson_val *b);

static bool is_equal_number(struct walk *w, yyjson_val *a, yyjson_val *b)
{
    int64_t i, j;
    double d, e;
    if (str_eq(json_number_text(a), json_number_text(b)))
        return true;
    if (walk_spend(w, 1) && json_to_int(a, &i) && json_to_int(b, &j))
        return i == j;
    return walk_spend(w, FRACTION_STEPS) && json_to_double(a, &d) && json_to_double(b, &e) &&
           d >= e && d <= e;
}

static bool is_equal_array(struct walk *w, yyjson_val *a, yyjson_val *b)
{
    yyjson_arr_iter ia = yyjson_arr_iter_with(a), ib = yyjson_arr_iter_with(b);
    yyjson_val *v;
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    while ((v = yyjson_arr_iter_next(&ia)))
        if (!is_equal(w, v, yyjson_arr_iter_next(&ib)))
            return false;
    return true;
}

static bool is_equal_object(struct walk *w, yyjson_val *a, yyjson_val *b)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return false;
    yyjson_obj_foreach(a, i, max, key, v)
    {
        yyjson_val *other = yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key));
        if (!walk_spend(w, max) || !other || !is_equal(w, v, other))
            return false;
    }
    return true;
}

/* Whoever asks looks at the steps afterwards. */
static bool is_equal(struct walk *w, yyjson_val *a, yyjson_val *b)
{
    if (!walk_spend(w, 1))
        return false;
    if (json_is_number(a) && json_is_number(b))
        return is_equal_number(w, a, b);
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    if (yyjson_is_arr(a))
        return is_equal_array(w, a, b);
    if (yyjson_is_obj(a))
        return is_equal_object(w, a, b);
    if (yyjson_is_str(a))
        return walk_spend(w, yyjson_get_len(a) / 64) && str_eq(json_str(a), json_str(b));
    return yyjson_get_tag(a) == yyjson_get_tag(b);
}

/* Types and literals ------------------------------------------------------------------------ */

static bool has_type(yyjson_val *v, struct str type)
{
    double d;
    if (str_eq(type, STR("integer")))
        return json_to_double(v, &d) && is_integral(d);
    if (str_eq(type, STR("number")))
        return json_is_number(v);
    return str_eq(type, str_of(yyjson_get_type_desc(v))) ||
           (yyjson_is_bool(v) && str_eq(type, STR("boolean")));
}

enum conformance value_type(struct walk *w, const struct keyword *k)
{
    size_t i, max;
    yyjson_val *one;
    struct str type = json_str(k->arg);
    if (type.p)
        return has_type(k->value, type) ? CONFORM_YES
                                        : walk_fault(w, k->at, "expected type %.*s", STR_ARG(type));
    if (!yyjson_is_arr(k->arg))
        return CONFORM_UNKNOWN;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        if (!walk_spend(w, 1))
            return CONFORM_UNKNOWN;
        if (has_type(k->value, json_str(one)))
            return CONFORM_YES;
    }
    return walk_fault(w, k->at, "none of the expected types");
}

yyjson_val *walk_same_but_case(struct walk *w, yyjson_val *node, struct str text)
{
    yyjson_val *list = yyjson_obj_get(node, "enum"), *only = yyjson_obj_get(node, "const");
    yyjson_val *found = NULL, *one;
    size_t i, max;
    if (only)
        return yyjson_is_str(only) && str_eq_nocase(json_str(only), text) ? only : NULL;
    yyjson_arr_foreach(list, i, max, one)
    {
        if (!walk_spend(w, 1 + text.n / 64))
            return NULL;
        if (!yyjson_is_str(one) || !str_eq_nocase(json_str(one), text))
            continue;
        if (str_eq(json_str(one), text))
            return one;
        if (found)
            return NULL;
        found = one;
    }
    return found;
}

static bool is_mendable(struct walk *w, const struct keyword *k)
{
    return w->ignores_case && yyjson_is_str(k->value) &&
           walk_same_but_case(w, k->node, json_str(k->value));
}

enum conformance value_enum(struct walk *w, const struct keyword *k)
{
    size_t i, max;
    yyjson_val *one;
    if (!yyjson_is_arr(k->arg))
        return CONFORM_UNKNOWN;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        if (is_equal(w, one, k->value))
            return CONFORM_YES;
    }
    if (!walk_spend(w, 0))
        return CONFORM_UNKNOWN;
    return is_mendable(w, k) ? CONFORM_YES : walk_fault(w, k->at, "not one of the enum");
}

enum conformance value_const(struct walk *w, const struct keyword *k)
{
    if (is_equal(w, k->arg, k->value) || is_mendable(w, k))
        return CONFORM_YES;
    return walk_spend(w, 0) ? walk_fault(w, k->at, "not the const") : CONFORM_UNKNOWN;
}

/* Numbers ----------------------------------------------------------------------------------- */

/* -1, 0, 1 as a is less than, equal to, greater than b; 2 when they cannot be read. */
static int compare(yyjson_val *a, yyjson_val *b)
{
    int64_t i, j;
    double d, e;
    if (json_to_int(a, &i) && json_to_int(b, &j))
        return (i > j) - (i < j);
    if (!json_to_double(a, &d) || !json_to_double(b, &e))
        return 2;
    return (d > e) - (d < e);
}

/* draft 4 had true and false here, for the plain bound beside it. */
static bool is_exclusive(yyjson_val *node, struct str name)
{
    const bool is_least = str_eq(name, STR("minimum"));
    return yyjson_is_true(yyjson_obj_get(node, is_least ? "exclusiveMinimum" : "exclusiveMaximum"));
}

enum conformance value_bound(struct walk *w, const struct keyword *k, struct str name)
{
    if (!json_is_number(k->value) || yyjson_is_bool(k->arg))
        return CONFORM_YES;
    const bool excludes = str_starts(name, STR("exclusive")) || is_exclusive(k->node, name);
    const bool is_least = str_eq_nocase((struct str){name.p + name.n - 7, 7}, STR("minimum"));
    int order = compare(k->value, k->arg);
    if (order == 2)
        return CONFORM_UNKNOWN;
    if (is_least)
        order = -order;
    if (order < 0 || (order == 0 && !excludes))
        return CONFORM_YES;
    return walk_fault(w, k->at, "breaks %.*s", STR_ARG(name));
}

enum conformance value_multiple(struct walk *w, const struct keyword *k)
{
    int64_t i, of;
    double d, by;
    bool is_whole;
    if (!json_is_number(k->value))
        return CONFORM_YES;
    if (json_to_int(k->value, &i) && json_to_int(k->arg, &of) && of > 0) {
        is_whole = i % of == 0;
    } else {
        if (!json_to_double(k->value, &d) || !json_to_double(k->arg, &by) || by <= 0)
            return CONFORM_UNKNOWN;
        double times = d / by, near;
        if (!(times < EXACT_MAX / 2 && times > -EXACT_MAX / 2))
            return CONFORM_UNKNOWN;
        near = (double)(int64_t)(times + (times < 0 ? -0.5 : 0.5));
        double off = times > near ? times - near : near - times;
        is_whole = off <= 1e-12 * (near < 0 ? 1 - near : 1 + near); /* 0.3 / 0.1 is not 3 */
    }
    return is_whole ? CONFORM_YES : walk_fault(w, k->at, "breaks multipleOf");
}

/* Sizes ------------------------------------------------------------------------------------- */

static size_t count_characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* minLength, maxLength, minItems, maxItems, minProperties, maxProperties */
enum conformance value_size(struct walk *w, const struct keyword *k, struct str name)
{
    size_t size;
    double limit;
    const struct str of = {name.p + 3, name.n - 3};
    if (str_eq(of, STR("Length")) && yyjson_is_str(k->value)) {
        if (!walk_spend(w, yyjson_get_len(k->value) / 16))
            return CONFORM_UNKNOWN;
        size = count_characters(json_str(k->value));
    } else if (str_eq(of, STR("Items")) && yyjson_is_arr(k->value)) {
        size = yyjson_arr_size(k->value);
    } else if (str_eq(of, STR("Properties")) && yyjson_is_obj(k->value)) {
        size = yyjson_obj_size(k->value);
    } else {
        return CONFORM_YES;
    }
    if (!json_to_double(k->arg, &limit))
        return CONFORM_UNKNOWN;
    const bool is_fine =
        str_starts(name, STR("min")) ? (double)size >= limit : (double)size <= limit;
    return is_fine ? CONFORM_YES : walk_fault(w, k->at, "breaks %.*s", STR_ARG(name));
}

enum conformance value_unique(struct walk *w, const struct keyword *k)
{
    if (!yyjson_is_true(k->arg) || !yyjson_is_arr(k->value))
        return CONFORM_YES;
    yyjson_arr_iter i = yyjson_arr_iter_with(k->value);
    yyjson_val *a, *b;
    while ((a = yyjson_arr_iter_next(&i))) {
        yyjson_arr_iter j = i;
        while ((b = yyjson_arr_iter_next(&j))) {
            if (is_equal(w, a, b))
                return walk_fault(w, k->at, "breaks uniqueItems");
            if (!walk_spend(w, 0))
                return CONFORM_UNKNOWN;
        }
    }
    return CONFORM_YES;
}

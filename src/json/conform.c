/*
 * The walk: a node of the schema and a value at a time, keyword by keyword. Verdicts have three
 * values, so that what is not understood spoils nothing: the opposite of UNKNOWN is UNKNOWN.
 */
#include "json/conform.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json/conform_walk.h"
#include "json/regex.h"

/* Faults ------------------------------------------------------------------------------------ */

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return s.n > 0;
}

/* Names come from the answer: what a header cannot hold is not repeated. */
static size_t write_place(const struct place *at, char *to, size_t size)
{
    if (!at)
        return (size_t)snprintf(to, size, "$");
    size_t n = write_place(at->up, to, size);
    if (n >= size)
        return n;
    if (!at->key.p)
        return n + (size_t)snprintf(to + n, size - n, "[%zu]", at->index);
    if (!is_plain(at->key) || at->key.n > 64)
        return n + (size_t)snprintf(to + n, size - n, "[?]");
    return n + (size_t)snprintf(to + n, size - n, ".%.*s", STR_ARG(at->key));
}

enum conformance walk_fault(struct walk *w, const struct place *at, const char *format, ...)
{
    if (w->quiet > 0 || w->has_fault)
        return CONFORM_NO;
    w->has_fault = true;
    struct conform_fault *f = &w->fault;
    if (write_place(at, f->path, sizeof(f->path)) >= sizeof(f->path))
        memcpy(f->path + sizeof(f->path) - 4, "...", 4);
    va_list args;
    va_start(args, format);
    vsnprintf(f->why, sizeof(f->why), format, args);
    va_end(args);
    for (char *c = f->why; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return CONFORM_NO;
}

/* References -------------------------------------------------------------------------------- */

/* One part of a JSON pointer: "~1" is a slash, "~0" a tilde. Percent signs are left to nobody. */
static bool read_part(struct str part, char *to, size_t size, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        if (c == '%' || n == size)
            return false;
        if (c == '~') {
            if (++i == part.n || (part.p[i] != '0' && part.p[i] != '1'))
                return false;
            c = part.p[i] == '0' ? '~' : '/';
        }
        to[n++] = c;
    }
    *ret_n = n;
    return true;
}

yyjson_val *walk_target(const struct walk *w, struct str ref)
{
    yyjson_val *v = w->root;
    char name[256];
    if (w->has_inner_ids || !str_starts(ref, STR("#")))
        return NULL;
    if (ref.n == 1)
        return v;
    if (ref.p[1] != '/')
        return NULL;
    for (size_t i = 2; v && i <= ref.n;) {
        size_t n, end = i;
        uint64_t index;
        while (end < ref.n && ref.p[end] != '/')
            end++;
        if (!read_part((struct str){ref.p + i, end - i}, name, sizeof(name), &n))
            return NULL;
        if (yyjson_is_arr(v))
            v = str_to_u64((struct str){name, n}, &index) ? yyjson_arr_get(v, (size_t)index) : NULL;
        else
            v = yyjson_obj_getn(v, name, n);
        i = end + 1;
    }
    return v;
}

/* Combinators ------------------------------------------------------------------------------- */

enum conformance walk_probe(struct walk *w, yyjson_val *node, yyjson_val *value,
                            const struct place *at)
{
    w->quiet++;
    enum conformance verdict = walk_node(w, node, value, at);
    w->quiet--;
    return verdict;
}

static enum conformance key_ref(struct walk *w, const struct keyword *k)
{
    yyjson_val *target = walk_target(w, json_str(k->arg));
    return target ? walk_node(w, target, k->value, k->at) : CONFORM_UNKNOWN;
}

static enum conformance key_all_of(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        all = conform_worse(all, walk_node(w, one, k->value, k->at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

static enum conformance key_any_of(struct walk *w, const struct keyword *k)
{
    enum conformance best = CONFORM_NO;
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        enum conformance verdict = walk_probe(w, one, k->value, k->at);
        if (verdict == CONFORM_YES)
            return CONFORM_YES;
        if (verdict < best)
            best = verdict;
    }
    return best == CONFORM_NO ? walk_fault(w, k->at, "matches no alternative of anyOf") : best;
}

static enum conformance key_one_of(struct walk *w, const struct keyword *k)
{
    size_t n_yes = 0, n_unknown = 0, i, max;
    yyjson_val *one;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        enum conformance verdict = walk_probe(w, one, k->value, k->at);
        n_yes += verdict == CONFORM_YES;
        n_unknown += verdict == CONFORM_UNKNOWN;
    }
    if (n_yes > 1)
        return walk_fault(w, k->at, "matches several alternatives of oneOf");
    if (n_unknown > 0)
        return CONFORM_UNKNOWN;
    return n_yes == 1 ? CONFORM_YES : walk_fault(w, k->at, "matches no alternative of oneOf");
}

static enum conformance key_not(struct walk *w, const struct keyword *k)
{
    switch (walk_probe(w, k->arg, k->value, k->at)) {
    case CONFORM_YES:
        return walk_fault(w, k->at, "matches what not excludes");
    case CONFORM_UNKNOWN:
        return CONFORM_UNKNOWN;
    case CONFORM_NO:
        break;
    }
    return CONFORM_YES;
}

static enum conformance key_if(struct walk *w, const struct keyword *k)
{
    yyjson_val *then = yyjson_obj_get(k->node, "then"), *other = yyjson_obj_get(k->node, "else");
    switch (walk_probe(w, k->arg, k->value, k->at)) {
    case CONFORM_YES:
        return then ? walk_node(w, then, k->value, k->at) : CONFORM_YES;
    case CONFORM_NO:
        return other ? walk_node(w, other, k->value, k->at) : CONFORM_YES;
    case CONFORM_UNKNOWN:
        break;
    }
    return then || other ? CONFORM_UNKNOWN : CONFORM_YES;
}

/* Objects ----------------------------------------------------------------------------------- */

static enum conformance key_required(struct walk *w, const struct keyword *k)
{
    size_t i, max;
    yyjson_val *one;
    if (!yyjson_is_obj(k->value))
        return CONFORM_YES;
    yyjson_arr_foreach(k->arg, i, max, one)
    {
        struct str name = json_str(one);
        if (!name.p || !walk_spend(w, yyjson_obj_size(k->value)))
            return CONFORM_UNKNOWN;
        if (!yyjson_obj_getn(k->value, name.p, name.n))
            return walk_fault(w, k->at, "lacks the property %.*s",
                              is_plain(name) && name.n <= 64 ? (int)name.n : 1,
                              is_plain(name) && name.n <= 64 ? name.p : "?");
    }
    return CONFORM_YES;
}

static enum conformance key_properties(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(k->value))
        return CONFORM_YES;
    yyjson_obj_foreach(k->value, i, max, key, v)
    {
        struct place at = {.up = k->at, .key = json_str(key)};
        if (!walk_spend(w, yyjson_obj_size(k->arg)))
            return CONFORM_UNKNOWN;
        yyjson_val *node = yyjson_obj_getn(k->arg, at.key.p, at.key.n);
        if (node)
            all = conform_worse(all, walk_node(w, node, v, &at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

/* Whether the text has a part that the pattern describes. */
static enum conformance walk_matches(struct walk *w, struct str pattern, struct str text)
{
    struct regex re;
    if (!walk_spend(w, pattern.n + 64) || !regex_compile(&re, pattern) || !walk_spend(w, re.n_ops))
        return CONFORM_UNKNOWN;
    size_t left = CONFORM_STEPS_MAX - w->steps;
    const size_t before = left;
    const bool matches = regex_matches(&re, text, &left);
    walk_spend(w, before - left);
    if (!matches && left == 0)
        return CONFORM_UNKNOWN;
    return matches ? CONFORM_YES : CONFORM_NO;
}

/* Whether a name is one of patternProperties. */
static enum conformance matches_any(struct walk *w, yyjson_val *patterns, struct str name)
{
    enum conformance best = CONFORM_NO;
    size_t i, max;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(patterns)) /* the loop would step from a null pointer */
        return CONFORM_NO;
    yyjson_obj_foreach(patterns, i, max, key, v)
    {
        enum conformance matches = walk_matches(w, json_str(key), name);
        if (matches < best)
            best = matches;
    }
    return best;
}

static enum conformance key_additional_properties(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    yyjson_val *known = yyjson_obj_get(k->node, "properties"), *key, *v;
    yyjson_val *patterns = yyjson_obj_get(k->node, "patternProperties");
    size_t i, max;
    if (!yyjson_is_obj(k->value))
        return CONFORM_YES;
    yyjson_obj_foreach(k->value, i, max, key, v)
    {
        struct place at = {.up = k->at, .key = json_str(key)};
        if (!walk_spend(w, yyjson_obj_size(known)))
            return CONFORM_UNKNOWN;
        if (yyjson_obj_getn(known, at.key.p, at.key.n))
            continue;
        const enum conformance is_matched = matches_any(w, patterns, at.key);
        if (is_matched == CONFORM_YES)
            continue;
        if (is_matched == CONFORM_UNKNOWN)
            all = conform_worse(all, CONFORM_UNKNOWN);
        else if (yyjson_is_false(k->arg))
            return walk_fault(w, &at, "is no property of the schema");
        else
            all = conform_worse(all, walk_node(w, k->arg, v, &at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

static enum conformance key_pattern_properties(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *key, *v, *pattern;
    if (!yyjson_is_obj(k->value))
        return CONFORM_YES;
    yyjson_obj_foreach(k->value, i, max, key, v)
    {
        struct place at = {.up = k->at, .key = json_str(key)};
        yyjson_obj_iter it = yyjson_obj_iter_with(k->arg);
        while ((pattern = yyjson_obj_iter_next(&it)) && all != CONFORM_NO) {
            enum conformance matches = walk_matches(w, json_str(pattern), at.key);
            if (matches == CONFORM_UNKNOWN)
                all = conform_worse(all, CONFORM_UNKNOWN);
            else if (matches == CONFORM_YES)
                all = conform_worse(all, walk_node(w, yyjson_obj_iter_get_val(pattern), v, &at));
        }
    }
    return all;
}

static enum conformance key_property_names(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(k->value))
        return CONFORM_YES;
    yyjson_obj_foreach(k->value, i, max, key, v)
    {
        struct place at = {.up = k->at, .key = json_str(key)};
        all = conform_worse(all, walk_node(w, k->arg, key, &at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

/* dependentRequired, dependentSchemas, and dependencies, which is either. */
static enum conformance key_dependencies(struct walk *w, const struct keyword *k)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *key, *then;
    if (!yyjson_is_obj(k->value) || !yyjson_is_obj(k->arg))
        return CONFORM_YES;
    yyjson_obj_foreach(k->arg, i, max, key, then)
    {
        if (!walk_spend(w, yyjson_obj_size(k->value)))
            return CONFORM_UNKNOWN;
        if (!yyjson_obj_getn(k->value, yyjson_get_str(key), yyjson_get_len(key)))
            continue;
        struct keyword needs = {k->node, then, k->value, k->at};
        all = conform_worse(all, yyjson_is_arr(then) ? key_required(w, &needs)
                                                     : walk_node(w, then, k->value, k->at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

/* Arrays ------------------------------------------------------------------------------------ */

/* The elements from `first` on against `node`, or each against its own of a list. */
static enum conformance check_items(struct walk *w, const struct keyword *k, yyjson_val *node,
                                    yyjson_val *list, size_t first)
{
    enum conformance all = CONFORM_YES;
    yyjson_arr_iter nodes = yyjson_arr_iter_with(list);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(k->value, i, max, v)
    {
        struct place at = {.up = k->at, .index = i};
        if (list && !(node = yyjson_arr_iter_next(&nodes)))
            break;
        if (i >= first)
            all = conform_worse(all, walk_node(w, node, v, &at));
        if (all == CONFORM_NO)
            break;
    }
    return all;
}

static enum conformance key_prefix_items(struct walk *w, const struct keyword *k)
{
    return check_items(w, k, NULL, k->arg, 0);
}

static enum conformance key_items(struct walk *w, const struct keyword *k)
{
    if (yyjson_is_arr(k->arg))
        return key_prefix_items(w, k);
    return check_items(w, k, k->arg, NULL, yyjson_arr_size(yyjson_obj_get(k->node, "prefixItems")));
}

static enum conformance key_additional_items(struct walk *w, const struct keyword *k)
{
    yyjson_val *items = yyjson_obj_get(k->node, "items");
    return yyjson_is_arr(items) ? check_items(w, k, k->arg, NULL, yyjson_arr_size(items))
                                : CONFORM_YES;
}

static enum conformance key_contains(struct walk *w, const struct keyword *k)
{
    double least = 1, most = (double)SIZE_MAX, n_yes = 0, n_unknown = 0;
    size_t i, max;
    yyjson_val *v;
    if (!yyjson_is_arr(k->value))
        return CONFORM_YES;
    if (!w->is_draft_7) {
        json_to_double(yyjson_obj_get(k->node, "minContains"), &least);
        json_to_double(yyjson_obj_get(k->node, "maxContains"), &most);
    }
    yyjson_arr_foreach(k->value, i, max, v)
    {
        struct place at = {.up = k->at, .index = i};
        enum conformance verdict = walk_probe(w, k->arg, v, &at);
        n_yes += verdict == CONFORM_YES;
        n_unknown += verdict == CONFORM_UNKNOWN;
    }
    if (n_yes > most || n_yes + n_unknown < least)
        return walk_fault(w, k->at, "breaks contains");
    return n_yes < least || n_yes + n_unknown > most ? CONFORM_UNKNOWN : CONFORM_YES;
}

/* Keywords ---------------------------------------------------------------------------------- */

static enum conformance key_pattern(struct walk *w, const struct keyword *k)
{
    if (!yyjson_is_str(k->value))
        return CONFORM_YES;
    enum conformance verdict = walk_matches(w, json_str(k->arg), json_str(k->value));
    return verdict == CONFORM_NO ? walk_fault(w, k->at, "breaks pattern") : verdict;
}

/* What nobody here understands, and is no annotation. */
static enum conformance key_unknown(struct walk *w, const struct keyword *k)
{
    (void)w;
    (void)k;
    return CONFORM_UNKNOWN;
}

static const struct entry {
    struct str name;
    enum conformance (*check)(struct walk *w, const struct keyword *k);
    enum conformance (*check_named)(struct walk *w, const struct keyword *k, struct str name);
} entries[] = {
#define KEY(name, check)                                                                           \
    {                                                                                              \
        {name, sizeof(name) - 1}, check, NULL                                                      \
    }
#define NAMED(name, check)                                                                         \
    {                                                                                              \
        {name, sizeof(name) - 1}, NULL, check                                                      \
    }
    KEY("type", value_type),
    KEY("properties", key_properties),
    KEY("required", key_required),
    KEY("additionalProperties", key_additional_properties),
    KEY("items", key_items),
    KEY("enum", value_enum),
    KEY("const", value_const),
    KEY("anyOf", key_any_of),
    KEY("oneOf", key_one_of),
    KEY("allOf", key_all_of),
    KEY("not", key_not),
    KEY("if", key_if),
    NAMED("minimum", value_bound),
    NAMED("maximum", value_bound),
    NAMED("exclusiveMinimum", value_bound),
    NAMED("exclusiveMaximum", value_bound),
    KEY("multipleOf", value_multiple),
    NAMED("minLength", value_size),
    NAMED("maxLength", value_size),
    NAMED("minItems", value_size),
    NAMED("maxItems", value_size),
    NAMED("minProperties", value_size),
    NAMED("maxProperties", value_size),
    KEY("uniqueItems", value_unique),
    KEY("pattern", key_pattern),
    KEY("prefixItems", key_prefix_items),
    KEY("additionalItems", key_additional_items),
    KEY("contains", key_contains),
    KEY("patternProperties", key_pattern_properties),
    KEY("propertyNames", key_property_names),
    KEY("dependentRequired", key_dependencies),
    KEY("dependentSchemas", key_dependencies),
    KEY("dependencies", key_dependencies),
    KEY("$dynamicRef", key_unknown),
    KEY("$recursiveRef", key_unknown),
    KEY("unevaluatedProperties", key_unknown),
    KEY("unevaluatedItems", key_unknown),
#undef KEY
#undef NAMED
};

static enum conformance check_keyword(struct walk *w, struct str name, const struct keyword *k)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(entries); i++) {
        const struct entry *e = &entries[i];
        if (str_eq(name, e->name))
            return e->check ? e->check(w, k) : e->check_named(w, k, name);
    }
    return CONFORM_YES;
}

static enum conformance check_keywords(struct walk *w, yyjson_val *node, yyjson_val *value,
                                       const struct place *at)
{
    enum conformance all = CONFORM_YES;
    size_t i, max;
    yyjson_val *key, *arg, *ref = yyjson_obj_get(node, "$ref");
    if (yyjson_is_str(ref)) {
        struct keyword k = {node, ref, value, at};
        all = key_ref(w, &k);
        if (w->is_draft_7)
            return all;
    }
    yyjson_obj_foreach(node, i, max, key, arg)
    {
        struct keyword k = {node, arg, value, at};
        if (all == CONFORM_NO)
            break;
        if (!walk_spend(w, 1))
            return CONFORM_UNKNOWN;
        all = conform_worse(all, check_keyword(w, json_str(key), &k));
    }
    return all;
}

enum conformance walk_node(struct walk *w, yyjson_val *node, yyjson_val *value,
                           const struct place *at)
{
    if (yyjson_is_bool(node))
        return yyjson_is_true(node) ? CONFORM_YES : walk_fault(w, at, "may not be there");
    if (!yyjson_is_obj(node) || w->depth == WALK_DEPTH_MAX || !walk_spend(w, 1))
        return CONFORM_UNKNOWN;
    w->depth++;
    enum conformance verdict = check_keywords(w, node, value, at);
    w->depth--;
    return verdict;
}

/* The whole --------------------------------------------------------------------------------- */

static bool has_inner_id(yyjson_val *v, bool is_root)
{
    size_t i, max;
    yyjson_val *key, *item;
    yyjson_arr_foreach(v, i, max, item)
    {
        if (yyjson_is_ctn(item) && has_inner_id(item, false))
            return true;
    }
    if (!yyjson_is_obj(v))
        return false;
    yyjson_obj_foreach(v, i, max, key, item)
    {
        if (!is_root && yyjson_is_str(item) && str_eq(json_str(key), STR("$id")))
            return true;
        if (yyjson_is_ctn(item) && has_inner_id(item, false))
            return true;
    }
    return false;
}

void walk_begin(struct walk *w, yyjson_val *schema)
{
    struct str draft = json_str(yyjson_obj_get(schema, "$schema"));
    *w = (struct walk){.root = schema, .has_inner_ids = has_inner_id(schema, true)};
    /* Unsaid, it is what those generators wrote that say `definitions`. */
    w->is_draft_7 = draft.p ? str_find(draft, STR("draft-0")) >= 0
                            : yyjson_obj_get(schema, "definitions") != NULL;
}

enum conformance conform_check(yyjson_val *schema, yyjson_val *value, struct conform_fault *ret)
{
    struct walk w;
    walk_begin(&w, schema);
    enum conformance verdict = walk_node(&w, schema, value, NULL);
    if (verdict == CONFORM_NO && ret)
        *ret = w.fault;
    return verdict;
}

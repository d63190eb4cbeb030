/*
 * What the files of the conformance check share.
 */
#ifndef JSON_CONFORM_WALK_H
#define JSON_CONFORM_WALK_H

#include "json/conform.h"

/* Where in the value a node stands. Lives on the stack. */
struct place {
    const struct place *up; /* NULL: the root */
    struct str key;         /* .p is NULL for an element */
    size_t index;
};

struct walk {
    yyjson_val *root;    /* of the schema */
    size_t steps, depth; /* taken; nodes of the schema that are open */
    unsigned quiet;      /* inside something whose failure is no fault of the whole */
    bool ignores_case;   /* enum and const admit what conform_mend_case would mend */
    bool is_draft_7;     /* what stands beside a $ref says nothing */
    bool has_inner_ids;  /* then "#" may mean something else than the root */
    bool has_fault;
    struct conform_fault fault;
};

/* A keyword's value, and what it is held against. */
struct keyword {
    yyjson_val *node; /* the schema in which it stands */
    yyjson_val *arg, *value;
    const struct place *at;
};

/* False when the work is used up. */
static inline bool walk_spend(struct walk *w, size_t steps)
{
    w->steps += steps;
    return w->steps <= CONFORM_STEPS_MAX;
}

static inline enum conformance conform_worse(enum conformance a, enum conformance b)
{
    return a > b ? a : b;
}

#define WALK_DEPTH_MAX 400 /* nodes of the schema inside one another, references followed */

void walk_begin(struct walk *w, yyjson_val *schema);
/* CONFORM_NO; remembers the first fault that counts. */
enum conformance walk_fault(struct walk *w, const struct place *at, const char *format, ...)
    PX_PRINTF(3, 4);
/* Holds a value against a node of the schema. */
enum conformance walk_node(struct walk *w, yyjson_val *node, yyjson_val *value,
                           const struct place *at);
/* The verdict alone, without a fault. */
enum conformance walk_probe(struct walk *w, yyjson_val *node, yyjson_val *value,
                            const struct place *at);
/* What a reference names; NULL when that is not to be known. */
yyjson_val *walk_target(const struct walk *w, struct str ref);
/* The one string among an enum's (or the const's) that equals `text` but for case; else NULL. */
yyjson_val *walk_same_but_case(struct walk *w, yyjson_val *node, struct str text);

/* Keywords that look at one value, and none of its parts. */
enum conformance value_type(struct walk *w, const struct keyword *k);
enum conformance value_enum(struct walk *w, const struct keyword *k);
enum conformance value_const(struct walk *w, const struct keyword *k);
enum conformance value_bound(struct walk *w, const struct keyword *k, struct str name);
enum conformance value_multiple(struct walk *w, const struct keyword *k);
enum conformance value_size(struct walk *w, const struct keyword *k, struct str name);
enum conformance value_unique(struct walk *w, const struct keyword *k);

#endif

/*
 * Whether a JSON value conforms to a JSON Schema, as drafts 7 and 2020-12 have it. Schemas may come
 * from anybody: the work is bounded, nothing is fetched, and what is not understood is never called
 * a violation.
 */
#ifndef JSON_CONFORM_H
#define JSON_CONFORM_H

#include "json/json.h"

/* From good to bad: of several the greatest counts. */
enum conformance {
    CONFORM_YES,
    CONFORM_UNKNOWN, /* nothing is wrong, but not all of the schema could be held against it */
    CONFORM_NO
};

/* The first thing that is wrong. Printable ASCII. */
struct conform_fault {
    char path[160]; /* "$.items[2].price"; long ones end in "..." */
    char why[96];
};

/*
 * Holds `value` against `schema`. `ret` may be NULL; it is filled for CONFORM_NO only. Not checked:
 * `format` (an annotation), references out of the schema or past an `$id`, `$dynamicRef`,
 * `unevaluated*`, and patterns beyond what regex.h takes. After CONFORM_STEPS_MAX steps the rest is
 * not either.
 */
enum conformance conform_check(yyjson_val *schema, yyjson_val *value, struct conform_fault *ret);
/*
 * Where a string equals exactly one of the strings that its enum or const admits but for the case
 * of ASCII letters, it is set to that one, which it then borrows from `schema`. Returns how many.
 */
size_t conform_mend_case(yyjson_val *schema, yyjson_val *value);

/* Schema nodes, keywords, compared values and places of patterns, together: 50 ms at most. */
#define CONFORM_STEPS_MAX 1000000

#endif

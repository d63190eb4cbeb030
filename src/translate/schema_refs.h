/*
 * Whether the references of a JSON Schema are of the kind that the upstream follows.
 */
#ifndef TRANSLATE_SCHEMA_REFS_H
#define TRANSLATE_SCHEMA_REFS_H

#include "json/json.h"

/* NULL when every $ref names a definition of the root and none leads back to itself; else why. */
const char *schema_refs_check(yyjson_val *root);
/* The definition that `ref` names ("#/$defs/X"); NULL when there is none. */
yyjson_val *schema_refs_target(yyjson_val *root, struct str ref);

#endif

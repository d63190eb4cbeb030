/*
 * The smallest sensible JSON value that a schema admits: what structured output answers with.
 */
#ifndef SIM_SCHEMA_INSTANCE_H
#define SIM_SCHEMA_INSTANCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "json/json.h"

/*
 * Appends an instance of `schema` as compact JSON. `text` fills plain strings where it fits. All
 * properties are given, required ones first. Schemas of tools may be any JSON: what cannot be
 * satisfied becomes null, what nests too deep is cut there.
 */
void schema_instance(struct buf *b, yyjson_val *schema, struct str text);

#endif

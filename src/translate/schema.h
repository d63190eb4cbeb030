/*
 * A client's JSON Schema -> the dialect of the upstream's structured outputs.
 */
#ifndef TRANSLATE_SCHEMA_H
#define TRANSLATE_SCHEMA_H

#include "json/json.h"

struct schema_result {
    bool is_weakened; /* a constraint the decoder cannot hold went into a description */
    size_t optionals; /* properties that may be left out, */
    size_t unions;    /* and unions: the upstream limits both over all schemas of a request */
    const char *why;  /* static text: what cannot be expressed; NULL when all could */
};

/*
 * Appends the transformed schema to `out`. `name` and `description` (may be empty) become the
 * root's title and description where it has none. False with result->why when the schema cannot be
 * expressed, or NULL there when `out` is full; `out` is then to be thrown away.
 */
bool schema_write(struct buf *out, yyjson_val *schema, struct str name, struct str description,
                  struct schema_result *result);

#endif

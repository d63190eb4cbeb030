/*
 * A conversation as the chain that caches and signed blocks depend on: tools, system, then every
 * block of every message, each step hashed on top of the one before.
 */
#ifndef SIM_PREFIX_H
#define SIM_PREFIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "sim/siphash.h"
#include "json/json.h"

enum prefix_part { PREFIX_TOOLS, PREFIX_SYSTEM, PREFIX_MESSAGES };

/* One tool, one system block or one content block. */
struct prefix_step {
    enum prefix_part part;
    size_t message, block;
    struct str role;   /* of the message; empty in front of them */
    yyjson_val *value; /* a block, or a string that stands for a text block */
};

/* Calls `visit` for each step in order until it returns false. */
void prefix_walk(yyjson_val *root, bool (*visit)(void *arg, const struct prefix_step *s),
                 void *arg);
/*
 * The chain with one more step. Where cache marks stand, and fields that say nothing (no
 * citations, a direct caller), make no difference. `scratch` is the caller's, reused.
 */
struct digest prefix_add(struct digest before, const struct prefix_step *s, struct buf *scratch);
/* cache_control of a step; NULL = none. */
yyjson_val *prefix_mark(const struct prefix_step *s);

#endif

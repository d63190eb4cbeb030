/*
 * The parts of validation, for validate*.c alone. Each returns false with c->err filled.
 */
#ifndef SIM_VALIDATE_PART_H
#define SIM_VALIDATE_PART_H

#include "sim/validate.h"

#define bad(c, ...) sim_error_bad((c)->err, (c)->arena, __VA_ARGS__)

/* A key as an error may quote it: cut to 64 bytes between characters. */
struct str check_key(yyjson_val *key);
/* One of `choices` (space-separated); worded as "a, b or c". */
bool check_choice(struct check *c, const char *path, yyjson_val *v, const char *choices);
/* Whether `s` is one of `names` (space-separated). */
bool is_in_list(const char *names, struct str s);

/* messages: shapes of every message and block. */
bool check_messages(struct check *c, yyjson_val *messages);
/* messages: what the model and the order of turns allow. */
bool check_turns(struct check *c, yyjson_val *messages);
/* One content block in a message of `role`. */
bool check_block(struct check *c, const char *path, yyjson_val *block, struct str role);

/* tools: what their shapes do not say. */
bool check_tools(struct check *c, yyjson_val *tools);
/* cache_control: how many, and the longer-lived in front. */
bool check_cache_marks(struct check *c);
bool check_tool_choice(struct check *c, yyjson_val *choice);

/* A schema for the decoder (strict tools, output_config.format), under `path`. */
struct schema_totals {
    size_t n_unions, n_optional;
    size_t steps; /* of work spent so far: hostile schemas would take for ever */
};
bool check_schema(struct check *c, const char *path, yyjson_val *schema,
                  struct schema_totals *totals);
bool check_schema_totals(struct check *c, const struct schema_totals *totals);

#endif

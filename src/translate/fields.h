/*
 * The rules of single fields that live outside fields.c, and what a rule looks like.
 */
#ifndef TRANSLATE_FIELDS_H
#define TRANSLATE_FIELDS_H

#include "translate/translation.h"

/* Reads one field that is present and not null. False: refused, the error is filled. */
typedef bool field_rule(struct translation *t, const char *name, yyjson_val *v);

field_rule user_read_name, user_read_safety_identifier, user_read_metadata;
field_rule reasoning_read_effort, reasoning_read_object, reasoning_read_include;
field_rule reasoning_read_thinking, reasoning_read_output_config;
field_rule cache_read_options, cache_read_retention, cache_read_key, cache_read_top_level;

/* Adds a name to the anthropic-beta header, once; `param` is what asks for it. */
bool fields_add_beta(struct translation *t, const char *param, struct str name);

/*
 * The marker of a content part, message or block: its `cache_control` or
 * `prompt_cache_breakpoint`. `path` names the object that may hold one.
 */
bool cache_has_marker(yyjson_val *holder);
/* Whether a member of this name is one. */
bool cache_is_marker(struct str name);
bool cache_read_marker(struct translation *t, const char *path, yyjson_val *holder,
                       enum cache_ttl *ret);

#endif

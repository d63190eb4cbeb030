/*
 * The answer's text, derived from the prompt: facts and games from small tables, JSON where JSON
 * is asked for, else an echo.
 */
#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "sim/directive.h"
#include "sim/prompt.h"
#include "json/json.h"

/*
 * Text in the arena; .p is NULL without memory. `schema` is output_config.format's, or NULL.
 */
struct str answer_text(const struct prompt *p, const struct directives *d, yyjson_val *schema,
                       struct arena *a);
/* `n` words of running text. */
struct str answer_words(int64_t n, struct arena *a);
/* Whether the system prompt asks for JSON and nothing else. */
bool answer_wants_json(const struct prompt *p);

#endif

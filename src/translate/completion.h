/*
 * Collects an answer and writes it as one chat.completion.
 */
#ifndef TRANSLATE_COMPLETION_H
#define TRANSLATE_COMPLETION_H

#include "translate/part.h"
#include "translate/stream.h"
#include "translate/usage.h"

/* All text of an answer together, as JSON: many times what any model can write. */
#define COMPLETION_BYTES_MAX (32u << 20)

/* What the pieces do not say. */
struct completion_end {
    const char *finish_reason;
    const char *service_tier; /* NULL = not said */
    bool is_refused;          /* what was said before the refusal is withheld */
    struct str metadata;      /* JSON; empty = none */
};

struct completion;

/* Returns owned; NULL without memory. `reasoning_forms`: a set of enum tr_reasoning_form. */
struct completion *completion_create(unsigned reasoning_forms);
void completion_destroy(struct completion *c);
/* Once, before completion_end. `id` is the upstream's. */
bool completion_begin(struct completion *c, struct str id, struct str model,
                      int64_t created_unix_s);
/* False when the answer grew over COMPLETION_BYTES_MAX or memory ran out. */
bool completion_add(struct completion *c, const struct part *part);
/* Once, before completion_write. False as completion_add. */
bool completion_end(struct completion *c, const struct completion_end *end);
/*
 * Behind completion_end: what conformity.h says of the text, into `ret_unmet`; mends it. False as
 * completion_add.
 */
bool completion_check(struct completion *c, struct str schema, struct buf *ret_unmet);
/* The answer whose choices are `all`, in order; what they share is the first one's. */
bool completion_write(const struct completion *const all[], size_t n,
                      const struct usage_report *usage, struct buf *out);

#endif

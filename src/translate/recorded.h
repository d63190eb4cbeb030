/*
 * Test support: the Chat Completions requests that real clients sent, where the recordings are at
 * hand, and a model of each class to translate them for.
 */
#ifndef TRANSLATE_RECORDED_H
#define TRANSLATE_RECORDED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "translate/request.h"
#include "json/json.h"

#define RECORDED_CLASSES 14

extern const char *const recorded_models[RECORDED_CLASSES]; /* one of each class in use */

/*
 * Calls `use` with each request's body, in the order of the recordings in $SHARED_DIR, or in
 * `otherwise`. Returns how many there were: 0 where there are no recordings.
 */
size_t recorded_requests(const char *otherwise, void (*use)(yyjson_val *request));
/*
 * The same with the conversations that clients of the Messages API sent, turned around: the system
 * prompt as the first message, the rest as it is, Anthropic's blocks and tools included.
 */
size_t recorded_exchanges(const char *otherwise, void (*use)(yyjson_val *request));
/*
 * Appends the request without the model that it names, so that the policy's serves, and with the
 * first `n_messages` of its messages.
 */
void recorded_write(yyjson_val *request, size_t n_messages, struct buf *out);
/* The documented defaults, for `model`. */
struct tr_policy recorded_policy(const char *model, bool is_strict);

#endif

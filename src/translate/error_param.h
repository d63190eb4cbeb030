/*
 * The field an upstream error is about, as the client wrote it.
 */
#ifndef TRANSLATE_ERROR_PARAM_H
#define TRANSLATE_ERROR_PARAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct client_names; /* NULL: not known */

/*
 * Reads the path an upstream message begins with ("messages.3.content.0: ...") and writes it as
 * OpenAI's `param` ("messages[4].content[0]"), by what the client named things. False, and an empty
 * string, when there is none.
 */
bool error_param(struct str message, const struct client_names *names, char *to, size_t size);

#endif

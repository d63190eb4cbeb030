/*
 * Cross-origin requests from browsers, for the origins the operator names. Off by default.
 */
#ifndef SERVER_CORS_H
#define SERVER_CORS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Header lines for an answer to a request from `origin`. `allowed` is CORS_ORIGINS: empty (off,
 * nothing is written), "*", or a comma list. */
void cors_write(struct str allowed, struct str origin, struct buf *out);
/* Header lines of the answer to a preflight; `asked_headers` is echoed as far as it is a list of
 * header names. */
void cors_write_preflight(struct str allowed, struct str origin, struct str asked_headers,
                          struct buf *out);

#endif

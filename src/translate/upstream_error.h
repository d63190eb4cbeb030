/*
 * Anthropic's error answers and response headers -> OpenAI's.
 */
#ifndef TRANSLATE_UPSTREAM_ERROR_H
#define TRANSLATE_UPSTREAM_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "translate/api_error.h"

struct client_names;

/* What an upstream error means beyond its body. */
struct tr_upstream_error {
    struct api_error error;
    bool is_final; /* say x-should-retry: false */
};

/*
 * `body` may be anything: JSON of either envelope, HTML, nothing. `status` 0: an error inside a
 * stream or a 200, which only its type tells. `names`: of the request; NULL = not known.
 */
void tr_upstream_error(int status, struct str body, const struct client_names *names,
                       struct tr_upstream_error *ret);

/* One response header for the client, appended by tr_response_header as "name: value\r\n". */
/*
 * Translates one upstream response header (name in lower case) and appends zero or more header
 * lines to `out`. `status` is the upstream's; `now_unix_ms` turns reset instants into durations.
 */
void tr_response_header(int status, struct str name, struct str value, int64_t now_unix_ms,
                        struct buf *out);
/* Appends a duration as OpenAI writes it: "12ms", "1s", "6m0s", "1h2m3s". */
void tr_write_duration(struct buf *out, int64_t ms);

#endif

/*
 * One GET at a time from the upstream, waited for.
 */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "upstream/upstream.h"

struct fetch {
    bool has_answer; /* a whole one: status and body; else failure and detail */
    int status;
    struct buf body;
    enum upstream_failure failure;
    char detail[256];
};

struct fetcher;
/* The config is borrowed. Returns owned; NULL with one line in `why`. */
struct fetcher *fetcher_create(const struct config *c, char *why, size_t why_size);
void fetcher_destroy(struct fetcher *f);
/* How many upstream keys there are; at least one. */
size_t fetcher_keys(const struct fetcher *f);
/* Waits for the answer, or its failure within the configured timeouts. */
void fetcher_get(struct fetcher *f, size_t key, const char *path, struct fetch *ret);
void fetch_done(struct fetch *f);

#endif

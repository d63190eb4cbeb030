/*
 * Prometheus' text format, version 0.0.4: "# HELP", "# TYPE", one line a sample.
 */
#ifndef OBSERVE_EXPOSITION_H
#define OBSERVE_EXPOSITION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "observe/histogram.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Static texts. */
struct metric {
    const char *name, *type, *help;
};

/* A name that is NULL ends a list of labels. */
struct label {
    const char *name;
    struct str value; /* whatever it holds: it is escaped, and made UTF-8 */
};

/* The lines in front of a metric's samples. */
void exposition_begin(struct buf *out, const struct metric *m);
void exposition_sample(struct buf *out, const struct metric *m, const struct label *labels,
                       uint64_t value);
/* A value in millionths: microseconds as seconds. */
void exposition_sample_micro(struct buf *out, const struct metric *m, const struct label *labels,
                             uint64_t value);
/* Buckets, sum and count. `is_micro`: bounds and sum are millionths. */
void exposition_histogram(struct buf *out, const struct metric *m, const struct label *labels,
                          const struct histogram *h, const struct histogram_bounds *bounds,
                          bool is_micro);

#endif

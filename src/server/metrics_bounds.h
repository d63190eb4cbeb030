/*
 * Between metrics.c, which counts, and metrics_write.c.
 */
#ifndef SERVER_METRICS_BOUNDS_H
#define SERVER_METRICS_BOUNDS_H

#include "observe/histogram.h"
#include "server/metrics.h"

/* As OpenTelemetry's conventions for generative AI have them. */
extern const struct histogram_bounds metrics_token_bounds, metrics_duration_bounds,
    metrics_first_token_bounds, metrics_per_token_bounds;
extern const struct histogram_bounds metrics_wait_bounds;

/* The row of a model: a new one where there is room and `may_add`, else that of "other". */
struct metrics_model *metrics_model_of(struct metrics *m, struct str name, bool may_add);

#endif

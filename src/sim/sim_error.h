/*
 * Errors as Anthropic's API words them: one is filled where the fault is noticed and written once.
 */
#ifndef SIM_SIM_ERROR_H
#define SIM_SIM_ERROR_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct sim_error {
    int status;
    struct str type; /* "invalid_request_error"... */
    struct str message;
    struct str details; /* error_code in `details`; empty = no details */
};

/* Fills *e with a 400 invalid_request_error and returns false, so that a check can return it. */
bool sim_error_bad(struct sim_error *e, struct arena *a, const char *format, ...) PX_PRINTF(3, 4);
/* Any status, with its documented type. Returns false too. */
bool sim_error_set(struct sim_error *e, struct arena *a, int status, const char *format, ...)
    PX_PRINTF(4, 5);

/* The documented error type of a status; "api_error" for those that have none. */
struct str sim_error_type(int status);
/* What the API says with that status when there is nothing particular to say. */
struct str sim_error_text(int status);

/* The body. `request_id` empty: without one, as the edge answers. A 413 has no outer type. */
void sim_error_write(struct buf *b, const struct sim_error *e, struct str request_id);
/* The data of an error event inside a stream: `details` is there, null when there are none. */
void sim_error_write_event(struct buf *b, const struct sim_error *e, struct str request_id);

#endif

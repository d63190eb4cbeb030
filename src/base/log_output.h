/*
 * Bytes -> standard error, without ever waiting for who reads it. What has no room there is kept,
 * as much as LOG_KEPT_BYTES_MAX at a time, and written by a thread of its own; the rest is lost.
 */
#ifndef BASE_LOG_OUTPUT_H
#define BASE_LOG_OUTPUT_H

#include <stdint.h>

#include "base/str.h"

#define LOG_KEPT_BYTES_MAX ((size_t)256 * 1024)
/* What a pipe that has room takes in one piece (PIPE_BUF). */
#define LOG_PIECE_BYTES_MAX ((size_t)4096)

/* From any thread. `lines`: `n` of them, at most LOG_PIECE_BYTES_MAX, kept or lost together. */
void log_output_write(struct str lines, int64_t n);
/* How many lines were lost since this was last asked; 0 while more would be. */
int64_t log_output_take_lost(void);
/* Waits until what is kept has gone out, no longer than `ms`. */
void log_output_finish(int64_t ms);

#endif

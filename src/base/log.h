/*
 * Log lines on standard error: text on a terminal, one JSON object a line otherwise.
 * Never a request or answer body, never a key: callers pass names, numbers and reasons only.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* A field of a line. Make them with the macros below. */
struct log_field {
    struct str key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT } kind;
    struct str text;
    int64_t number;
};
#define LOG_S(key, s) ((struct log_field){STR(key), LOG_FIELD_STR, s, 0})
#define LOG_Z(key, z) LOG_S(key, str_of(z))
#define LOG_I(key, i) ((struct log_field){STR(key), LOG_FIELD_INT, {0}, (int64_t)(i)})

/* Once, before the threads start. */
void log_setup(enum log_level lowest, enum log_format format);
/* At any time, from any thread. */
void log_set_level(enum log_level lowest);
bool log_is_on(enum log_level level);
/*
 * Writes a line, never a part of one; waits for nobody (base/log_output.h). Control characters in
 * texts are escaped.
 */
void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n);

/*
 * Between the two, what this thread logs below LOG_WARNING may wait until it calls log_flush. The
 * event loop does so in each turn: many answers, one write.
 */
void log_hold(void);
void log_release(void);
void log_flush(void);
/* At the end of the process: for a moment, waits for who reads the log. */
void log_finish(void);

#define log_line(level, message, ...)                                                              \
    do {                                                                                           \
        if (log_is_on(level)) {                                                                    \
            const struct log_field fields_[] = {__VA_ARGS__};                                      \
            log_write(level, message, fields_, PX_ARRAY_LEN(fields_));                             \
        }                                                                                          \
    } while (0)

#endif

/*
 * Formats log lines and writes each with one write(2), so that threads never mix their lines.
 */
#include "base/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define LOG_LINE_MAX 8192

static enum log_level lowest_level = LOG_INFO;
static bool is_json;

static const char *const level_names[] = {"trace", "debug", "info", "warning", "error"};

void log_setup(enum log_level lowest, enum log_format format)
{
    lowest_level = lowest;
    is_json = format == LOG_JSON || (format == LOG_AUTO && !isatty(STDERR_FILENO));
}

bool log_is_on(enum log_level level)
{
    return level >= lowest_level;
}

static void append_time(struct buf *b)
{
    int64_t now_ms = clock_unix_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[32];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(b, "%s.%03dZ", text, (int)(now_ms % 1000));
}

/* The text inside quotes, escaped as JSON asks; the same form serves the text format. */
static void append_quoted(struct buf *b, struct str s)
{
    buf_append_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\u%04x", c);
        else
            buf_append_char(b, (char)c);
    }
    buf_append_char(b, '"');
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == 0x7f)
            return true;
    return s.n == 0;
}

static void append_field(struct buf *b, const struct log_field *f)
{
    if (is_json)
        buf_printf(b, ",\"%s\":", f->key);
    else
        buf_printf(b, " %s=", f->key);
    if (f->kind == LOG_FIELD_INT)
        buf_printf(b, "%lld", (long long)f->number);
    else if (is_json || needs_quotes(f->text))
        append_quoted(b, f->text);
    else
        buf_append_str(b, f->text);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n)
{
    struct buf b;
    buf_init(&b, LOG_LINE_MAX);
    if (is_json) {
        buf_append_z(&b, "{\"time\":\"");
        append_time(&b);
        buf_printf(&b, "\",\"level\":\"%s\",\"message\":", level_names[level]);
        append_quoted(&b, str_of(message));
    } else {
        append_time(&b);
        buf_printf(&b, " %-7s %s", level_names[level], message);
    }
    for (size_t i = 0; i < n; i++)
        append_field(&b, &fields[i]);
    buf_append_z(&b, is_json ? "}\n" : "\n");
    if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0) {
        /* Nowhere left to say it. */
    }
    buf_done(&b);
}

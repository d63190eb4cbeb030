/*
 * Formats log lines and writes them whole, so that threads never mix theirs; what a thread logs in
 * one turn of its loop goes out together.
 */
#include "base/log.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_output.h"
#include "base/utf8.h"

#define LOG_LINE_MAX LOG_PIECE_BYTES_MAX
/* As long as the end of the process is put off for lines that nobody reads. */
#define LOG_FINISH_MS 1000
/* What ends a line that had to leave fields out. */
#define LOG_TAIL_BYTES 32
/* As much of a text as a line shows, so that one long text does not push the others out. */
#define LOG_TEXT_MAX 1024

static _Atomic int lowest_level = LOG_INFO;
static bool is_json;
/* This thread's lines that did not go out yet. */
static _Thread_local struct {
    char bytes[LOG_LINE_MAX];
    size_t len;
    int64_t n;
    bool is_held;
} batch;

static const char *const level_names[] = {"trace", "debug", "info", "warning", "error"};

void log_set_level(enum log_level lowest)
{
    atomic_store_explicit(&lowest_level, (int)lowest, memory_order_relaxed);
}

void log_setup(enum log_level lowest, enum log_format format)
{
    log_set_level(lowest);
    is_json = format == LOG_JSON || (format == LOG_AUTO && !isatty(STDERR_FILENO));
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

/* The wall clock in UTC; a thread writes out a second's date once. */
static void append_time(struct buf *b)
{
    static _Thread_local time_t shown;
    static _Thread_local char text[sizeof("2026-11-22T00:00:00.")];
    int64_t now_ms = clock_unix_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    if (seconds != shown) {
        struct tm tm;
        gmtime_r(&seconds, &tm);
        shown = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", &tm) ? seconds : 0;
    }
    unsigned ms = (unsigned)(now_ms % 1000);
    const char digits[] = {(char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                           (char)('0' + ms % 10), 'Z'};
    buf_append_z(b, text);
    buf_append(b, digits, sizeof(digits));
}

/* C1 controls, U+0080 to U+009F: terminals obey them as they obey the ASCII ones. */
static bool is_c1(struct str s, size_t i)
{
    return (unsigned char)s.p[i] == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
}

/* Whether it stands for itself inside quotes, as nearly every text does. */
static bool is_plain(struct str s)
{
    return str_is_printable(s) && !memchr(s.p, '"', s.n) && !memchr(s.p, '\\', s.n);
}

/* Bytes at `i` that stand for themselves inside quotes. */
static size_t plain_run(struct str s, size_t i, bool is_utf8)
{
    size_t start = i;
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f || (c > 0x7f && !is_utf8) || is_c1(s, i))
            break;
    }
    return i - start;
}

/*
 * The text inside quotes, escaped as JSON asks; the same form serves the text format. Bytes that
 * are no UTF-8 are shown as U+FFFD, all of the text's bytes beyond ASCII if there is one.
 */
static void append_quoted(struct buf *b, struct str s)
{
    buf_append_char(b, '"');
    if (is_plain(s)) {
        buf_append_str(b, s);
        buf_append_char(b, '"');
        return;
    }
    const bool is_utf8 = utf8_is_valid(s);
    for (size_t i = 0; i < s.n; i++) {
        size_t run = plain_run(s, i, is_utf8);
        buf_append(b, s.p + i, run);
        i += run;
        if (i == s.n)
            break;
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_append(b, (const char[]){'\\', (char)c}, 2);
        else if (c > 0x7f && !is_utf8)
            buf_append_z(b, "\\ufffd");
        else
            buf_printf(b, "\\u%04x", c > 0x7f ? (unsigned char)s.p[++i] : c);
    }
    buf_append_char(b, '"');
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == 0x7f || is_c1(s, i))
            return true;
    }
    return s.n == 0 || !utf8_is_valid(s);
}

static void append_key(struct buf *b, struct str key)
{
    const size_t punctuation = is_json ? 4 : 2;
    char *to = buf_reserve(b, key.n + punctuation);
    if (!to)
        return;
    b->len += key.n + punctuation;
    if (!is_json) {
        *to++ = ' ';
        memcpy(to, key.p, key.n);
        to[key.n] = '=';
        return;
    }
    *to++ = ',';
    *to++ = '"';
    memcpy(to, key.p, key.n);
    memcpy(to + key.n, "\":", 2);
}

static void append_field(struct buf *b, const struct log_field *f)
{
    struct str text = utf8_cut(f->text, LOG_TEXT_MAX);
    append_key(b, f->key);
    if (f->kind == LOG_FIELD_INT)
        buf_append_i64(b, f->number);
    else if (is_json || needs_quotes(text))
        append_quoted(b, text);
    else
        buf_append_str(b, text);
}

/* Fields until one does not fit; a line says when it leaves some out. */
static void append_fields(struct buf *b, const struct log_field *fields, size_t n)
{
    b->max = LOG_LINE_MAX - LOG_TAIL_BYTES;
    for (size_t i = 0; i < n; i++) {
        size_t len = b->len;
        append_field(b, &fields[i]);
        if (b->failed) {
            b->len = len;
            b->failed = false;
            b->max = LOG_LINE_MAX;
            buf_append_z(b, is_json ? ",\"cut\":true" : " cut=true");
            return;
        }
    }
    b->max = LOG_LINE_MAX;
}

/* Bytes for a line: on the stack, as what lacks memory has the more to say. */
struct line {
    char bytes[LOG_LINE_MAX + 1]; /* and a NUL, which does not count */
};

static struct str format_line(struct line *line, enum log_level level, const char *message,
                              const struct log_field *fields, size_t n)
{
    /* It never grows: there is room for as much as it may hold. */
    struct buf b = {.data = line->bytes, .cap = sizeof(line->bytes), .max = LOG_LINE_MAX};
    struct str text = utf8_cut(str_of(message), LOG_TEXT_MAX);
    if (is_json) {
        buf_append_z(&b, "{\"time\":\"");
        append_time(&b);
        buf_append_z(&b, "\",\"level\":\"");
        buf_append_z(&b, level_names[level]);
        buf_append_z(&b, "\",\"message\":");
        append_quoted(&b, text);
    } else {
        append_time(&b);
        buf_printf(&b, " %-7s ", level_names[level]);
        buf_append_str(&b, text);
    }
    append_fields(&b, fields, n);
    buf_append_z(&b, is_json ? "}\n" : "\n");
    return buf_str(&b);
}

static void put_lost(int64_t n)
{
    struct line line;
    const struct log_field field = LOG_I("lines", n);
    log_output_write(
        format_line(&line, LOG_WARNING, "the log was not read: lines are missing", &field, 1), 1);
}

void log_flush(void)
{
    if (batch.n == 0)
        return;
    const int64_t n_lost = log_output_take_lost();
    if (n_lost > 0)
        put_lost(n_lost);
    log_output_write((struct str){batch.bytes, batch.len}, batch.n);
    batch.len = 0;
    batch.n = 0;
}

void log_hold(void)
{
    batch.is_held = true;
}

void log_release(void)
{
    log_flush();
    batch.is_held = false;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t n)
{
    struct line bytes;
    const struct str line = format_line(&bytes, level, message, fields, n);
    if (batch.len + line.n > sizeof(batch.bytes))
        log_flush();
    memcpy(batch.bytes + batch.len, line.p, line.n);
    batch.len += line.n;
    batch.n++;
    if (!batch.is_held || level >= LOG_WARNING)
        log_flush();
}

void log_finish(void)
{
    log_release();
    log_output_finish(LOG_FINISH_MS);
}

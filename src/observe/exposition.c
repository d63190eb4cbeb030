/*
 * Writes samples. What a label may not hold as it is: backslash, quote and line end, which have
 * escapes, and what is not UTF-8, which becomes "?". Control characters are allowed, but help
 * nobody: "?" too.
 */
#include "observe/exposition.h"

#include <inttypes.h>

#include "base/utf8.h"

#define MICRO 1000000

void exposition_begin(struct buf *out, const struct metric *m)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
}

static void write_char(struct buf *out, char c)
{
    if (c == '\\' || c == '"')
        buf_append_char(out, '\\');
    if (c == '\n')
        buf_append_z(out, "\\n");
    else
        buf_append_char(out, (unsigned char)c < ' ' || c == 0x7f ? '?' : c);
}

static void write_value(struct buf *out, struct str value)
{
    const bool is_utf8 = utf8_is_valid(value);
    for (size_t i = 0; i < value.n; i++)
        write_char(out, is_utf8 || (unsigned char)value.p[i] < 0x80 ? value.p[i] : '?');
}

static void write_label(struct buf *out, const struct label *l)
{
    buf_printf(out, "%s=\"", l->name);
    write_value(out, l->value);
    buf_append_char(out, '"');
}

static void write_labels(struct buf *out, const struct label *labels)
{
    for (const struct label *l = labels; l && l->name; l++) {
        buf_append_char(out, l == labels ? '{' : ',');
        write_label(out, l);
    }
    if (labels && labels->name)
        buf_append_char(out, '}');
    buf_append_char(out, ' ');
}

/* Without zeros that say nothing: 0.025, 1, 2.5. */
static void write_micro(struct buf *out, uint64_t value)
{
    uint64_t rest = value % MICRO;
    int digits = 6;
    buf_printf(out, "%" PRIu64, value / MICRO);
    if (rest == 0)
        return;
    for (; rest % 10 == 0; rest /= 10)
        digits--;
    buf_printf(out, ".%0*" PRIu64, digits, rest);
}

static void write_number(struct buf *out, uint64_t value, bool is_micro)
{
    if (is_micro)
        write_micro(out, value);
    else
        buf_printf(out, "%" PRIu64, value);
}

static void write_sample(struct buf *out, const struct metric *m, const struct label *labels,
                         uint64_t value, bool is_micro)
{
    buf_append_z(out, m->name);
    write_labels(out, labels);
    write_number(out, value, is_micro);
    buf_append_char(out, '\n');
}

void exposition_sample(struct buf *out, const struct metric *m, const struct label *labels,
                       uint64_t value)
{
    write_sample(out, m, labels, value, false);
}

void exposition_sample_micro(struct buf *out, const struct metric *m, const struct label *labels,
                             uint64_t value)
{
    write_sample(out, m, labels, value, true);
}

/* `bound` NULL: the bucket of everything. */
static void write_bucket(struct buf *out, const struct metric *m, const struct label *labels,
                         const int64_t *bound, bool is_micro, uint64_t value)
{
    buf_printf(out, "%s_bucket{", m->name);
    for (const struct label *l = labels; l && l->name; l++) {
        write_label(out, l);
        buf_append_char(out, ',');
    }
    buf_append_z(out, "le=\"");
    if (bound)
        write_number(out, (uint64_t)*bound, is_micro);
    else
        buf_append_z(out, "+Inf");
    buf_printf(out, "\"} %" PRIu64 "\n", value);
}

void exposition_histogram(struct buf *out, const struct metric *m, const struct label *labels,
                          const struct histogram *h, const struct histogram_bounds *bounds,
                          bool is_micro)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bounds->n; i++) {
        n += count_get(&h->counts[i]);
        write_bucket(out, m, labels, &bounds->at[i], is_micro, n);
    }
    n += count_get(&h->counts[bounds->n]);
    write_bucket(out, m, labels, NULL, is_micro, n);
    buf_printf(out, "%s_sum", m->name);
    write_labels(out, labels);
    write_number(out, count_get(&h->sum), is_micro);
    buf_printf(out, "\n%s_count", m->name);
    write_labels(out, labels);
    buf_printf(out, "%" PRIu64 "\n", n);
}

/*
 * The access log: one line for each request.
 */
#include "observe/record.h"

#include "base/log.h"
#include "base/utf8.h"

/* What a client chose is cut to this, so that a line stays a line. */
#define TEXT_BYTES_MAX 200
#define FIELDS_MAX     24

struct line {
    struct log_field fields[FIELDS_MAX];
    size_t n;
};

static void add_text(struct line *l, const char *key, struct str s)
{
    if (s.n)
        l->fields[l->n++] = LOG_S(key, utf8_cut(s, TEXT_BYTES_MAX));
}

static void add_number(struct line *l, const char *key, int64_t number)
{
    l->fields[l->n++] = LOG_I(key, number);
}

void record_log(const struct request_record *r)
{
    if (!log_is_on(LOG_INFO))
        return;
    struct line l = {.n = 0};
    add_text(&l, "id", r->id);
    add_text(&l, "method", r->method);
    add_text(&l, "path", r->path);
    add_number(&l, "status", r->status);
    add_text(&l, "end", str_of(r->end));
    add_text(&l, "detail", r->detail);
    add_text(&l, "model", r->asked_model);
    add_text(&l, "served", r->served_model);
    if (r->is_completion) {
        add_number(&l, "stream", r->is_stream);
        add_number(&l, "input_tokens", r->input_tokens);
        add_number(&l, "output_tokens", r->output_tokens);
    }
    if (r->choices > 1)
        add_number(&l, "choices", r->choices);
    if (r->attempts > 1)
        add_number(&l, "attempts", r->attempts);
    if (r->continuations > 0)
        add_number(&l, "continuations", r->continuations);
    if (r->recalled > 0)
        add_number(&l, "thinking_recalled", r->recalled);
    if (r->unremembered > 0)
        add_number(&l, "thinking_not_remembered", r->unremembered);
    if (r->evicted > 0)
        add_number(&l, "thinking_evicted", r->evicted);
    if (r->repeats > 0)
        add_number(&l, "repeats", r->repeats);
    add_text(&l, "refused", r->refused);
    add_text(&l, "learned", r->learned);
    add_text(&l, "ignored", r->ignored);
    add_text(&l, "modified", r->modified);
    if (r->first_ms >= 0)
        add_number(&l, "first_ms", r->first_ms);
    add_number(&l, "ms", r->total_ms);
    add_text(&l, "tls", r->tls_version);
    log_write(LOG_INFO, "request", l.fields, l.n);
}

/*
 * The access log: one line for each request.
 */
#include "observe/record.h"

#include "base/log.h"
#include "base/utf8.h"

/* What a client chose is cut to this, so that a line stays a line. */
#define TEXT_BYTES_MAX 200
#define FIELDS_MAX     48

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

static void add_positive(struct line *l, const char *key, int64_t number)
{
    if (number > 0)
        add_number(l, key, number);
}

static void add_time(struct line *l, const char *key, int64_t ms)
{
    if (ms >= 0)
        add_number(l, key, ms);
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
    if (!str_eq(r->sent_model, r->asked_model))
        add_text(&l, "sent_model", r->sent_model);
    add_text(&l, "served", r->served_model);
    if (r->is_completion) {
        add_number(&l, "stream", r->is_stream);
        add_number(&l, "input_tokens", r->input_tokens);
        add_positive(&l, "cache_read_tokens", r->cache_read_tokens);
        add_positive(&l, "cache_write_tokens", r->cache_write_tokens);
        add_number(&l, "output_tokens", r->output_tokens);
        add_positive(&l, "reasoning_tokens", r->reasoning_tokens);
        add_positive(&l, "upstream_key", r->upstream_key);
    }
    if (r->choices > 1)
        add_number(&l, "choices", r->choices);
    if (r->attempts > 1)
        add_number(&l, "attempts", r->attempts);
    add_positive(&l, "retries", r->retries);
    add_positive(&l, "retry_wait_ms", r->retry_wait_ms);
    add_positive(&l, "continuations", r->continuations);
    add_positive(&l, "thinking_recalled", r->recalled);
    add_positive(&l, "thinking_not_remembered", r->unremembered);
    add_positive(&l, "thinking_evicted", r->evicted);
    add_positive(&l, "repeats", r->repeats);
    add_text(&l, "refused", r->refused);
    add_text(&l, "learned", r->learned);
    add_text(&l, "ignored", r->ignored);
    add_text(&l, "modified", r->modified);
    add_positive(&l, "waited_ms", r->waited_ms);
    add_time(&l, "sent_ms", r->sent_ms);
    add_time(&l, "content_ms", r->content_ms);
    add_time(&l, "first_ms", r->first_ms);
    add_number(&l, "ms", r->total_ms);
    add_text(&l, "tls", r->tls_version);
    log_write(LOG_INFO, "request", l.fields, l.n);
}

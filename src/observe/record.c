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

static void add_text(struct line *l, struct str key, struct str s)
{
    if (s.n)
        l->fields[l->n++] = (struct log_field){
            .key = key, .kind = LOG_FIELD_STR, .text = utf8_cut(s, TEXT_BYTES_MAX)};
}

static void add_number(struct line *l, struct str key, int64_t number)
{
    l->fields[l->n++] = (struct log_field){.key = key, .kind = LOG_FIELD_INT, .number = number};
}

static void add_positive(struct line *l, struct str key, int64_t number)
{
    if (number > 0)
        add_number(l, key, number);
}

static void add_time(struct line *l, struct str key, int64_t ms)
{
    if (ms >= 0)
        add_number(l, key, ms);
}

void record_log(const struct request_record *r)
{
    if (!log_is_on(LOG_INFO))
        return;
    struct line l;
    l.n = 0;
    add_text(&l, STR("id"), r->id);
    add_text(&l, STR("method"), r->method);
    add_text(&l, STR("path"), r->path);
    add_number(&l, STR("status"), r->status);
    add_text(&l, STR("end"), str_of(r->end));
    add_text(&l, STR("detail"), r->detail);
    add_text(&l, STR("model"), r->asked_model);
    if (!str_eq(r->sent_model, r->asked_model))
        add_text(&l, STR("sent_model"), r->sent_model);
    add_text(&l, STR("served"), r->served_model);
    if (r->is_completion) {
        add_number(&l, STR("stream"), r->is_stream);
        add_number(&l, STR("input_tokens"), r->input_tokens);
        add_positive(&l, STR("cache_read_tokens"), r->cache_read_tokens);
        add_positive(&l, STR("cache_write_tokens"), r->cache_write_tokens);
        add_number(&l, STR("output_tokens"), r->output_tokens);
        add_positive(&l, STR("reasoning_tokens"), r->reasoning_tokens);
        add_positive(&l, STR("upstream_key"), r->upstream_key);
    }
    if (r->choices > 1)
        add_number(&l, STR("choices"), r->choices);
    if (r->attempts > 1)
        add_number(&l, STR("attempts"), r->attempts);
    add_positive(&l, STR("retries"), r->retries);
    add_positive(&l, STR("retry_wait_ms"), r->retry_wait_ms);
    add_positive(&l, STR("continuations"), r->continuations);
    add_positive(&l, STR("thinking_recalled"), r->recalled);
    add_positive(&l, STR("thinking_not_remembered"), r->unremembered);
    add_positive(&l, STR("thinking_evicted"), r->evicted);
    add_positive(&l, STR("repeats"), r->repeats);
    add_text(&l, STR("refused"), r->refused);
    add_text(&l, STR("learned"), r->learned);
    add_text(&l, STR("ignored"), r->ignored);
    add_text(&l, STR("modified"), r->modified);
    add_positive(&l, STR("waited_ms"), r->waited_ms);
    add_time(&l, STR("sent_ms"), r->sent_ms);
    add_time(&l, STR("content_ms"), r->content_ms);
    add_time(&l, STR("first_ms"), r->first_ms);
    add_number(&l, STR("ms"), r->total_ms);
    add_text(&l, STR("tls"), r->tls_version);
    log_write(LOG_INFO, "request", l.fields, l.n);
}

/*
 * Counting: a few additions for each request and each call.
 */
#include "server/metrics.h"

#include <string.h>

#include "observe/count.h"
#include "server/losses.h"
#include "server/metrics_bounds.h"

static struct str name_of(const struct metrics_model *m)
{
    return (struct str){m->name, strnlen(m->name, sizeof(m->name))};
}

struct metrics_model *metrics_model_of(struct metrics *m, struct str name, bool may_add)
{
    const size_t n = atomic_load_explicit(&m->n_models, memory_order_acquire);
    if (name.n > METRICS_MODEL_BYTES_MAX)
        name.n = METRICS_MODEL_BYTES_MAX;
    for (size_t i = 0; i < n; i++)
        if (str_eq(name_of(&m->models[i]), name))
            return &m->models[i];
    if (!may_add || name.n == 0 || n == METRICS_MODELS_MAX)
        return &m->models[METRICS_MODELS_MAX];
    memcpy(m->models[n].name, name.p, name.n);
    atomic_store_explicit(&m->n_models, n + 1, memory_order_release);
    return &m->models[n];
}

static enum metrics_status class_of(int status)
{
    switch (status / 100) {
    case 2:
        return STATUS_2XX;
    case 3:
        return STATUS_3XX;
    case 4:
        return STATUS_4XX;
    case 5:
        return STATUS_5XX;
    default:
        return STATUS_NONE;
    }
}

static uint64_t positive(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

static void count_tokens(struct metrics_model *m, const struct tr_usage *u)
{
    const int64_t input = u->input + u->cache_read + u->cache_write;
    count_add(&m->input, positive(u->input));
    count_add(&m->cache_read, positive(u->cache_read));
    count_add(&m->cache_write, positive(u->cache_write));
    count_add(&m->output, positive(u->output));
    count_add(&m->reasoning, positive(u->thinking));
    if (input <= 0 && u->output <= 0)
        return;
    histogram_add(&m->input_usage, &metrics_token_bounds, input);
    histogram_add(&m->output_usage, &metrics_token_bounds, u->output);
}

static void count_times(struct metrics_model *m, const struct metrics_request *r)
{
    const bool is_well = r->end == END_DONE;
    histogram_add(is_well ? &m->duration : &m->failed_duration, &metrics_duration_bounds,
                  r->total_us);
    if (!is_well || r->first_token_us < 0)
        return;
    histogram_add(&m->first_token, &metrics_first_token_bounds, r->first_token_us);
    if (r->usage.output > 1)
        histogram_add(&m->per_token, &metrics_per_token_bounds,
                      (r->total_us - r->first_token_us) / (r->usage.output - 1));
}

/* "claude-haiku-4-5-20251001" */
static bool has_date(struct str name)
{
    uint64_t date;
    return name.n > 9 && name.p[name.n - 9] == '-' &&
           str_to_u64((struct str){name.p + name.n - 8, 8}, &date);
}

/* Whether it may have a row. Clients can invent as many names as there are dates; one that answered
 * is there. */
static bool is_real(const struct metrics_request *r)
{
    return r->record->served_model.n > 0 || (r->is_known_model && !has_date(r->model));
}

void metrics_count(struct metrics *m, const struct metrics_request *r)
{
    const struct request_record *record = r->record;
    const enum metrics_status status = class_of(record->status);
    if (r->model.n == 0) {
        count_add(&m->elsewhere[r->route ? r->route->id : ROUTES].n[r->end][status], 1);
        return;
    }
    struct metrics_model *model = metrics_model_of(m, r->model, is_real(r));
    count_add(&model->outcomes.n[r->end][status], 1);
    count_tokens(model, &r->usage);
    count_times(model, r);
    count_add(&m->continuations, positive(record->continuations));
    count_add(&m->repeats, positive(record->repeats));
    count_add(&m->recalled, positive(record->recalled));
    count_add(&m->unremembered, positive(record->unremembered));
    count_add(&m->evicted, positive(record->evicted));
    losses_count(&m->losses, record);
}

struct status_name {
    char digits[16];
};

static struct str name_of_status(int status, struct status_name *name)
{
    struct buf b = {.data = name->digits, .cap = sizeof(name->digits), .max = sizeof(name->digits)};
    buf_append_i64(&b, status);
    return buf_str(&b);
}

void metrics_saw_answer(struct metrics *m, int status, const char *why)
{
    struct status_name name;
    tally_add(&m->answers, "", status > 0 ? name_of_status(status, &name) : str_of(why), 1);
}

void metrics_saw_retry(struct metrics *m, const char *how, int status, int64_t wait_ms)
{
    struct status_name name;
    tally_add(&m->retries, how, name_of_status(status, &name), 1);
    count_add(&m->retry_wait_us, positive(wait_ms) * 1000);
}

void metrics_saw_wait(struct metrics *m, const char *outcome, int64_t waited_us)
{
    tally_add(&m->waits, "", str_of(outcome), 1);
    if (waited_us >= 0)
        histogram_add(&m->waited, &metrics_wait_bounds, waited_us);
}

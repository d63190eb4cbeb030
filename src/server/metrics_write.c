/*
 * The answer of GET /metrics: the workers' counts summed up, and what is read where it stands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/count.h"
#include "observe/exposition.h"
#include "server/metrics_bounds.h"
#include "server/worker.h"

const struct histogram_bounds metrics_token_bounds = {
    14,
    {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}};
const struct histogram_bounds metrics_duration_bounds = {14,
                                                         {10000, 20000, 40000, 80000, 160000,
                                                          320000, 640000, 1280000, 2560000, 5120000,
                                                          10240000, 20480000, 40960000, 81920000}};
const struct histogram_bounds metrics_first_token_bounds = {
    16,
    {1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000, 750000, 1000000,
     2500000, 5000000, 7500000, 10000000}};
const struct histogram_bounds metrics_per_token_bounds = {13,
                                                          {10000, 25000, 50000, 75000, 100000,
                                                           150000, 200000, 300000, 400000, 500000,
                                                           750000, 1000000, 2500000}};
const struct histogram_bounds metrics_wait_bounds = {12,
                                                     {10000, 50000, 100000, 250000, 500000, 1000000,
                                                      2500000, 5000000, 10000000, 30000000,
                                                      60000000, 300000000}};

enum metric_id {
#define METRIC(id, name, type, help) METRIC_##id,
#include "server/metrics.def"
#undef METRIC
};

static const struct metric metrics[] = {
#define METRIC(id, name, type, help) {name, type, help},
#include "server/metrics.def"
#undef METRIC
};

static const char *const status_classes[STATUSES] = {"none", "2xx", "3xx", "4xx", "5xx"};

/* Summing --------------------------------------------------------------------------------- */

static void sum(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
    count_add(to, count_get(from));
}

static void sum_outcomes(struct metrics_outcomes *to, const struct metrics_outcomes *from)
{
    for (size_t end = 0; end < END_REASONS; end++)
        for (size_t status = 0; status < STATUSES; status++)
            sum(&to->n[end][status], &from->n[end][status]);
}

static void sum_model(struct metrics_model *to, const struct metrics_model *from)
{
    sum_outcomes(&to->outcomes, &from->outcomes);
    sum(&to->input, &from->input);
    sum(&to->cache_read, &from->cache_read);
    sum(&to->cache_write, &from->cache_write);
    sum(&to->output, &from->output);
    sum(&to->reasoning, &from->reasoning);
    histogram_sum(&to->input_usage, &from->input_usage);
    histogram_sum(&to->output_usage, &from->output_usage);
    histogram_sum(&to->duration, &from->duration);
    histogram_sum(&to->failed_duration, &from->failed_duration);
    histogram_sum(&to->first_token, &from->first_token);
    histogram_sum(&to->per_token, &from->per_token);
}

static void sum_models(struct metrics *to, const struct metrics *from)
{
    const size_t n = atomic_load_explicit(&from->n_models, memory_order_acquire);
    for (size_t i = 0; i < n; i++) {
        const struct metrics_model *model = &from->models[i];
        const struct str name = {model->name, strnlen(model->name, sizeof(model->name))};
        sum_model(metrics_model_of(to, name, true), model);
    }
    sum_model(&to->models[METRICS_MODELS_MAX], &from->models[METRICS_MODELS_MAX]);
}

static void sum_worker(struct metrics *to, const struct metrics *from)
{
    sum_models(to, from);
    for (size_t i = 0; i <= ROUTES; i++)
        sum_outcomes(&to->elsewhere[i], &from->elsewhere[i]);
    sum(&to->in_flight, &from->in_flight);
    sum(&to->streams, &from->streams);
    sum(&to->waiting, &from->waiting);
    sum(&to->attempts, &from->attempts);
    sum(&to->retry_wait_us, &from->retry_wait_us);
    sum(&to->breaker_opened, &from->breaker_opened);
    sum(&to->continuations, &from->continuations);
    sum(&to->repeats, &from->repeats);
    sum(&to->recalled, &from->recalled);
    sum(&to->unremembered, &from->unremembered);
    sum(&to->evicted, &from->evicted);
    for (size_t i = 0; i < UPSTREAM_KEYS_MAX; i++)
        sum(&to->cooldowns[i], &from->cooldowns[i]);
    tally_sum(&to->answers, &from->answers);
    tally_sum(&to->retries, &from->retries);
    tally_sum(&to->waits, &from->waits);
    histogram_sum(&to->waited, &from->waited);
    tally_sum(&to->losses, &from->losses);
}

/* Writing --------------------------------------------------------------------------------- */

static void write_one(struct buf *out, enum metric_id id, uint64_t value)
{
    exposition_begin(out, &metrics[id]);
    exposition_sample(out, &metrics[id], NULL, value);
}

static void write_count(struct buf *out, enum metric_id id, const _Atomic uint64_t *count)
{
    write_one(out, id, count_get(count));
}

static struct str model_name(const struct metrics_model *m)
{
    return m->name[0] ? (struct str){m->name, strnlen(m->name, sizeof(m->name))} : STR("other");
}

/* Those that have a row. */
#define EACH_MODEL(m, model)                                                                       \
    for (const struct metrics_model *model = (m)->models, *end_ = model + METRICS_MODELS_MAX + 1;  \
         model < end_; model++)                                                                    \
        if (model->name[0] || model == end_ - 1)

static void write_outcomes(struct buf *out, const struct metrics_outcomes *o, struct str route,
                           struct str model)
{
    for (size_t end = 0; end < END_REASONS; end++)
        for (size_t status = 0; status < STATUSES; status++) {
            const uint64_t n = count_get(&o->n[end][status]);
            const struct label labels[] = {
                {"route", route},
                {"model", model},
                {"end", str_of(end_info((enum end_reason)end)->word)},
                {"status", str_of(status_classes[status])},
                {NULL, {0}},
            };
            if (n > 0)
                exposition_sample(out, &metrics[METRIC_REQUESTS], labels, n);
        }
}

static void write_requests(struct buf *out, const struct metrics *m)
{
    exposition_begin(out, &metrics[METRIC_REQUESTS]);
    EACH_MODEL(m, model)
    write_outcomes(out, &model->outcomes, STR("chat"), model_name(model));
    for (size_t i = 0; i <= ROUTES; i++)
        write_outcomes(out, &m->elsewhere[i], str_of(route_word(i)), STR(""));
}

static void write_tokens(struct buf *out, const struct metrics *m)
{
    exposition_begin(out, &metrics[METRIC_TOKENS]);
    EACH_MODEL(m, model)
    {
        const struct {
            const char *kind;
            const _Atomic uint64_t *n;
        } kinds[] = {
            {"input", &model->input},         {"cache_read", &model->cache_read},
            {"output", &model->output},       {"cache_write", &model->cache_write},
            {"reasoning", &model->reasoning},
        };
        for (size_t i = 0; i < PX_ARRAY_LEN(kinds); i++) {
            const struct label labels[] = {
                {"model", model_name(model)}, {"kind", str_of(kinds[i].kind)}, {NULL, {0}}};
            if (count_get(kinds[i].n) > 0)
                exposition_sample(out, &metrics[METRIC_TOKENS], labels, count_get(kinds[i].n));
        }
    }
}

static bool is_empty(const struct histogram *h)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        if (count_get(&h->counts[i]) > 0)
            return false;
    return true;
}

struct histogram_part {
    enum metric_id id;
    size_t offset; /* of a struct histogram in struct metrics_model */
    const struct histogram_bounds *bounds;
    bool is_micro;
    const char *label, *value; /* beside those of all; NULL = none */
};

static void write_histogram(struct buf *out, const struct metrics_model *model,
                            const struct histogram_part *p)
{
    const struct histogram *h = (const void *)((const char *)model + p->offset);
    const struct label labels[] = {
        {"gen_ai_operation_name", STR("chat")},
        {"gen_ai_provider_name", STR("anthropic")},
        {"gen_ai_request_model", model_name(model)},
        {p->label, str_of(p->value)},
        {NULL, {0}},
    };
    if (!is_empty(h))
        exposition_histogram(out, &metrics[p->id], labels, h, p->bounds, p->is_micro);
}

static void write_histograms(struct buf *out, const struct metrics *m)
{
#define PART(id, member, bounds, is_micro, label, value)                                           \
    {                                                                                              \
        METRIC_##id, offsetof(struct metrics_model, member), &bounds, is_micro, label, value       \
    }
    static const struct histogram_part parts[] = {
        PART(USAGE, input_usage, metrics_token_bounds, false, "gen_ai_token_type", "input"),
        PART(USAGE, output_usage, metrics_token_bounds, false, "gen_ai_token_type", "output"),
        PART(DURATION, duration, metrics_duration_bounds, true, NULL, NULL),
        PART(DURATION, failed_duration, metrics_duration_bounds, true, "error_type", "_OTHER"),
        PART(FIRST_TOKEN, first_token, metrics_first_token_bounds, true, NULL, NULL),
        PART(PER_TOKEN, per_token, metrics_per_token_bounds, true, NULL, NULL),
    };
#undef PART
    for (size_t i = 0; i < PX_ARRAY_LEN(parts); i++) {
        if (i == 0 || parts[i].id != parts[i - 1].id)
            exposition_begin(out, &metrics[parts[i].id]);
        EACH_MODEL(m, model)
        write_histogram(out, model, &parts[i]);
    }
}

/* `kind_label` NULL: there is one kind only. */
static void write_tally(struct buf *out, enum metric_id id, const struct tally *t,
                        const char *kind_label, const char *name_label)
{
    exposition_begin(out, &metrics[id]);
    const size_t n = atomic_load_explicit(&t->n_counts, memory_order_acquire);
    for (size_t i = 0; i < n; i++) {
        const struct tally_count *c = &t->counts[i];
        const struct label labels[] = {
            {name_label, {c->name, strnlen(c->name, sizeof(c->name))}},
            {kind_label, str_of(c->kind)},
            {NULL, {0}},
        };
        exposition_sample(out, &metrics[id], labels, count_get(&c->n));
    }
    if (count_get(&t->n_other) > 0) { /* no name is called so */
        const struct label labels[] = {
            {name_label, STR("...")}, {kind_label, STR("...")}, {NULL, {0}}};
        exposition_sample(out, &metrics[id], labels, count_get(&t->n_other));
    }
}

static void write_upstream(struct buf *out, const struct metrics *m)
{
    write_count(out, METRIC_ATTEMPTS, &m->attempts);
    write_tally(out, METRIC_ANSWERS, &m->answers, NULL, "outcome");
    write_tally(out, METRIC_RETRIES, &m->retries, "how", "status");
    exposition_begin(out, &metrics[METRIC_RETRY_WAIT]);
    exposition_sample_micro(out, &metrics[METRIC_RETRY_WAIT], NULL, count_get(&m->retry_wait_us));
}

static void write_key(struct buf *out, enum metric_id id, size_t i, uint64_t value)
{
    char place[24];
    snprintf(place, sizeof(place), "%zu", i + 1);
    const struct label labels[] = {{"key", str_of(place)}, {NULL, {0}}};
    exposition_sample(out, &metrics[id], labels, value);
}

static void write_keys(struct buf *out, const struct metrics *m, const struct upstream_keys *keys,
                       int64_t now_us)
{
    exposition_begin(out, &metrics[METRIC_COOLDOWNS]);
    for (size_t i = 0; i < keys->n; i++)
        write_key(out, METRIC_COOLDOWNS, i, count_get(&m->cooldowns[i]));
    exposition_begin(out, &metrics[METRIC_COOLING]);
    for (size_t i = 0; i < keys->n; i++)
        write_key(out, METRIC_COOLING, i, upstream_keys_is_cooling(keys, i, now_us));
}

static void write_thinking(struct buf *out, const struct metrics *m)
{
    const struct {
        const char *result;
        const _Atomic uint64_t *n;
    } results[] = {
        {"recalled", &m->recalled}, {"not_remembered", &m->unremembered}, {"evicted", &m->evicted}};
    exposition_begin(out, &metrics[METRIC_THINKING]);
    for (size_t i = 0; i < PX_ARRAY_LEN(results); i++) {
        const struct label labels[] = {{"result", str_of(results[i].result)}, {NULL, {0}}};
        exposition_sample(out, &metrics[METRIC_THINKING], labels, count_get(results[i].n));
    }
}

static void write_process(struct buf *out, const struct shared *shared)
{
    const struct label version[] = {{"version", STR(PX_VERSION)}, {NULL, {0}}};
    exposition_begin(out, &metrics[METRIC_BUILD]);
    exposition_sample(out, &metrics[METRIC_BUILD], version, 1);
    exposition_begin(out, &metrics[METRIC_STARTED]);
    exposition_sample_micro(out, &metrics[METRIC_STARTED], NULL,
                            (uint64_t)shared->started_unix_ms * 1000);
}

static void write_waiting(struct buf *out, const struct metrics *m, int64_t slots_used)
{
    write_one(out, METRIC_SLOTS, slots_used > 0 ? (uint64_t)slots_used : 0);
    write_count(out, METRIC_WAITING, &m->waiting);
    write_tally(out, METRIC_WAITS, &m->waits, NULL, "outcome");
    exposition_begin(out, &metrics[METRIC_WAITED]);
    exposition_histogram(out, &metrics[METRIC_WAITED], NULL, &m->waited, &metrics_wait_bounds,
                         true);
}

bool metrics_write(struct shared *shared, const struct upstream_keys *keys, int64_t now_us,
                   struct buf *out)
{
    struct metrics *m = calloc(1, sizeof(*m));
    if (!m)
        return false;
    for (size_t i = 0; i < shared->n_workers; i++)
        sum_worker(m, &shared->workers[i].metrics);
    const int64_t n_connections = atomic_load(&shared->n_connections);
    write_process(out, shared);
    write_requests(out, m);
    write_count(out, METRIC_IN_FLIGHT, &m->in_flight);
    write_count(out, METRIC_STREAMS, &m->streams);
    write_waiting(out, m, waiting_slots_used(&shared->waiting));
    write_one(out, METRIC_CONNECTIONS, n_connections > 0 ? (uint64_t)n_connections : 0);
    write_one(out, METRIC_BODIES, (uint64_t)atomic_load(&shared->bodies.held));
    write_tokens(out, m);
    write_histograms(out, m);
    write_upstream(out, m);
    write_keys(out, m, keys, now_us);
    write_one(out, METRIC_BREAKER, breaker_is_open(&shared->breaker));
    write_count(out, METRIC_BREAKER_OPENED, &m->breaker_opened);
    write_count(out, METRIC_CONTINUED, &m->continuations);
    write_count(out, METRIC_REPEATED, &m->repeats);
    write_thinking(out, m);
    write_tally(out, METRIC_LOSSES, &m->losses, "kind", "name");
    free(m);
    return !out->failed;
}

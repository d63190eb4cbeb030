/*
 * What is counted of requests, and that nobody can make rows without end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "observe/count.h"
#include "server/metrics.h"
#include "server/metrics_bounds.h"

static struct metrics *make(void)
{
    struct metrics *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    return m;
}

static struct metrics_request request_for(const struct request_record *record, struct str model)
{
    static const struct route chat = {.id = ROUTE_CHAT};
    return (struct metrics_request){.record = record,
                                    .route = &chat,
                                    .end = END_DONE,
                                    .model = model,
                                    .is_known_model = true,
                                    .total_us = 3000000,
                                    .first_token_us = 1000000};
}

static const struct request_record answered = {.status = 200, .end = "done"};

static uint64_t outcomes(const struct metrics_model *m, enum end_reason end,
                         enum metrics_status status)
{
    return count_get(&m->outcomes.n[end][status]);
}

static uint64_t entries(const struct histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(h->counts); i++)
        n += count_get(&h->counts[i]);
    return n;
}

static void counts_a_request(void **state)
{
    (void)state;
    struct metrics *m = make();
    const struct request_record record = {.status = 200,
                                          .end = "done",
                                          .continuations = 1,
                                          .repeats = 2,
                                          .recalled = 3,
                                          .unremembered = 4,
                                          .evicted = 5,
                                          .ignored = STR("seed,logit_bias"),
                                          .modified = STR("model(successor)"),
                                          .learned = STR("sampling")};
    struct metrics_request r = request_for(&record, STR("claude-haiku-5-5"));
    r.usage = (struct tr_usage){
        .input = 10, .cache_read = 20, .cache_write = 30, .output = 101, .thinking = 40};
    metrics_count(m, &r);
    assert_int_equal(m->n_models, 1);
    const struct metrics_model *model = &m->models[0];
    assert_string_equal(model->name, "claude-haiku-5-5");
    assert_int_equal(outcomes(model, END_DONE, STATUS_2XX), 1);
    assert_int_equal(count_get(&model->input), 10);
    assert_int_equal(count_get(&model->cache_read), 20);
    assert_int_equal(count_get(&model->cache_write), 30);
    assert_int_equal(count_get(&model->output), 101);
    assert_int_equal(count_get(&model->reasoning), 40);
    assert_int_equal(count_get(&model->input_usage.sum), 60);
    assert_int_equal(count_get(&model->output_usage.sum), 101);
    assert_int_equal(count_get(&model->duration.sum), 3000000);
    assert_int_equal(count_get(&model->first_token.sum), 1000000);
    assert_int_equal(count_get(&model->per_token.sum), 20000); /* 2 s for 100 tokens */
    assert_int_equal(entries(&model->failed_duration), 0);
    assert_int_equal(count_get(&m->continuations), 1);
    assert_int_equal(count_get(&m->repeats), 2);
    assert_int_equal(count_get(&m->recalled), 3);
    assert_int_equal(count_get(&m->unremembered), 4);
    assert_int_equal(count_get(&m->evicted), 5);
    assert_int_equal(tally_of(&m->losses, "ignored", STR("seed")), 1);
    assert_int_equal(tally_of(&m->losses, "ignored", STR("logit_bias")), 1);
    free(m);
}

static void times_of_failures_stand_apart(void **state)
{
    (void)state;
    struct metrics *m = make();
    const struct request_record cut = {.status = 200, .end = "upstream_disconnected"};
    struct metrics_request r = request_for(&cut, STR("m"));
    r.end = END_UPSTREAM_DISCONNECTED;
    metrics_count(m, &r);
    const struct metrics_model *model = &m->models[0];
    assert_int_equal(entries(&model->failed_duration), 1);
    assert_int_equal(entries(&model->duration), 0);
    assert_int_equal(entries(&model->first_token), 0);
    assert_int_equal(entries(&model->input_usage), 0); /* nothing was used */
    r = request_for(&answered, STR("m"));
    r.first_token_us = -1;
    r.usage.output = 1;
    metrics_count(m, &r);
    r.first_token_us = 5;
    metrics_count(m, &r);
    assert_int_equal(entries(&model->duration), 2);
    assert_int_equal(entries(&model->first_token), 1);
    assert_int_equal(entries(&model->per_token), 0); /* one token has no rest */
    free(m);
}

static void a_request_without_a_model_is_counted_by_its_url(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum metrics_status as;
    } cases[] = {{0, STATUS_NONE},  {200, STATUS_2XX}, {204, STATUS_2XX}, {304, STATUS_3XX},
                 {401, STATUS_4XX}, {503, STATUS_5XX}, {100, STATUS_NONE}};
    struct metrics *m = make();
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        const struct request_record record = {.status = cases[i].status, .end = "no_key"};
        struct metrics_request r = request_for(&record, (struct str){0});
        r.end = END_NO_KEY;
        const uint64_t before = count_get(&m->elsewhere[ROUTE_CHAT].n[END_NO_KEY][cases[i].as]);
        metrics_count(m, &r);
        assert_int_equal(count_get(&m->elsewhere[ROUTE_CHAT].n[END_NO_KEY][cases[i].as]),
                         before + 1);
        r.route = NULL;
        metrics_count(m, &r);
    }
    assert_int_equal(count_get(&m->elsewhere[ROUTES].n[END_NO_KEY][STATUS_2XX]), 2);
    assert_int_equal(m->n_models, 0);
    free(m);
}

static void invented_names_get_no_row(void **state)
{
    (void)state;
    struct metrics *m = make();
    struct metrics_request r = request_for(&answered, STR("claude-haiku-5-5-20990101"));
    metrics_count(m, &r); /* known but for its date, which anybody can make up */
    r = request_for(&answered, STR("no-such-model"));
    r.is_known_model = false;
    metrics_count(m, &r);
    assert_int_equal(m->n_models, 0);
    assert_int_equal(outcomes(&m->models[METRICS_MODELS_MAX], END_DONE, STATUS_2XX), 2);
    /* One that answered is there. */
    const struct request_record served = {.status = 200, .served_model = STR("any")};
    r = request_for(&served, STR("claude-haiku-5-5-20260901"));
    r.is_known_model = false;
    metrics_count(m, &r);
    assert_int_equal(m->n_models, 1);
    assert_string_equal(m->models[0].name, "claude-haiku-5-5-20260901");
    free(m);
}

static void rows_have_a_limit_and_so_have_names(void **state)
{
    (void)state;
    struct metrics *m = make();
    char name[300];
    for (int i = 0; i < METRICS_MODELS_MAX + 20; i++) {
        snprintf(name, sizeof(name), "model-number-%d", i);
        const struct metrics_request r = request_for(&answered, str_of(name));
        metrics_count(m, &r);
        metrics_count(m, &r);
    }
    assert_int_equal(m->n_models, METRICS_MODELS_MAX);
    assert_int_equal(outcomes(&m->models[METRICS_MODELS_MAX - 1], END_DONE, STATUS_2XX), 2);
    assert_int_equal(outcomes(&m->models[METRICS_MODELS_MAX], END_DONE, STATUS_2XX), 40);
    free(m);

    m = make();
    memset(name, 'x', sizeof(name));
    struct metrics_model *row = metrics_model_of(m, (struct str){name, sizeof(name)}, true);
    assert_ptr_equal(row, &m->models[0]);
    assert_int_equal(strnlen(row->name, sizeof(row->name)), METRICS_MODEL_BYTES_MAX);
    name[200] = 'y'; /* behind what is kept */
    assert_ptr_equal(metrics_model_of(m, (struct str){name, sizeof(name)}, true), row);
    assert_ptr_equal(metrics_model_of(m, (struct str){name, 5}, false),
                     &m->models[METRICS_MODELS_MAX]);
    free(m);
}

static void counts_calls_to_the_upstream(void **state)
{
    (void)state;
    struct metrics *m = make();
    metrics_saw_answer(m, 200, NULL);
    metrics_saw_answer(m, 529, NULL);
    metrics_saw_answer(m, 529, NULL);
    metrics_saw_answer(m, 0, "timed_out");
    assert_int_equal(tally_of(&m->answers, "", STR("200")), 1);
    assert_int_equal(tally_of(&m->answers, "", STR("529")), 2);
    assert_int_equal(tally_of(&m->answers, "", STR("timed_out")), 1);
    metrics_saw_retry(m, "pause", 529, 250);
    metrics_saw_retry(m, "pause", 529, 500);
    metrics_saw_retry(m, "another_key", 429, 0);
    metrics_saw_retry(m, "pause", 502, -1);
    assert_int_equal(tally_of(&m->retries, "pause", STR("529")), 2);
    assert_int_equal(tally_of(&m->retries, "another_key", STR("429")), 1);
    assert_int_equal(tally_of(&m->retries, "pause", STR("502")), 1);
    assert_int_equal(count_get(&m->retry_wait_us), 750000);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_a_request),
        cmocka_unit_test(times_of_failures_stand_apart),
        cmocka_unit_test(a_request_without_a_model_is_counted_by_its_url),
        cmocka_unit_test(invented_names_get_no_row),
        cmocka_unit_test(rows_have_a_limit_and_so_have_names),
        cmocka_unit_test(counts_calls_to_the_upstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

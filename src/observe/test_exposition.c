/*
 * Prometheus' text format, to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observe/exposition.h"

static const struct metric metric = {"m", "counter", "What it is."};

static void check(struct buf *out, const char *expected)
{
    assert_false(out->failed);
    assert_int_equal(out->len, strlen(expected));
    assert_memory_equal(out->data, expected, out->len);
    buf_done(out);
}

static void samples(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    const struct label labels[] = {{"a", STR("x")}, {"b", {0}}, {NULL, {0}}};
    exposition_begin(&out, &metric);
    exposition_sample(&out, &metric, NULL, 0);
    exposition_sample(&out, &metric, labels, UINT64_MAX);
    exposition_sample_micro(&out, &metric, NULL, 1500000);
    exposition_sample_micro(&out, &metric, NULL, 42);
    exposition_sample_micro(&out, &metric, NULL, 3000000);
    check(&out, "# HELP m What it is.\n# TYPE m counter\nm 0\n"
                "m{a=\"x\",b=\"\"} 18446744073709551615\nm 1.5\nm 0.000042\nm 3\n");
}

static void labels_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *expected;
    } cases[] = {
        {"a\\b", "a\\\\b"},       {"a\"} 1\nm{a=\"b", "a\\\"} 1\\nm{a=\\\"b"},
        {"\r\t\x01\x7f", "????"}, {"\xc3\xa9", "\xc3\xa9"},
        {"\xc3(", "?("},          {"\xff\"", "?\\\""},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct buf out;
        char expected[64];
        snprintf(expected, sizeof(expected), "m{a=\"%s\"} 1\n", cases[i].expected);
        buf_init(&out, 4096);
        const struct label labels[] = {{"a", str_of(cases[i].value)}, {NULL, {0}}};
        exposition_sample(&out, &metric, labels, 1);
        check(&out, expected);
    }
}

static void buckets_are_cumulative(void **state)
{
    (void)state;
    static const struct histogram_bounds bounds = {3, {10000, 250000, 1000000}};
    const struct label labels[] = {{"a", STR("x")}, {NULL, {0}}};
    struct histogram h = {0}, sum = {0};
    struct buf out;
    buf_init(&out, 4096);
    histogram_add(&h, &bounds, -5); /* counts as 0 */
    histogram_add(&h, &bounds, 10000);
    histogram_add(&h, &bounds, 10001);
    histogram_add(&h, &bounds, 1000001);
    histogram_sum(&sum, &h);
    exposition_histogram(&out, &metric, labels, &sum, &bounds, true);
    check(&out, "m_bucket{a=\"x\",le=\"0.01\"} 2\nm_bucket{a=\"x\",le=\"0.25\"} 3\n"
                "m_bucket{a=\"x\",le=\"1\"} 3\nm_bucket{a=\"x\",le=\"+Inf\"} 4\n"
                "m_sum{a=\"x\"} 1.020002\nm_count{a=\"x\"} 4\n");
}

static void counts_without_a_unit(void **state)
{
    (void)state;
    static const struct histogram_bounds bounds = {2, {1, 4}};
    struct histogram h = {0};
    struct buf out;
    buf_init(&out, 4096);
    histogram_add(&h, &bounds, 4);
    histogram_add(&h, &bounds, 70);
    exposition_histogram(&out, &metric, NULL, &h, &bounds, false);
    check(&out, "m_bucket{le=\"1\"} 0\nm_bucket{le=\"4\"} 1\nm_bucket{le=\"+Inf\"} 2\n"
                "m_sum 74\nm_count 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(buckets_are_cumulative),
        cmocka_unit_test(counts_without_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

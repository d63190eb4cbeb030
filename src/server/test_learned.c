/*
 * What is remembered of upstream errors, of which model, how much and how long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "server/learned.h"

#define START_US INT64_C(5000000)

static struct learned table;

static int set_up(void **state)
{
    (void)state;
    table = (struct learned){.n = 0};
    learned_init(&table);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    learned_done(&table);
    return 0;
}

static unsigned of(const char *model, int64_t now_us)
{
    return learned_of(&table, now_us, str_of(model)).refuses;
}

static void add(const char *model, unsigned refuses)
{
    learned_add(&table, START_US, str_of(model), (struct tr_amend){.refuses = refuses});
}

static void test_of_whom(void **state)
{
    (void)state;
    assert_int_equal(of("a", START_US), 0);
    add("a", TR_REFUSES_SAMPLING);
    assert_int_equal(of("a", START_US), TR_REFUSES_SAMPLING);
    assert_int_equal(of("b", START_US), 0);
    add("b", TR_REFUSES_VERSION | TR_REFUSES_PREFILL);
    assert_int_equal(of("a", START_US), TR_REFUSES_SAMPLING | TR_REFUSES_VERSION);
    assert_int_equal(of("b", START_US), TR_REFUSES_PREFILL | TR_REFUSES_VERSION);
    add("c", TR_REFUSES_SCHEMA); /* says nothing of other schemas */
    assert_int_equal(of("c", START_US), TR_REFUSES_VERSION);
}

static void test_effort_levels(void **state)
{
    (void)state;
    learned_add(&table, START_US, STR("a"), (struct tr_amend){TR_REFUSES_EFFORT, 6});
    struct tr_amend known = learned_of(&table, START_US, STR("a"));
    assert_int_equal(known.refuses, TR_REFUSES_EFFORT);
    assert_int_equal(known.efforts, 6);
}

static void test_time(void **state)
{
    (void)state;
    add("a", TR_REFUSES_SAMPLING);
    assert_int_equal(of("a", START_US + LEARNED_FOR_US - 1), TR_REFUSES_SAMPLING);
    assert_int_equal(of("a", START_US + LEARNED_FOR_US), 0);
    learned_add(&table, START_US + LEARNED_FOR_US, STR("a"),
                (struct tr_amend){.refuses = TR_REFUSES_PREFILL});
    assert_int_equal(of("a", START_US + LEARNED_FOR_US), TR_REFUSES_PREFILL);
}

static void test_number(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 10 * LEARNED_MODELS_MAX; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        learned_add(&table, START_US + i, str_of(name),
                    (struct tr_amend){.refuses = TR_REFUSES_SAMPLING});
    }
    assert_int_equal(of(name, START_US), TR_REFUSES_SAMPLING);
    assert_int_equal(of("model-0", START_US), 0);
    char longer[LEARNED_MODEL_BYTES_MAX + 8];
    snprintf(longer, sizeof(longer), "%0*d", LEARNED_MODEL_BYTES_MAX, 0);
    add(longer, TR_REFUSES_SAMPLING);
    assert_int_equal(of(longer, START_US), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_whom, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_effort_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_number, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

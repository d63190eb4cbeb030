/*
 * What is counted, how many names, and that a reader beside the writer sees whole ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "observe/tally.h"

static struct tally tally, other;

static int set_up(void **state)
{
    (void)state;
    memset(&tally, 0, sizeof(tally));
    memset(&other, 0, sizeof(other));
    return 0;
}

static void expect_text(const char *kind, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    tally_write(&tally, kind, &out);
    if (!str_eq(buf_str(&out), str_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(buf_str(&out)), expected);
    buf_done(&out);
}

static void counts_by_kind_and_name(void **state)
{
    (void)state;
    tally_add(&tally, "ignored", STR("seed"), 1);
    tally_add(&tally, "modified", STR("seed"), 1);
    tally_add(&tally, "ignored", STR("user"), 2);
    tally_add(&tally, "ignored", STR("seed"), 1);
    assert_int_equal(tally_of(&tally, "ignored", STR("seed")), 2);
    assert_int_equal(tally_of(&tally, "modified", STR("seed")), 1);
    assert_int_equal(tally_of(&tally, "ignored", STR("see")), 0);
    expect_text("ignored", "seed=2,user=2");
    expect_text("refused", "");
}

static void names_are_cut_and_few(void **state)
{
    (void)state;
    char name[TALLY_NAME_BYTES_MAX + 2];
    memset(name, 'a', sizeof(name));
    tally_add(&tally, "k", (struct str){name, sizeof(name)}, 1);
    tally_add(&tally, "k", (struct str){name, sizeof(name) - 1}, 1);
    assert_int_equal(tally_of(&tally, "k", (struct str){name, TALLY_NAME_BYTES_MAX}), 2);
    for (int i = 0; i < 3 * TALLY_NAMES_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        tally_add(&tally, "k", str_of(name), 1);
    }
    assert_int_equal(atomic_load(&tally.n_counts), TALLY_NAMES_MAX);
    assert_int_equal(atomic_load(&tally.n_other), 2 * TALLY_NAMES_MAX + 1);
    tally_add(&tally, "k", STR("n0"), 1); /* those that are there go on */
    assert_int_equal(tally_of(&tally, "k", STR("n0")), 2);
}

static void sums(void **state)
{
    (void)state;
    tally_add(&tally, "a", STR("x"), 1);
    tally_add(&other, "b", STR("x"), 2);
    tally_add(&other, "a", STR("x"), 3);
    tally_sum(&tally, &other);
    tally_sum(&tally, &other);
    expect_text("a", "x=7");
    expect_text("b", "x=4");
}

#define ROUNDS 20000

static void *write_many(void *arg)
{
    char name[16];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "n%d", i % (TALLY_NAMES_MAX / 2));
        tally_add(arg, "k", str_of(name), 1);
    }
    return NULL;
}

static void reader_beside_the_writer(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_many, &tally), 0);
    uint64_t last = 0;
    for (int i = 0; i < 200; i++) {
        struct tally sum;
        memset(&sum, 0, sizeof(sum));
        tally_sum(&sum, &tally);
        uint64_t total = 0;
        for (size_t k = 0; k < atomic_load(&sum.n_counts); k++) {
            assert_int_equal(sum.counts[k].name[0], 'n');
            total += atomic_load(&sum.counts[k].n);
        }
        assert_true(total >= last && total <= ROUNDS);
        last = total;
    }
    pthread_join(thread, NULL);
    tally_sum(&other, &tally);
    uint64_t total = 0;
    for (size_t k = 0; k < atomic_load(&other.n_counts); k++)
        total += atomic_load(&other.counts[k].n);
    assert_int_equal(total, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_by_kind_and_name, set_up),
        cmocka_unit_test_setup(names_are_cut_and_few, set_up),
        cmocka_unit_test_setup(sums, set_up),
        cmocka_unit_test_setup(reader_beside_the_writer, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Spliced bytes: every piece of them, from every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/spliced.h"

/* "ab" + "XYZ" + "" + "c" + "W" */
static const struct splice splices[] = {{2, {"XYZ", 3}}, {2, {"", 0}}, {3, {"W", 1}}};
static const struct spliced spliced = {{"abc", 3}, splices, 3};
static const char whole[] = "abXYZcW";

static void test_every_piece(void **state)
{
    (void)state;
    const size_t all = sizeof(whole) - 1;
    assert_int_equal(spliced_bytes(&spliced), all);
    for (size_t from = 0; from <= all + 1; from++) {
        for (size_t n = 0; n <= all + 1; n++) {
            char to[sizeof(whole) + 1] = {0};
            const size_t there = from < all ? all - from : 0;
            const size_t want = n < there ? n : there;
            assert_int_equal(spliced_read(&spliced, from, to, n), want);
            assert_memory_equal(to, whole + (from < all ? from : all), want);
            assert_int_equal(to[want], 0);
        }
    }
}

static void test_runs(void **state)
{
    (void)state;
    static const struct {
        size_t from;
        const char *run;
    } cases[] = {{0, "ab"}, {1, "b"}, {2, "XYZ"}, {4, "Z"}, {5, "c"}, {6, "W"}, {7, ""}, {9, ""}};
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        assert_true(str_eq(spliced_run(&spliced, cases[i].from), str_of(cases[i].run)));
}

static void test_without_splices(void **state)
{
    (void)state;
    const struct spliced plain = {.own = {"abc", 3}}, none = {0};
    assert_int_equal(spliced_bytes(&plain), 3);
    assert_true(str_eq(spliced_run(&plain, 1), STR("bc")));
    assert_int_equal(spliced_bytes(&none), 0);
    assert_int_equal(spliced_run(&none, 0).n, 0);
}

static void test_equal(void **state)
{
    (void)state;
    const struct spliced plain = {.own = {"abc", 3}}, same = {{"abc", 3}, splices, 3},
                         other = {{"abd", 3}, splices, 3};
    struct splice moved[3] = {splices[0], splices[1], splices[2]};
    moved[2].at = 2;
    const struct spliced elsewhere = {{"abc", 3}, moved, 3};
    assert_true(spliced_eq(&spliced, &same));
    assert_true(spliced_eq(&plain, &plain));
    assert_false(spliced_eq(&spliced, &plain));
    assert_false(spliced_eq(&spliced, &other));
    assert_false(spliced_eq(&spliced, &elsewhere));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_piece),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_without_splices),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

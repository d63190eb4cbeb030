/*
 * The distance between words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/distance.h"
#include <cmocka.h>

static void distances(void **state)
{
    (void)state;
    assert_int_equal(distance_between(STR(""), STR("")), 0);
    assert_int_equal(distance_between(STR("port"), STR("port")), 0);
    assert_int_equal(distance_between(STR("port"), STR("ports")), 1);
    assert_int_equal(distance_between(STR("port"), STR("prt")), 1);
    assert_int_equal(distance_between(STR("port"), STR("post")), 1);
    assert_int_equal(distance_between(STR("port"), STR("prot")), 2);
    assert_int_equal(distance_between(STR(""), STR("abc")), 3);
    assert_int_equal(distance_between(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(distance_between(STR("sitting"), STR("kitten")), 3);
}

static void long_words_are_no_mistakes(void **state)
{
    (void)state;
    static const char zeros[DISTANCE_BYTES_MAX + 1];
    assert_int_equal(distance_between((struct str){zeros, DISTANCE_BYTES_MAX},
                                      (struct str){zeros, DISTANCE_BYTES_MAX}),
                     0);
    assert_true(distance_between((struct str){zeros, DISTANCE_BYTES_MAX + 1}, STR("a")) ==
                SIZE_MAX);
    assert_true(distance_between(STR("a"), (struct str){zeros, DISTANCE_BYTES_MAX + 1}) ==
                SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(long_words_are_no_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

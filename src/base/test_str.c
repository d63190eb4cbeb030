/*
 * Counted text: comparing, searching, splitting, numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/str.h"

static void comparing(void **state)
{
    (void)state;
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq(STR(""), (struct str){NULL, 0}));
    assert_true(str_eq(str_of(NULL), STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("a"), STR("b")));
    assert_false(str_eq_nocase(STR("@["), STR("`{"))); /* 0x20 apart, but no letters */
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_true(str_starts(STR(""), STR("")));
    assert_false(str_starts(STR("ab"), STR("abc")));
    assert_false(str_starts(STR("xbc"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends(STR("abc"), STR("")));
    assert_false(str_ends(STR("bc"), STR("abc")));
    assert_false(str_ends(STR("abx"), STR("bc")));
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("abcabc"), STR("ca")), 2);
    assert_int_equal(str_find(STR("abc"), STR("abc")), 0);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(STR("abc"), STR("x")), -1);
    assert_int_equal(str_find(STR("ab"), STR("abc")), -1);
    assert_int_equal(str_find((struct str){NULL, 0}, STR("a")), -1);
    assert_int_equal(str_find(STR("a\0b"), STR("b")), 2);
}

static void trimming(void **state)
{
    (void)state;
    assert_true(str_eq(str_trim(STR(" \t\r\na b\n ")), STR("a b")));
    assert_true(str_eq(str_trim(STR(" \n")), STR("")));
    assert_true(str_eq(str_trim(STR("")), STR("")));
}

static void splitting(void **state)
{
    (void)state;
    struct str rest = STR("a,,bc,"), part;
    assert_true(str_split(&rest, ',', &part));
    assert_true(str_eq(part, STR("a")));
    assert_true(str_split(&rest, ',', &part));
    assert_true(str_eq(part, STR("")));
    assert_true(str_split(&rest, ',', &part));
    assert_true(str_eq(part, STR("bc")));
    assert_false(str_split(&rest, ',', &part));
    rest = STR("whole");
    assert_true(str_split(&rest, ',', &part));
    assert_true(str_eq(part, STR("whole")));
    assert_false(str_split(&rest, ',', &part));
}

static void whole_numbers(void **state)
{
    (void)state;
    uint64_t v = 7;
    static const struct str bad[] = {STR(""),
                                     STR("-1"),
                                     STR("+1"),
                                     STR(" 1"),
                                     STR("1 "),
                                     STR("1.0"),
                                     STR("0x1"),
                                     STR("18446744073709551616"),
                                     STR("a"),
                                     STR("1\0"),
                                     STR("99999999999999999999999")};
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++)
        assert_false(str_to_u64(bad[i], &v));
    assert_int_equal(v, 7); /* untouched on failure */
    assert_true(str_to_u64(STR("0"), &v));
    assert_int_equal(v, 0);
    assert_true(str_to_u64(STR("007"), &v));
    assert_int_equal(v, 7);
    assert_true(str_to_u64(STR("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
}

static void decimal_numbers(void **state)
{
    (void)state;
    double v = 7;
    static const struct str bad[] = {STR(""),
                                     STR("nan"),
                                     STR("inf"),
                                     STR("0x10"),
                                     STR("1e999"),
                                     STR("1,5"),
                                     STR("1 "),
                                     STR(" 1"),
                                     STR("--1"),
                                     STR("e"),
                                     STR("1\0"),
                                     STR("."),
                                     STR("0000000000000000000000000000000000000000000000000000000"
                                         "0000000000")};
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++)
        assert_false(str_to_double(bad[i], &v));
    assert_true(v == 7);
    assert_true(str_to_double(STR("0.1"), &v) && v == 0.1);
    assert_true(str_to_double(STR("-3"), &v) && v == -3);
    assert_true(str_to_double(STR("1e3"), &v) && v == 1000);
    assert_true(str_to_double(STR("1E-2"), &v) && v == 0.01);
    /* Not a text that ends with a NUL: only its counted part is looked at. */
    assert_true(str_to_double((struct str){"1.5678", 3}, &v) && v == 1.5);
}

static void *read_numbers(void *arg)
{
    bool *is_fine = arg;
    double v;
    *is_fine = true;
    for (int i = 0; i < 1000; i++)
        if (!str_to_double(STR("0.5"), &v) || v != 0.5)
            *is_fine = false;
    return NULL;
}

/* A worker's first number may be read while another worker reads its first. */
static void decimal_numbers_from_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    bool is_fine[4] = {false};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_numbers, &is_fine[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(is_fine[i]);
    }
}

static void constant_time_equality(void **state)
{
    (void)state;
    assert_true(str_eq_constant_time(STR("secret"), STR("secret")));
    assert_true(str_eq_constant_time(STR(""), STR("")));
    assert_false(str_eq_constant_time(STR(""), STR("s")));
    assert_false(str_eq_constant_time(STR("s"), STR("")));
    assert_false(str_eq_constant_time(STR("secret"), STR("secreT")));
    assert_false(str_eq_constant_time(STR("aa"), STR("a")));
    assert_false(str_eq_constant_time(STR("a"), STR("aa")));
    assert_false(str_eq_constant_time(STR("abab"), STR("ab"))); /* a repetition is not the key */
    assert_false(str_eq_constant_time(STR("\0\0"), STR("")));
}

static char small(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : (char)c;
}

/* Eight bytes at a time: every byte, at every place, among others of its kind, in exact memory. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    static const char around[] = {'a', 'Z', ' ', '~', '\x7f', '\x80', '\xff', '\0'};
    for (size_t n = 1; n <= 20; n++) {
        char *text = malloc(n), *lower = malloc(n);
        assert_non_null(text);
        assert_non_null(lower);
        const struct str s = {text, n};
        for (size_t k = 0; k < PX_ARRAY_LEN(around); k++) {
            const bool is_fine = around[k] >= ' ' && around[k] <= '~';
            for (unsigned c = 0; c < 256; c++) {
                const size_t at = c % n;
                memset(text, around[k], n);
                text[at] = (char)c;
                assert_int_equal(str_is_printable(s), c >= ' ' && c <= '~' && (is_fine || n == 1));
                str_lower(lower, s);
                for (size_t i = 0; i < n; i++)
                    assert_int_equal(lower[i], small((unsigned char)text[i]));
                assert_true(str_eq_nocase(s, (struct str){lower, n}));
                lower[at] = (char)(lower[at] ^ 0x80);
                assert_false(str_eq_nocase(s, (struct str){lower, n}));
            }
        }
        free(text);
        free(lower);
    }
    assert_true(str_is_printable(STR("")));
}

int main(void)
{
    setlocale(LC_ALL, ""); /* numbers must not depend on it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_numbers_from_many_threads), /* first: it makes the locale */
        cmocka_unit_test(comparing),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(finding),
        cmocka_unit_test(trimming),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(splitting),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(decimal_numbers),
        cmocka_unit_test(constant_time_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

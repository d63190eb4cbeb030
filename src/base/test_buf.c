/*
 * The growing buffer: content, growth, and that its maximum holds to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static void grows_and_keeps_content(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(str_eq(buf_str(&b), STR("")));
    for (int i = 0; i < 100000; i++)
        assert_true(buf_append_char(&b, (char)('a' + i % 26)));
    assert_int_equal(b.len, 100000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buf_done(&b);
    assert_null(b.data);
    assert_true(buf_append_z(&b, "again"));
    assert_true(str_eq(buf_str(&b), STR("again")));
    buf_done(&b);
}

static void kinds_of_appending(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_true(buf_append(&b, "ab", 2));
    assert_true(buf_append(&b, NULL, 0));
    assert_true(buf_append_str(&b, STR("cd")));
    assert_true(buf_append_str(&b, (struct str){NULL, 0}));
    assert_true(buf_append_z(&b, ""));
    assert_true(buf_printf(&b, "%d%s", 1, "x"));
    assert_true(buf_append_char(&b, '\0'));
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.data, "abcd1x\0", 7);
    buf_done(&b);
}

static void maximum_holds_to_the_byte(void **state)
{
    (void)state;
    for (size_t max = 0; max < 600; max += 7) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_true(buf_append_char(&b, 'x'));
        assert_false(b.failed);
        assert_false(buf_append_char(&b, 'y'));
        assert_true(b.failed);
        assert_int_equal(b.len, max);
        buf_done(&b);
    }
}

/* The NUL that printf writes is not part of the content: it must not cost the last byte. */
static void printf_may_fill_the_buffer(void **state)
{
    (void)state;
    for (int max = 1; max < 600; max += 7) {
        struct buf b;
        buf_init(&b, (size_t)max);
        assert_true(buf_printf(&b, "%*d", max, 1));
        assert_int_equal(b.len, max);
        assert_true(buf_printf(&b, "%s", ""));
        assert_false(buf_printf(&b, "%d", 1));
        assert_true(b.failed);
        buf_reset(&b);
        assert_false(buf_printf(&b, "%*d", max + 1, 1));
        assert_int_equal(b.len, 0);
        buf_done(&b);
    }
}

/* What the cheap directives write is what printf writes, alone and beside others. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char wanted[200];                                                                          \
        int n = snprintf(wanted, sizeof(wanted), __VA_ARGS__);                                     \
        struct buf b;                                                                              \
        buf_init(&b, (size_t)n);                                                                   \
        assert_true(buf_printf(&b, __VA_ARGS__));                                                  \
        assert_int_equal(b.len, n);                                                                \
        assert_memory_equal(b.data, wanted, (size_t)n);                                            \
        buf_done(&b);                                                                              \
        buf_init(&b, (size_t)(n - 1));                                                             \
        assert_false(buf_printf(&b, __VA_ARGS__));                                                 \
        assert_int_equal(b.len, 0);                                                                \
        assert_true(b.failed);                                                                     \
        buf_done(&b);                                                                              \
    } while (0)

static void printf_writes_as_the_library_does(void **state)
{
    (void)state;
    SAME("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
    SAME("%ld|%ld|%lld|%lld", LONG_MAX, LONG_MIN, LLONG_MAX, LLONG_MIN);
    SAME("%u %lu %llu %zu", UINT_MAX, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
    SAME("%" PRId64 "%" PRIu64, INT64_MIN, UINT64_MAX);
    for (int64_t power = 1; power < INT64_MAX / 10; power *= 10)
        SAME("%" PRId64 " %" PRId64 " %" PRId64, power - 1, power, -power - 1);
    SAME("<%s%s%s>", "one", "", "three");
    SAME("%.*s.%.*s.%.*s", 2, "abc", 0, "abc", 9, "abc");
    SAME("%.*s", -1, "abc");
    SAME("a%%b %c %5d %-5d| %04x %.3s %.2f", 'c', 1, 2, 0xab, "abcdef", 1.5);
    SAME("%s %d %5.1f %s", "plain first", 7, 2.25, "then not");
    SAME("%hhd %hu %jd %td", (signed char)-1, (unsigned short)2, (intmax_t)3, (ptrdiff_t)-4);
}

static void numbers(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 41);
    assert_true(buf_append_u64(&b, UINT64_MAX));
    assert_true(buf_append_i64(&b, INT64_MIN));
    assert_true(buf_append_u64(&b, 0));
    assert_true(str_eq(buf_str(&b), STR("18446744073709551615-92233720368547758080")));
    b.max = 42;
    assert_false(buf_append_i64(&b, -1)); /* never the sign alone */
    assert_int_equal(b.len, 41);
    buf_done(&b);
}

static void failure_is_sticky_and_leaves_content(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_true(buf_append_z(&b, "abc"));
    assert_false(buf_append_z(&b, "de"));
    assert_true(str_eq(buf_str(&b), STR("abc")));
    assert_true(buf_append_z(&b, "d"));
    assert_true(b.failed); /* still: something is missing in between */
    buf_reset(&b);
    assert_false(b.failed);
    assert_int_equal(b.len, 0);
    volatile size_t too_many = SIZE_MAX; /* or the compiler warns of what is tried here */
    assert_false(buf_append(&b, "x", too_many));
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_done(&b);
}

static void reserving(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    char *p = buf_reserve(&b, 0);
    assert_non_null(p); /* NULL means that there is no room */
    p = buf_reserve(&b, 600);
    assert_non_null(p);
    memset(p, 'z', 600);
    b.len += 600;
    assert_non_null(buf_reserve(&b, 400));
    assert_false(b.failed);
    assert_null(buf_reserve(&b, 401));
    assert_true(b.failed);
    assert_int_equal(b.len, 600);
    buf_done(&b);
}

static void consuming(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_consume(&b, 5);
    assert_true(buf_append_z(&b, "0123456789"));
    buf_consume(&b, 0);
    buf_consume(&b, 3);
    assert_true(str_eq(buf_str(&b), STR("3456789")));
    buf_consume(&b, 7);
    assert_int_equal(b.len, 0);
    assert_true(buf_append_z(&b, "x"));
    buf_consume(&b, SIZE_MAX);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_content),
        cmocka_unit_test(kinds_of_appending),
        cmocka_unit_test(maximum_holds_to_the_byte),
        cmocka_unit_test(printf_may_fill_the_buffer),
        cmocka_unit_test(printf_writes_as_the_library_does),
        cmocka_unit_test(numbers),
        cmocka_unit_test(failure_is_sticky_and_leaves_content),
        cmocka_unit_test(reserving),
        cmocka_unit_test(consuming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Which origins may, and what they are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/cors.h"

#define LIST "https://a.example, http://localhost:3000"

static bool has(const struct buf *b, const char *text)
{
    return str_find(buf_str(b), str_of(text)) >= 0;
}

static struct buf written(const char *allowed, const char *origin)
{
    struct buf b;
    buf_init(&b, 4096);
    cors_write(str_of(allowed), str_of(origin), &b);
    return b;
}

static struct buf preflight(const char *allowed, const char *origin, const char *asked)
{
    struct buf b;
    buf_init(&b, 4096);
    cors_write_preflight(str_of(allowed), str_of(origin), str_of(asked), &b);
    return b;
}

static void test_off(void **state)
{
    (void)state;
    struct buf b = written("", "https://a.example");
    assert_int_equal(b.len, 0);
    buf_done(&b);
    b = preflight("", "https://a.example", "authorization");
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

static void test_all(void **state)
{
    (void)state;
    struct buf b = written("*", "https://a.example");
    assert_true(has(&b, "access-control-allow-origin: *\r\n"));
    assert_true(has(&b, "access-control-expose-headers: x-request-id"));
    assert_false(has(&b, "vary"));
    buf_done(&b);
    b = written("*", "");
    assert_true(has(&b, "access-control-allow-origin: *\r\n"));
    buf_done(&b);
}

static void test_list(void **state)
{
    (void)state;
    struct buf b = written(LIST, "http://localhost:3000");
    assert_true(has(&b, "access-control-allow-origin: http://localhost:3000\r\n"));
    assert_true(has(&b, "vary: Origin\r\n"));
    buf_done(&b);
    static const char *const others[] = {"https://b.example", "http://a.example",
                                         "https://a.example.evil", "http://localhost:300", ""};
    for (size_t i = 0; i < PX_ARRAY_LEN(others); i++) {
        b = written(LIST, others[i]);
        assert_false(has(&b, "access-control"));
        assert_true(has(&b, "vary: Origin\r\n")); /* a cache must not mix the two */
        buf_done(&b);
    }
}

static void test_preflight(void **state)
{
    (void)state;
    struct buf b = preflight(LIST, "https://a.example", "authorization, content-type");
    assert_true(has(&b, "access-control-allow-origin: https://a.example\r\n"));
    assert_true(has(&b, "access-control-allow-methods: GET, HEAD, POST, OPTIONS\r\n"));
    assert_true(has(&b, "access-control-allow-headers: authorization, content-type\r\n"));
    assert_true(has(&b, "access-control-max-age: "));
    buf_done(&b);
    b = preflight(LIST, "https://b.example", "authorization");
    assert_false(has(&b, "access-control"));
    buf_done(&b);
    b = preflight("*", "https://b.example", "x\r\nset-cookie: a");
    assert_false(has(&b, "set-cookie"));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_preflight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

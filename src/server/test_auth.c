/*
 * Who may use the proxy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/auth.h"

static const struct str key = {"sk-proxy", 8};

static enum auth_result check(struct str expected, const struct h1_header *headers, size_t n)
{
    struct h1_head head = {.headers = headers, .n_headers = n};
    return auth_check(expected, &head);
}

static enum auth_result check_one(const char *name, const char *value)
{
    struct h1_header h = {str_of(name), str_of(value)};
    return check(key, &h, 1);
}

static void test_open(void **state)
{
    (void)state;
    struct h1_header h = {STR("authorization"), STR("Bearer anything")};
    assert_int_equal(check((struct str){"", 0}, NULL, 0), AUTH_OK);
    assert_int_equal(check((struct str){"", 0}, &h, 1), AUTH_OK);
}

static void test_right(void **state)
{
    (void)state;
    assert_int_equal(check_one("authorization", "Bearer sk-proxy"), AUTH_OK);
    assert_int_equal(check_one("authorization", "bearer sk-proxy"), AUTH_OK);
    assert_int_equal(check_one("authorization", "BEARER   sk-proxy "), AUTH_OK);
    assert_int_equal(check_one("x-api-key", "sk-proxy"), AUTH_OK);
}

static void test_wrong(void **state)
{
    (void)state;
    assert_int_equal(check_one("authorization", "Bearer sk-prox"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearer sk-proxyy"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearer sk-proxz"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearer SK-PROXY"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearer"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearer "), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", ""), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "sk-proxy"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Basic sk-proxy"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("authorization", "Bearersk-proxy"), AUTH_WRONG_KEY);
    assert_int_equal(check_one("x-api-key", ""), AUTH_WRONG_KEY);
    assert_int_equal(check_one("cookie", "sk-proxy"), AUTH_NO_KEY);
    assert_int_equal(check(key, NULL, 0), AUTH_NO_KEY);
}

static void test_two(void **state)
{
    (void)state;
    struct h1_header same[] = {{STR("authorization"), STR("Bearer sk-proxy")},
                               {STR("x-api-key"), STR("sk-proxy")}};
    struct h1_header first[] = {{STR("authorization"), STR("Bearer sk-proxy")},
                                {STR("x-api-key"), STR("other")}};
    struct h1_header second[] = {{STR("authorization"), STR("Bearer other")},
                                 {STR("x-api-key"), STR("sk-proxy")}};
    struct h1_header twice[] = {{STR("authorization"), STR("Bearer other")},
                                {STR("authorization"), STR("Bearer sk-proxy")}};
    struct h1_header malformed[] = {{STR("authorization"), STR("Basic xyz")},
                                    {STR("x-api-key"), STR("sk-proxy")}};
    assert_int_equal(check(key, same, 2), AUTH_OK);
    assert_int_equal(check(key, first, 2), AUTH_TWO_KEYS);
    assert_int_equal(check(key, second, 2), AUTH_TWO_KEYS);
    assert_int_equal(check(key, twice, 2), AUTH_TWO_KEYS);
    assert_int_equal(check(key, malformed, 2), AUTH_TWO_KEYS);
}

static struct str sent(const struct h1_header *headers, size_t n)
{
    const struct h1_head head = {.headers = headers, .n_headers = n};
    return auth_key(&head);
}

static void test_who_asks(void **state)
{
    (void)state;
    struct h1_header both[] = {{STR("accept"), STR("x")},
                               {STR("authorization"), STR("Bearer one")},
                               {STR("x-api-key"), STR("two")}};
    struct h1_header malformed[] = {{STR("authorization"), STR("Basic xyz")},
                                    {STR("x-api-key"), STR("two")}};
    assert_true(str_eq(sent(both, 3), STR("one")));
    assert_true(str_eq(sent(both + 2, 1), STR("two")));
    assert_true(str_eq(sent(malformed, 2), STR("two")));
    assert_int_equal(sent(both, 1).n, 0);
    assert_int_equal(sent(NULL, 0).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open), cmocka_unit_test(test_right),    cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_two),  cmocka_unit_test(test_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

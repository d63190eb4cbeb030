/*
 * Request lines and the URLs they mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "server/routes.h"

static void check(const char *method, const char *target, enum route_result result, int id,
                  const char *path)
{
    struct route_match m;
    assert_int_equal(route_find(str_of(method), str_of(target), &m), result);
    if (id < 0)
        assert_null(m.route);
    else
        assert_int_equal(m.route->id, id);
    assert_int_equal(m.path.n, strlen(path));
    assert_memory_equal(m.path.p, path, m.path.n);
}

static void test_found(void **state)
{
    (void)state;
    check("GET", "/health", ROUTE_FOUND, ROUTE_HEALTH, "/health");
    check("HEAD", "/health", ROUTE_FOUND, ROUTE_HEALTH, "/health");
    check("GET", "/health/", ROUTE_FOUND, ROUTE_HEALTH, "/health");
    check("GET", "/health?x=/v1/models", ROUTE_FOUND, ROUTE_HEALTH, "/health");
    check("GET", "/health#x", ROUTE_FOUND, ROUTE_HEALTH, "/health");
    check("GET", "/v1/models", ROUTE_FOUND, ROUTE_MODELS, "/v1/models");
    check("GET", "/v1/models/", ROUTE_FOUND, ROUTE_MODELS, "/v1/models");
    check("GET", "/v1/models/a/b", ROUTE_FOUND, ROUTE_MODEL, "/v1/models/a/b");
    check("POST", "/v1/chat/completions", ROUTE_FOUND, ROUTE_CHAT, "/v1/chat/completions");
    check("POST", "/v1/chat/completions/?a", ROUTE_FOUND, ROUTE_CHAT, "/v1/chat/completions");
    check("GET", "http://h:80/health", ROUTE_FOUND, ROUTE_HEALTH, "/health");
}

static void test_not_found(void **state)
{
    (void)state;
    check("GET", "/", ROUTE_UNKNOWN, -1, "/");
    check("GET", "/healthy", ROUTE_UNKNOWN, -1, "/healthy");
    check("GET", "/Health", ROUTE_UNKNOWN, -1, "/Health");
    check("POST", "/v1/foo", ROUTE_UNKNOWN, -1, "/v1/foo");
    check("GET", "/v1//models", ROUTE_UNKNOWN, -1, "/v1//models");
    check("GET", "http://h", ROUTE_UNKNOWN, -1, "");
    check("GET", "*", ROUTE_UNKNOWN, -1, "*");
    check("GET", "/a?b=http://c/health", ROUTE_UNKNOWN, -1, "/a");
}

static void test_method(void **state)
{
    (void)state;
    check("GET", "/v1/chat/completions", ROUTE_WRONG_METHOD, ROUTE_CHAT, "/v1/chat/completions");
    check("HEAD", "/v1/chat/completions", ROUTE_WRONG_METHOD, ROUTE_CHAT, "/v1/chat/completions");
    check("DELETE", "/v1/models/x", ROUTE_WRONG_METHOD, ROUTE_MODEL, "/v1/models/x");
    check("OPTIONS", "/v1/models", ROUTE_OPTIONS, ROUTE_MODELS, "/v1/models");
    check("OPTIONS", "*", ROUTE_OPTIONS, -1, "*");
    check("OPTIONS", "/nowhere", ROUTE_UNKNOWN, -1, "/nowhere");
}

static void check_name(const char *target, const char *want)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct route_match m;
    assert_int_equal(route_find(STR("GET"), str_of(target), &m), ROUTE_FOUND);
    struct str name = route_decode(&arena, m.name);
    if (!want) {
        assert_null(name.p);
    } else {
        assert_int_equal(name.n, strlen(want));
        assert_memory_equal(name.p, want, name.n);
    }
    arena_done(&arena);
}

static void test_name(void **state)
{
    (void)state;
    check_name("/v1/models/claude-opus-4-5", "claude-opus-4-5");
    check_name("/v1/models/anthropic/claude-opus-4.5/", "anthropic/claude-opus-4.5");
    check_name("/v1/models/anthropic%2Fclaude-opus-4.5", "anthropic/claude-opus-4.5");
    check_name("/v1/models/a%2fb%20c", "a/b c");
    check_name("/v1/models/a%", NULL);
    check_name("/v1/models/a%4", NULL);
    check_name("/v1/models/a%zz", NULL);
    check_name("/v1/models/a%00b", NULL);
    check_name("/v1/models/a%0d%0ab", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_method),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

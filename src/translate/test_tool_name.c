/*
 * What names of tools become, and that they come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "translate/translation.h"

struct fixture {
    struct arena arena;
    struct api_error err;
    struct tr_policy policy;
    struct tr_request out;
    struct translation t;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, 16u << 20);
    f->t = (struct translation){
        .arena = &f->arena, .policy = &f->policy, .out = &f->out, .err = &f->err};
}

static void becomes(struct fixture *f, const char *client, const char *upstream)
{
    struct str got = tool_name_upstream(&f->t, str_of(client));
    if (!str_eq(got, str_of(upstream)))
        fail_msg("'%s' became '%.*s', not '%s'", client, STR_ARG(got), upstream);
    got = tool_name_client(f->t.tool_names, str_of(upstream));
    if (!str_eq(got, str_of(client)))
        fail_msg("'%s' came back as '%.*s'", client, STR_ARG(got));
}

static void test_fine_names_stay(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    becomes(&f, "get_weather", "get_weather");
    becomes(&f, "A-1", "A-1");
    becomes(&f, "get_weather", "get_weather");
    arena_done(&f.arena);
}

static void test_bad_characters(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    becomes(&f, "ns.tool", "ns_tool");
    becomes(&f, "caf\xc3\xa9/x", "caf__x");
    becomes(&f, "", "_");
    becomes(&f, "ns.tool", "ns_tool");
    arena_done(&f.arena);
}

static bool has_digits_at_end(struct str s)
{
    for (size_t i = s.n - 8; i < s.n; i++)
        if (!strchr("0123456789abcdef", s.p[i]))
            return false;
    return s.p[s.n - 9] == '_';
}

static void test_long_names(void **state)
{
    (void)state;
    struct fixture f;
    char a[80], b[80];
    start(&f);
    memset(a, 'n', sizeof(a));
    memset(b, 'n', sizeof(b));
    b[79] = 'm';
    struct str one = tool_name_upstream(&f.t, (struct str){a, sizeof(a)});
    struct str other = tool_name_upstream(&f.t, (struct str){b, sizeof(b)});
    assert_int_equal(one.n, 64);
    assert_int_equal(other.n, 64);
    assert_true(has_digits_at_end(one));
    assert_false(str_eq(one, other));
    assert_true(str_eq(tool_name_client(f.t.tool_names, other), (struct str){b, sizeof(b)}));
    arena_done(&f.arena);
}

static void test_taken_names(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    assert_true(tool_name_reserve(&f.t, STR("web_search")));
    becomes(&f, "a_b", "a_b");
    const char *const later[] = {"a.b", "a b", "web_search", "web search"};
    for (size_t i = 0; i < PX_ARRAY_LEN(later); i++) {
        struct str got = tool_name_upstream(&f.t, str_of(later[i]));
        assert_true(tool_name_is_fine(got));
        assert_true(has_digits_at_end(got));
        assert_true(str_eq(tool_name_client(f.t.tool_names, got), str_of(later[i])));
        assert_true(str_eq(tool_name_upstream(&f.t, str_of(later[i])), got));
    }
    /* An upstream tool's own name is nobody's. */
    assert_true(str_eq(tool_name_client(f.t.tool_names, STR("web_search")), STR("web_search")));
    arena_done(&f.arena);
}

/* The name that a hash gave to another is not given twice. */
static void test_taken_hash(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    becomes(&f, "a_b", "a_b");
    char hashed[65];
    struct str first = tool_name_upstream(&f.t, STR("a.b"));
    snprintf(hashed, sizeof(hashed), "%.*s", STR_ARG(first));
    arena_done(&f.arena);
    start(&f);
    becomes(&f, "a_b", "a_b");
    becomes(&f, hashed, hashed);
    struct str second = tool_name_upstream(&f.t, STR("a.b"));
    assert_false(str_eq(second, str_of(hashed)));
    assert_true(has_digits_at_end(second));
    arena_done(&f.arena);
}

static void test_same_again(void **state)
{
    (void)state;
    struct fixture f, g;
    start(&f);
    start(&g);
    const char *const names[] = {"x.y", "x_y", "x/y", "x-y"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        assert_true(str_eq(tool_name_upstream(&f.t, str_of(names[i])),
                           tool_name_upstream(&g.t, str_of(names[i]))));
    arena_done(&f.arena);
    arena_done(&g.arena);
}

static void test_too_many(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    char name[32];
    struct str got = STR("");
    for (unsigned i = 0; got.p; i++) {
        assert_true(i <= 2048);
        snprintf(name, sizeof(name), "tool.%u", i);
        got = tool_name_upstream(&f.t, str_of(name));
    }
    assert_int_equal(f.err.status, 400);
    assert_string_equal(f.err.code, "array_above_max_length");
    arena_done(&f.arena);
}

static void test_without_memory(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.arena.max = f.arena.used;
    assert_null(tool_name_upstream(&f.t, STR("x")).p);
    assert_int_equal(f.err.status, 413);
    assert_false(tool_name_reserve(&f.t, STR("x")));
    arena_done(&f.arena);
}

static void test_nothing_known(void **state)
{
    (void)state;
    assert_true(str_eq(tool_name_client(NULL, STR("x")), STR("x")));
    assert_false(tool_name_is_custom(NULL, STR("x")));
}

static void test_custom(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    becomes(&f, "code.exec", "code_exec");
    becomes(&f, "other", "other");
    tool_name_set_custom(f.t.tool_names, STR("code_exec"));
    assert_true(tool_name_is_custom(f.t.tool_names, STR("code_exec")));
    assert_false(tool_name_is_custom(f.t.tool_names, STR("other")));
    arena_done(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fine_names_stay), cmocka_unit_test(test_bad_characters),
        cmocka_unit_test(test_long_names),      cmocka_unit_test(test_taken_names),
        cmocka_unit_test(test_taken_hash),      cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_too_many),        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_nothing_known),   cmocka_unit_test(test_custom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

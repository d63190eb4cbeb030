/*
 * Patterns as ECMA-262 has them, and those that make others run for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/regex.h"

static bool matches(const char *pattern, const char *text)
{
    static struct regex re;
    size_t steps = 1000000;
    if (!regex_compile(&re, str_of(pattern)))
        fail_msg("does not compile: %s", pattern);
    return regex_matches(&re, str_of(text), &steps);
}

static void test_matches(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"", "abc"},
        {"b", "abc"},
        {"^abc$", "abc"},
        {"^(a|bc)*d?$", "abcabcd"},
        {"^\\d{3}-\\d{4}$", "555-1234"},
        {"^[A-Z][a-z]+(?: [A-Z][a-z]+)*$", "Ada Lovelace"},
        {"^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$", "a@b.cd"},
        {"^.$", "\xc3\xa9"},
        {"^[\xc3\xa0-\xc3\xbf]$", "\xc3\xa9"},
        {"^\\u00e9$", "\xc3\xa9"},
        {"^\\u{1F600}$", "\xf0\x9f\x98\x80"},
        {"^\\ud83d\\ude00$", "\xf0\x9f\x98\x80"},
        {"^a{2,}$", "aaaa"},
        {"^a{0,2}$", ""},
        {"^(a{2}){3}$", "aaaaaa"},
        {"^(?<year>[0-9]{4})$", "2026"},
        {"\\bcat\\b", "a cat sat"},
        {"^a+?b*?$", "aab"},
        {"^[\\w.-]+$", "a.b-c_9"},
        {"^[\\]\\-x]$", "]"},
        {"^\\/\\.\\$$", "/.$"},
        {"^(|a)*$", "aa"},
        {"^(a*)*$", "aaa"},
        {"^\\S\\D\\W$", "ab!"},
        {"a|b|c", "xcx"},
        {"^\\x41\\t$", "A\t"},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (!matches(cases[i][0], cases[i][1]))
            fail_msg("%s does not match %s", cases[i][0], cases[i][1]);
}

static void test_does_not_match(void **state)
{
    static const char *const cases[][2] = {
        {"^abc$", "abcd"},        {"^a{2,3}$", "aaaa"}, {"^a{2,3}$", "a"},
        {"^\\d+$", "12a"},        {"^[^abc]$", "b"},    {"^.$", "\n"},
        {"\\bcat\\b", "concat"},  {"\\Bcat", "cat"},    {"^(a|b)$", "c"},
        {"^\\w$", "\xc3\xa9"},    {"[]", "a"},          {"^.$", "\xe2\x80\xa8"},
        {"^(?:a|b){2}$", "abab"}, {"^a$", "A"},         {"^$", "x"},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (matches(cases[i][0], cases[i][1]))
            fail_msg("%s matches %s", cases[i][0], cases[i][1]);
}

static void test_refuses_what_it_cannot_do(void **state)
{
    static const char *const cases[] = {"(a)\\1", "(?=a)", "(?!a)",  "(?<=a)b", "(?<!a)b",
                                        "\\p{L}", "(",     ")",      "a)",      "[a",
                                        "*a",     "a**",   "a{2",    "a{3,2}",  "(a{1000}){9}",
                                        "[z-a]",  "\\",    "\\k<a>", "\\u12",   "a{9999}",
                                        "[\\d-x]"};
    static struct regex re;
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (regex_compile(&re, str_of(cases[i])))
            fail_msg("compiles: %s", cases[i]);
}

/* Deep nesting and long rows end in a refusal, not in the stack's. */
static void test_hostile_patterns_are_refused(void **state)
{
    static struct regex re;
    static char text[100000];
    static const char chars[] = "(|[?";
    (void)state;
    for (size_t i = 0; i < sizeof(chars) - 1; i++) {
        memset(text, chars[i], sizeof(text));
        assert_false(regex_compile(&re, (struct str){text, sizeof(text)}));
    }
}

static void test_time_is_linear(void **state)
{
    static struct regex re;
    static char text[100001];
    size_t steps = 5000000;
    (void)state;
    memset(text, 'a', 100000);
    text[100000] = '!';
    assert_true(regex_compile(&re, STR("^(a+)+$")));
    assert_false(regex_matches(&re, (struct str){text, sizeof(text)}, &steps));
    assert_true(steps > 3500000); /* about a dozen a character */
    steps = 1000;
    assert_true(regex_compile(&re, STR("^(a|aa)*$")));
    assert_false(regex_matches(&re, (struct str){text, 100000}, &steps));
    assert_int_equal(steps, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_does_not_match),
        cmocka_unit_test(test_refuses_what_it_cannot_do),
        cmocka_unit_test(test_hostile_patterns_are_refused),
        cmocka_unit_test(test_time_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

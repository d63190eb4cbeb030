/*
 * The fence filter: what it leaves, in every cut into two and letter by letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "translate/fence.h"

#define OUT_BYTES_MAX 65536

static void run(struct str in, size_t first, size_t step, struct buf *out)
{
    struct fence f = {0};
    buf_reset(out);
    fence_feed(&f, (struct str){in.p, first}, out);
    for (size_t i = first; i < in.n; i += step)
        fence_feed(&f, (struct str){in.p + i, step < in.n - i ? step : in.n - i}, out);
    fence_end(&f, out);
}

static void expect(const char *in, const char *expected)
{
    struct str text = str_of(in);
    struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    for (size_t cut = 0; cut <= text.n; cut++) {
        run(text, cut, text.n, &out);
        if (!str_eq(buf_str(&out), str_of(expected)))
            fail_msg("\"%s\" cut at %zu: \"%.*s\"", in, cut, STR_ARG(buf_str(&out)));
    }
    run(text, 0, 1, &out);
    assert_true(str_eq(buf_str(&out), str_of(expected)));
    buf_done(&out);
}

static void test_fences(void **state)
{
    (void)state;
    expect("```json\n{\"a\":1}\n```", "{\"a\":1}");
    expect("```json\r\n{}\r\n```\r\n", "{}");
    expect("\n\n ```\n{}\n```\n", "{}");
    expect("```json\n{\n  \"a\": [\n    1\n  ]\n}\n```", "{\n  \"a\": [\n    1\n  ]\n}");
    expect("```json{\"a\":1}```", "{\"a\":1}");
    expect("```json [1]\n```", "[1]");
    expect("```{}```  ", "{}");
    expect("```json5\n{}\n```", "{}");
    expect("```json\n```", "");
    expect("```json\n{}\n```\nDone.", "{}");
    expect("```json\n{}\n   ```", "{}");
}

static void test_backticks_that_are_content(void **state)
{
    (void)state;
    expect("```json\n{\"a\":\"```\"}\n```", "{\"a\":\"```\"}");
    expect("```json\n{\"a\":\"``` \"}\n```", "{\"a\":\"``` \"}");
    expect("```json\n{\"a\":\"`` ` ```` \"}\n```", "{\"a\":\"`` ` ```` \"}");
    expect("```\n{}\n`", "{}\n`");
    expect("```\n{} ``\n x", "{} ``\n x");
    expect("`{}`", "`{}`");
    expect("``", "``");
    expect(" ``x", "``x");
}

static void test_no_fence(void **state)
{
    (void)state;
    expect("", "");
    expect(" \n\t\r ", "");
    expect("{\"a\": 1}\n", "{\"a\": 1}\n");
    expect("  {} ", "{} ");
    expect("Here it is:\n```json\n{}\n```", "Here it is:\n```json\n{}\n```");
}

static void test_cut_off(void **state)
{
    (void)state;
    expect("```", "");
    expect("```js", "");
    expect("```json\n", "");
    expect("```json\n{\"a\":\n  ", "{\"a\":");
    expect("```json\n{}\n``", "{}\n``");
}

/* A run of blanks longer than what is held goes out: nothing grows. */
static void test_long_runs_of_blanks(void **state)
{
    (void)state;
    char in[4 * FENCE_HELD_MAX];
    struct buf out;
    memset(in, ' ', sizeof(in));
    memcpy(in, "```\n{", 5);
    memcpy(in + sizeof(in) - 5, "}\n```", 5);
    buf_init(&out, OUT_BYTES_MAX);
    run((struct str){in, sizeof(in)}, 0, 1, &out);
    assert_int_equal(out.len, sizeof(in) - 8);
    assert_int_equal(out.data[0], '{');
    assert_int_equal(out.data[out.len - 1], '}');
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_backticks_that_are_content),
        cmocka_unit_test(test_no_fence),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_long_runs_of_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

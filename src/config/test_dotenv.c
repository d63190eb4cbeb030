/*
 * The .env format: each rule of docs/configuration.md, and each way to break one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/dotenv.h"

#define ARENA_MAX (4 * DOTENV_BYTES_MAX)

static void write_pair(void *arg, struct str name, struct str value, int line)
{
    buf_printf(arg, "%d:%.*s=[%.*s]", line, STR_ARG(name), STR_ARG(value));
}

/* "line:NAME=[value]" of every pair, or "line!message". */
static void parse(struct str text, struct buf *out)
{
    struct arena arena;
    struct dotenv_error error;
    /* A copy of the exact size, so that the address sanitizer sees any read past the end. */
    char *copy = malloc(text.n ? text.n : 1);
    assert_non_null(copy);
    if (text.n)
        memcpy(copy, text.p, text.n);
    arena_init(&arena, ARENA_MAX);
    if (!dotenv_parse(&arena, (struct str){copy, text.n}, write_pair, out, &error))
        buf_printf(out, "%d!%s", error.line, error.message);
    arena_done(&arena);
    free(copy);
}

static void check(struct str text, const char *expected)
{
    struct buf out;
    buf_init(&out, DOTENV_BYTES_MAX * 2);
    parse(text, &out);
    buf_append_char(&out, '\0');
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    buf_done(&out);
}
#define CHECK(text, expected) check(STR(text), expected)

static void nothing_at_all(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("\n\n", "");
    CHECK("  \t \n# comment\n   # another\r\n\r\n", "");
    CHECK("#", "");
    CHECK("\xef\xbb\xbf", "");
}

static void plain_pairs(void **state)
{
    (void)state;
    CHECK("A=1", "1:A=[1]");
    CHECK("A=1\nB=2\n", "1:A=[1]2:B=[2]");
    CHECK("A=1\r\nB=2\r\n", "1:A=[1]2:B=[2]");
    CHECK("A=1\r", "1:A=[1]");
    CHECK("\n\n  A=1", "3:A=[1]");
    CHECK("A=\nB=", "1:A=[]2:B=[]");
    CHECK("A = 1 ", "1:A=[1]");
    CHECK("\tA\t=\t1\t", "1:A=[1]");
    CHECK("A=two words", "1:A=[two words]");
    CHECK("A=a=b==", "1:A=[a=b==]");
    CHECK("A=1\nA=2", "1:A=[1]2:A=[2]"); /* the caller decides which wins */
    CHECK("_a9=1", "1:_a9=[1]");
    CHECK("spring.main-name=x", "1:spring.main-name=[x]");
    CHECK("A=\xc3\xa4\xe2\x82\xac", "1:A=[\xc3\xa4\xe2\x82\xac]");
    CHECK("A=it's", "1:A=[it's]");
    CHECK("A=back\\nslash", "1:A=[back\\nslash]");
    CHECK("A=$HOME", "1:A=[$HOME]");
}

static void byte_order_mark(void **state)
{
    (void)state;
    CHECK("\xef\xbb\xbf"
          "A=1",
          "1:A=[1]");
    CHECK("\xef\xbb\xbf\r\nA=1", "2:A=[1]");
    CHECK("A=1\n\xef\xbb\xbf"
          "B=2",
          "1:A=[1]2!a name must begin with a letter or an underscore");
}

static void export_in_front(void **state)
{
    (void)state;
    CHECK("export A=1", "1:A=[1]");
    CHECK("  export \t A = 1", "1:A=[1]");
    CHECK("export=1", "1:export=[1]");
    CHECK("export = 1", "1:export=[1]");
    CHECK("exported=1", "1:exported=[1]");
    CHECK("export A", "1!there is no \"=\" behind the name");
}

static void comments_behind_values(void **state)
{
    (void)state;
    CHECK("A=1 # one", "1:A=[1]");
    CHECK("A=1\t#one", "1:A=[1]");
    CHECK("A=1#one", "1:A=[1#one]");
    CHECK("A=#one", "1:A=[#one]");
    CHECK("A= # nothing", "1:A=[]");
    CHECK("A='1' # one", "1:A=[1]");
    CHECK("A=\"1\"# one\nB=2", "1:A=[1]2:B=[2]");
    CHECK("A='1 # one'", "1:A=[1 # one]");
    CHECK("A=\"1 # one\"", "1:A=[1 # one]");
    CHECK("A=1 # it's \"fine\"\nB=2", "1:A=[1]2:B=[2]");
}

static void single_quotes(void **state)
{
    (void)state;
    CHECK("A=''", "1:A=[]");
    CHECK("A='  kept  '  ", "1:A=[  kept  ]");
    CHECK("A='\\n$x\"\\'", "1:A=[\\n$x\"\\]");
    CHECK("A='1\n2'\nB=3", "1:A=[1\n2]3:B=[3]");
}

static void double_quotes(void **state)
{
    (void)state;
    CHECK("A=\"\"", "1:A=[]");
    CHECK("A=\"  kept  \"  ", "1:A=[  kept  ]");
    CHECK("A=\"1\\n2\\t3\\r4\"", "1:A=[1\n2\t3\r4]");
    CHECK("A=\"\\\"\\\\\\$\"", "1:A=[\"\\$]");
    CHECK("A=\"\\x\\'\\ \"", "1:A=[\\x\\'\\ ]");
    CHECK("A=\"$HOME ${X}\"", "1:A=[$HOME ${X}]");
    CHECK("A=\"it's\"", "1:A=[it's]");
}

static void values_that_span_lines(void **state)
{
    (void)state;
    CHECK("A=\"1\n2\n\"\nB=3", "1:A=[1\n2\n]4:B=[3]");
    CHECK("A=\"1\r\n2\"\r\nB=3", "1:A=[1\n2]3:B=[3]");
    CHECK("A=\"1\\\n2\"\nB=3", "1:A=[1\\\n2]3:B=[3]");
    CHECK("A=\"1\r2\"", "1:A=[1\r2]");
    CHECK("A=\"\n\n\nB\n", "1!the double quote is never closed"); /* where it was opened */
}

static void malformed_lines(void **state)
{
    (void)state;
    CHECK("A=1\nnonsense\n", "1:A=[1]2!there is no \"=\" behind the name");
    CHECK("two words=1", "1!there is no \"=\" behind the name");
    CHECK("=1", "1!a name must begin with a letter or an underscore");
    CHECK("9A=1", "1!a name must begin with a letter or an underscore");
    CHECK("\xc3\xa4=1", "1!a name must begin with a letter or an underscore");
    CHECK("A='1", "1!the single quote is never closed");
    CHECK("A=\"1", "1!the double quote is never closed");
    CHECK("A=\"1\\\"", "1!the double quote is never closed");
    CHECK("A=\"1\\", "1!the double quote is never closed");
    CHECK("A='1'2", "1!there is text behind the closing quote");
    CHECK("A=\"1\" \"2\"", "1!there is text behind the closing quote");
    CHECK("A=\"1\"\rB", "1!there is text behind the closing quote");
    CHECK("A=1\x01", "1!a control character stands in a value without quotes");
    CHECK("A=1\rB=2", "1!a control character stands in a value without quotes");
    CHECK("A=\x7f", "1!a control character stands in a value without quotes");
}

static void not_text(void **state)
{
    (void)state;
    CHECK("A=1\nB=\0\n", "2!this is not UTF-8 text");
    CHECK("A=1\n\n# \xff\n", "3!this is not UTF-8 text");
    CHECK("A='\xc3'", "1!this is not UTF-8 text");
    CHECK("\xff\xfe"
          "A\0=\0",
          "1!this is not UTF-8 text"); /* UTF-16, as Windows editors may save */
}

static void too_large(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, DOTENV_BYTES_MAX + 1);
    while (buf_append_z(&text, "#\n"))
        continue;
    text.failed = false;
    assert_int_equal(text.len, DOTENV_BYTES_MAX);
    check(buf_str(&text), "");
    assert_true(buf_append_char(&text, '\n'));
    check(buf_str(&text), "1!the file is larger than 1 MB");
    buf_done(&text);
}

static void ignore_pair(void *arg, struct str name, struct str value, int line)
{
    (void)arg, (void)name, (void)value, (void)line;
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct arena arena;
    struct dotenv_error error;
    arena_init(&arena, 4);
    assert_false(dotenv_parse(&arena, STR("A=1\nB=\"12345\""), ignore_pair, NULL, &error));
    assert_int_equal(error.line, 2);
    assert_string_equal(error.message, "out of memory");
    arena_done(&arena);
}

/* The example of the documentation gives what it says. */
static void documented_example(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page, DOTENV_BYTES_MAX);
    config_write_markdown(&page);
    ptrdiff_t from = str_find(buf_str(&page), STR("```sh\n"));
    assert_true(from >= 0);
    struct str rest = {page.data + from + 6, page.len - (size_t)from - 6};
    ptrdiff_t to = str_find(rest, STR("```\n"));
    assert_true(to >= 0);
    check((struct str){rest.p, (size_t)to},
          "2:PORT=[8000]3:LOG_LEVEL=[debug]4:ANTHROPIC_API_KEY=[sk-ant-]"
          "5:CORS_ORIGINS=[https://a.example]");
    buf_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(plain_pairs),
        cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(export_in_front),
        cmocka_unit_test(comments_behind_values),
        cmocka_unit_test(single_quotes),
        cmocka_unit_test(double_quotes),
        cmocka_unit_test(values_that_span_lines),
        cmocka_unit_test(malformed_lines),
        cmocka_unit_test(not_text),
        cmocka_unit_test(too_large),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(documented_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

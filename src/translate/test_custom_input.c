/*
 * The text of custom tools' inputs, in every cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/custom_input.h"
#include "json/json.h"

/* Every piece of the text must be a JSON string by itself. */
static void add_piece(struct buf *piece, struct buf *text)
{
    struct buf quoted;
    struct json_error err;
    buf_init(&quoted, 1u << 16);
    buf_append_char(&quoted, '"');
    buf_append_str(&quoted, buf_str(piece));
    buf_append_char(&quoted, '"');
    yyjson_doc *doc = json_parse(buf_str(&quoted), &err);
    if (!doc)
        fail_msg("not a string: %.*s", STR_ARG(buf_str(&quoted)));
    buf_append_str(text, json_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    buf_done(&quoted);
    buf_reset(piece);
}

/* Pieces end where characters do, as those of an event stream. */
static size_t piece_end(struct str s, size_t at, size_t step)
{
    at = at + step < s.n ? at + step : s.n;
    while (at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80)
        at++;
    return at;
}

static void gives_in_steps(struct str json, size_t step, struct str expected)
{
    struct custom_input c;
    struct buf piece, text;
    custom_input_init(&c);
    buf_init(&piece, 1u << 16);
    buf_init(&text, 1u << 16);
    for (size_t at = 0; at < json.n;) {
        size_t end = piece_end(json, at, step);
        custom_input_feed(&c, (struct str){json.p + at, end - at}, &piece);
        add_piece(&piece, &text);
        at = end;
    }
    custom_input_end(&c, &piece);
    add_piece(&piece, &text);
    if (!str_eq(buf_str(&text), expected))
        fail_msg("%.*s in steps of %zu gives '%.*s', not '%.*s'", STR_ARG(json), step,
                 STR_ARG(buf_str(&text)), STR_ARG(expected));
    buf_done(&piece);
    buf_done(&text);
    custom_input_done(&c);
}

static void gives(const char *json, const char *expected)
{
    for (size_t step = 1; step <= strlen(json); step++)
        gives_in_steps(str_of(json), step, str_of(expected));
}

static void test_text(void **state)
{
    (void)state;
    gives("{\"input\":\"a b\"}", "a b");
    gives("{\"input\":\"\"}", "");
    gives(" {\n \"input\" : \"x\" , \"more\": \"y\" }", "x");
    gives("{\"input\":\"caf\xc3\xa9 \xf0\x9f\x98\x80\"}", "caf\xc3\xa9 \xf0\x9f\x98\x80");
}

static void test_escapes(void **state)
{
    (void)state;
    gives("{\"input\":\"a\\nb\"}", "a\nb");
    gives("{\"input\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t");
    gives("{\"input\":\"\\\\n\"}", "\\n");
    gives("{\"input\":\"\\u00e9\\u0041x\"}", "\xc3\xa9"
                                             "Ax");
    gives("{\"input\":\"\\ud83d\\ude00!\"}", "\xf0\x9f\x98\x80!");
}

/* Input that is streamed before it was checked may be anything. */
static void test_broken(void **state)
{
    (void)state;
    gives("{\"input\":\"a\\xb\"}", "a\\xb");
    gives("{\"input\":\"\\u12g4\"}", "\\u12g4");
    gives("{\"input\":\"\\u12\"}", "\\u12");
    gives("{\"input\":\"\\ud83d!\"}", "\xef\xbf\xbd!");
    gives("{\"input\":\"\\ud83d\\n\"}", "\xef\xbf\xbd\n");
    gives("{\"input\":\"\\ud83d\\u0041\"}", "\xef\xbf\xbd"
                                            "A");
    gives("{\"input\":\"\\ud83d\\uzz\"}", "\xef\xbf\xbd\\uzz");
    gives("{\"input\":\"\\ud83d\\ud83d\\ude00\"}", "\xef\xbf\xbd\xf0\x9f\x98\x80");
    gives("{\"input\":\"\\ude00\"}", "\xef\xbf\xbd");
    gives("{\"input\":\"\\ud83d\"}", "\xef\xbf\xbd");
    gives("{\"input\":\"line\nbreak\"}", "line\nbreak");
    gives("{\"input\":\"\\\xc3\xa9\"}", "\\\xc3\xa9");
    gives("{\"input\":\"\\ud83d\\\xc3\xa9\"}", "\xef\xbf\xbd\\\xc3\xa9");
}

static void test_cut_off(void **state)
{
    (void)state;
    gives("{\"inp", "");
    gives("{\"input\":\"ab", "ab");
    gives("{\"input\":\"ab\\", "ab");
    gives("{\"input\":\"ab\\u00", "ab");
    gives("{\"input\":\"ab\\ud83d\\ude", "ab\xef\xbf\xbd");
}

static void test_other_forms(void **state)
{
    (void)state;
    gives("{\"input\":5}", "{\"input\":5}");
    gives("{\"code\":\"x\"}", "{\"code\":\"x\"}");
    gives("\"x\"", "\"x\"");
}

static void test_head_too_long(void **state)
{
    (void)state;
    struct custom_input c;
    struct buf out;
    char blanks[1000];
    memset(blanks, ' ', sizeof(blanks));
    custom_input_init(&c);
    buf_init(&out, 1u << 16);
    for (size_t i = 0; i < 6; i++)
        custom_input_feed(&c, (struct str){blanks, sizeof(blanks)}, &out);
    assert_int_equal(c.state, CUSTOM_INPUT_OTHER);
    assert_int_equal(out.len, 6000);
    buf_done(&out);
    custom_input_done(&c);
}

/* The limit is of what stands before the text, however much of the text comes with it. */
static void test_long_text_at_once(void **state)
{
    (void)state;
    struct buf json, expected;
    buf_init(&json, 1u << 16);
    buf_init(&expected, 1u << 16);
    for (size_t i = 0; i < CUSTOM_INPUT_HEAD_MAX; i++)
        buf_append_z(&expected, "\xc3\xa9");
    buf_printf(&json, "{\"input\": \"%.*s\"}", STR_ARG(buf_str(&expected)));
    static const size_t steps[] = {1u << 16, CUSTOM_INPUT_HEAD_MAX, 5};
    for (size_t i = 0; i < PX_ARRAY_LEN(steps); i++)
        gives_in_steps(buf_str(&json), steps[i], buf_str(&expected));
    buf_done(&json);
    buf_done(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_text_at_once), cmocka_unit_test(test_text),
        cmocka_unit_test(test_escapes),           cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cut_off),           cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_head_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Parsing under limits, numbers digit for digit, writing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "json/json.h"

static yyjson_doc *parse(const char *text)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(str_of(text), &err);
    assert_non_null(doc);
    return doc;
}

static struct json_error parse_bad(struct str text)
{
    struct json_error err = {0};
    assert_null(json_parse(text, &err));
    assert_non_null(err.message);
    return err;
}

static void repeat(struct buf *b, char c, size_t n)
{
    char *p = buf_reserve(b, n);
    assert_non_null(p);
    memset(p, c, n);
    b->len += n;
}

static void test_depth(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8u << 20);
    repeat(&b, '[', JSON_DEPTH_MAX);
    repeat(&b, ']', JSON_DEPTH_MAX);
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&b), &err);
    assert_non_null(doc);
    yyjson_doc_free(doc);
    buf_reset(&b);
    repeat(&b, '[', JSON_DEPTH_MAX + 1);
    repeat(&b, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(parse_bad(buf_str(&b)).offset, JSON_DEPTH_MAX);
    buf_reset(&b);
    repeat(&b, '[', 2000000); /* no recursion, no time */
    assert_int_equal(parse_bad(buf_str(&b)).offset, JSON_DEPTH_MAX);
    buf_done(&b);
}

static void test_brackets_in_strings_do_not_count(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_append_z(&b, "[\"\\\\\\\"");
    repeat(&b, '[', 500);
    buf_append_z(&b, "\\\\\"]");
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&b), &err);
    assert_non_null(doc);
    assert_int_equal(yyjson_get_len(yyjson_arr_get_first(yyjson_doc_get_root(doc))), 503);
    yyjson_doc_free(doc);
    buf_done(&b);
}

static void test_number_of_values(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 16u << 20);
    buf_append_z(&b, "[0");
    for (size_t i = 0; i < JSON_VALUES_MAX; i++)
        buf_append_z(&b, ",0");
    buf_append_z(&b, "]");
    assert_string_equal(parse_bad(buf_str(&b)).message, "the document holds too many values");
    buf_done(&b);
}

static void test_bad_documents(void **state)
{
    (void)state;
    static const struct str bad[] = {
        STR(""),
        STR(" "),
        STR("{"),
        STR("[1,]"),
        STR("{\"a\"}"),
        STR("{} x"),
        STR("nul"),
        STR("01"),
        STR("1."),
        STR("+1"),
        STR("\"a"),
        STR("\"\\x\""),
        STR("\"\n\""),
        STR("\"\\\""),
        STR("[1]]"),
        STR("\"\xff\""),
        STR("\"\xc0\xaf\""),
        STR("\"\xed\xa0\x80\""),
        STR("\xef\xbb\xbf{}"),
        STR("\"\\ud800\""),
        STR("\"\\udc00\\ud800\""),
        STR("{} // c"),
        STR("[1 /* c */]"),
        STR("Infinity"),
        STR("\0"),
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++)
        parse_bad(bad[i]);
}

static void test_last_of_a_name_counts(void **state)
{
    (void)state;
    yyjson_doc *doc = parse("{\"a\":1,\"b\":\"x\",\"a\":\"2\",\"b\":null}");
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_true(str_eq(json_str(json_get(root, "a")), STR("2")));
    assert_null(json_get(root, "b"));
    assert_null(json_get(root, "c"));
    assert_null(json_get(json_get(root, "a"), "a"));
    yyjson_doc_free(doc);
}

static void test_names_with_nul(void **state)
{
    (void)state;
    yyjson_doc *doc = parse("{\"a\\u0000b\":1,\"a\":2}");
    yyjson_val *root = yyjson_doc_get_root(doc);
    int64_t n;
    assert_true(json_to_int(json_get(root, "a"), &n));
    assert_int_equal(n, 2);
    assert_true(json_to_int(json_get_n(root, (struct str){"a\0b", 3}), &n));
    assert_int_equal(n, 1);
    yyjson_doc_free(doc);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"-42", true, -42},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775807", true, -INT64_MAX},
        {"18446744073709551616", false, 0},
        {"1.0", true, 1},
        {"1e3", true, 1000},
        {"1.5", false, 0},
        {"1e400", false, 0},
        {"1e300", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"[1]", false, 0},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        yyjson_doc *doc = parse(cases[i].text);
        int64_t n = 0;
        assert_int_equal(json_to_int(yyjson_doc_get_root(doc), &n), cases[i].is_int);
        if (cases[i].is_int)
            assert_true(n == cases[i].value);
        yyjson_doc_free(doc);
    }
    int64_t n;
    double d;
    assert_false(json_to_int(NULL, &n));
    assert_false(json_to_double(NULL, &d));
    assert_int_equal(json_number_text(NULL).n, 0);
}

static void check_roundtrip(const char *text)
{
    yyjson_doc *doc = parse(text);
    struct buf b;
    buf_init(&b, 1u << 20);
    assert_true(json_write_value(&b, yyjson_doc_get_root(doc)));
    if (!str_eq(buf_str(&b), str_of(text)))
        fail_msg("%s became %.*s", text, STR_ARG(buf_str(&b)));
    buf_done(&b);
    yyjson_doc_free(doc);
}

static bool is_same(const char *a, const char *b)
{
    struct json_error err;
    yyjson_doc *x = json_parse(str_of(a), &err), *y = json_parse(str_of(b), &err);
    assert_non_null(x);
    assert_non_null(y);
    const bool is = json_is_same(yyjson_doc_get_root(x), yyjson_doc_get_root(y));
    assert_int_equal(is, json_is_same(yyjson_doc_get_root(y), yyjson_doc_get_root(x)));
    yyjson_doc_free(x);
    yyjson_doc_free(y);
    return is;
}

static void test_same(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } pairs[] = {
        {"{\"a\":1.0,\"b\":[true,null,\"\\u00e9\"]}", "{\"b\":[true,null,\"\xc3\xa9\"],\"a\":1}",
         true},
        {"1e2", "100", true},
        {"12345678901234567890123", "12345678901234567890123", true},
        {"1", "2", false},
        {"1", "\"1\"", false},
        {"true", "false", false},
        {"null", "false", false},
        {"null", "null", true},
        {"{}", "[]", false},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":null}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", false},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(pairs); i++)
        if (is_same(pairs[i].a, pairs[i].b) != pairs[i].is_same)
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
    assert_false(json_is_same(NULL, NULL));
}

/* Members in another order, too many to be looked for. */
static void test_same_of_large_objects(void **state)
{
    (void)state;
    struct buf a, b;
    buf_init(&a, 1u << 20);
    buf_init(&b, 1u << 20);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&a, "%c\"m%d\":%d", i ? ',' : '{', i, i);
        buf_printf(&b, "%c\"m%d\":%d", i ? ',' : '{', 999 - i, 999 - i);
    }
    buf_append(&a, "}", 2);
    buf_append(&b, "}", 2);
    assert_true(is_same(a.data, a.data));
    assert_false(is_same(a.data, b.data));
    buf_done(&a);
    buf_done(&b);
}

static void test_roundtrip(void **state)
{
    (void)state;
    check_roundtrip("{\"z\":1,\"a\":{\"\":[]},\"m\":[{},[],null,true,false]}");
    check_roundtrip("[12345678901234567890,0.10,1e10,1E+2,-0,-0.0,123456789.123456789123456789]");
    check_roundtrip("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f é中😀\"");
    check_roundtrip("{\"a\":1,\"a\":2}");
}

static void check_string(struct str in, const char *expected)
{
    struct buf b;
    buf_init(&b, 4096);
    assert_true(json_write_string(&b, in));
    assert_true(str_eq(buf_str(&b), str_of(expected)));
    assert_true(utf8_is_valid(buf_str(&b)));
    buf_done(&b);
}

static void test_strings(void **state)
{
    (void)state;
    check_string(STR(""), "\"\"");
    check_string((struct str){NULL, 0}, "\"\"");
    check_string(STR("a\"b\\c\n"), "\"a\\\"b\\\\c\\n\"");
    check_string((struct str){"a\0b", 3}, "\"a\\u0000b\"");
    check_string(STR("\xff"), "\"\xef\xbf\xbd\"");
    check_string(STR("a\xe2\x82"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string(STR("\xe2\x82\xac\xff\n"), "\"\xe2\x82\xac\xef\xbf\xbd\\n\"");
}

/* Each byte at each place of texts shorter and longer than what is looked at at once. */
static void test_every_byte_everywhere(void **state)
{
    (void)state;
    char text[50], want[60], escape[8];
    for (unsigned c = 0; c < 0x80; c++) {
        const char *hit = c ? strchr("\"\"\\\\\nn\rr\tt\bb\ff", (int)c) : NULL;
        const bool is_short = hit && (c == '"' || c == '\\' || c < 0x20);
        if (is_short)
            snprintf(escape, sizeof(escape), "\\%c", hit[1]);
        else
            snprintf(escape, sizeof(escape), c < 0x20 ? "\\u%04x" : "%c", c);
        for (size_t n = 1; n < sizeof(text); n++) {
            for (size_t at = 0; at < n; at++) {
                memset(text, 'x', n);
                text[at] = (char)c;
                const int want_n = snprintf(want, sizeof(want), "\"%.*s%s%.*s\"", (int)at,
                                            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                            escape, (int)(n - at - 1),
                                            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
                struct buf b; /* not a byte more than is needed */
                buf_init(&b, (size_t)want_n);
                assert_true(json_write_text(&b, (struct str){text, n}));
                assert_true(str_eq(buf_str(&b), (struct str){want, (size_t)want_n}));
                buf_done(&b);
            }
        }
    }
}

/* What stays in the text must be the very same bytes, and the rest what it is without. */
static void test_in_place(void **state)
{
    (void)state;
    static const struct {
        const char *string; /* as it is written */
        bool stays;
    } cases[] = {
        {"0123456789abcdef", true},
        {"0123456789abcde", false}, /* one short */
        {"0123456789abcdef and more than is looked at in one piece, to the end", true},
        {"0123456789abcd\\n", false},
        {"\\n0123456789abcdef", false},
        {"0123456789abcdef\\/0123456789abcdef", false},
        {"0123456789abcdef\\\"0123456789abcdef\\\\", false},
        {"0123456789abcdef\\u0041", false},
        {"0123456789abcdef\xc3\xa9", false},
        {"0123456789abcdef\x7f", true},
        {"", false},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        const char *s = cases[i].string;
        struct buf text, one, other;
        buf_init(&text, 1000);
        buf_init(&one, 1000);
        buf_init(&other, 1000);
        buf_printf(&text, "  [\"x\\ny\", {\"%s\": \"%s\", \"\": [\"\", -1.50, \"%s\"]}, \"z\"]", s,
                   s, s);
        struct json_error err;
        yyjson_doc *copied = json_parse(buf_str(&text), &err);
        yyjson_doc *doc = json_parse_in_place(buf_str(&text), 16, &err);
        assert_non_null(copied);
        assert_non_null(doc);
        json_write_value(&one, yyjson_doc_get_root(copied));
        json_write_value(&other, yyjson_doc_get_root(doc));
        assert_true(str_eq(buf_str(&one), buf_str(&other)));
        size_t k, n;
        yyjson_val *key, *v;
        yyjson_obj_foreach(yyjson_arr_get(yyjson_doc_get_root(doc), 1), k, n, key, v)
        {
            const bool is_first = k == 0;
            assert_int_equal(str_is_within(json_str(key), buf_str(&text)),
                             is_first && cases[i].stays);
            const struct str value = json_str(is_first ? v : yyjson_arr_get(v, 2));
            assert_int_equal(str_is_within(value, buf_str(&text)), cases[i].stays);
        }
        yyjson_doc_free(copied);
        yyjson_doc_free(doc);
        buf_done(&text);
        buf_done(&one);
        buf_done(&other);
    }
}

/* Where a fault is said to be does not depend on what the parser was not shown. */
static void test_faults_in_place(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[\"0123456789abcdef\", x, \"0123456789abcdef\"]",
        "[\"0123456789abcdef\" \"0123456789abcdef\"]",
        "[\"0123456789abcdef\", \"0123456789abcdef",
        "[\"0123456789abcdef\", \"0123456789abc\x01"
        "ef\"]",
        "[\"0123456789abcdef\", \"0123456789abc\xff"
        "ef\"]",
        "[\"0123456789abcdef\", \"0123456789abc\\xef\"]",
        "[x\"0123456789abcdef\"]",
        "{\"0123456789abcdef\", \"0123456789abcdef\"}",
        "\"0123456789abcdef\"\"0123456789abcdef\"",
        "[12e\"0123456789abcdef\"]",
        "\"0123456789abcdef\"]",
        "[\"0123456789abcdef\",",
        "\"0123456789abcdef",
        "",
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++) {
        struct json_error one, other;
        assert_null(json_parse(str_of(texts[i]), &one));
        assert_null(json_parse_in_place(str_of(texts[i]), 16, &other));
        assert_int_equal(one.offset, other.offset);
        assert_string_equal(one.message, other.message);
    }
}

static void test_full_buffer(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_false(json_write_string(&b, STR("hello")));
    yyjson_doc *doc = parse("[1,2,3]");
    buf_reset(&b);
    assert_false(json_write_value(&b, yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_brackets_in_strings_do_not_count),
        cmocka_unit_test(test_number_of_values),
        cmocka_unit_test(test_bad_documents),
        cmocka_unit_test(test_last_of_a_name_counts),
        cmocka_unit_test(test_names_with_nul),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_same_of_large_objects),
        cmocka_unit_test(test_roundtrip),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_faults_in_place),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

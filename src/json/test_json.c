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

/* What is referred to in place of a copy must be the very same bytes. */
static void test_source(void **state)
{
    (void)state;
    static const struct {
        const char *string; /* as it is written */
        size_t from, n;     /* of its value */
        bool is_found;
    } cases[] = {
        {"abc", 0, 3, true},
        {"abc", 1, 2, true},
        {"abc", 0, 2, false}, /* its middle */
        {"abc", 3, 0, false},
        {"a\\nbc", 0, 4, false},
        {"a\\nbc", 2, 2, false},
        {"a\\/bc", 1, 3, false},
        {"\\\"", 0, 1, false},
        {"\\\"\\\"\\\"\\\"", 0, 4, false},
        {"\\\"\\\"\\\"\\\"", 1, 3, false},
        {"abc\\\\", 0, 4, false},
        {"\\u0041", 0, 1, false},
        {"\xc3\xa9", 0, 2, true},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct buf text;
        buf_init(&text, 100);
        buf_printf(&text, "  [\"x\\ny\", {\"k\": \"%s\"}, \"z\"]", cases[i].string);
        struct json_error err;
        yyjson_doc *doc = json_parse(buf_str(&text), &err);
        assert_non_null(doc);
        struct str s = json_str(json_get(yyjson_arr_get(yyjson_doc_get_root(doc), 1), "k"));
        s = (struct str){s.p + cases[i].from, cases[i].n};
        const struct str found = json_source(doc, buf_str(&text), s);
        assert_int_equal(found.p != NULL, cases[i].is_found);
        if (found.p) {
            assert_true(found.p > text.data && found.p < text.data + text.len);
            assert_true(str_eq(found, s));
        }
        assert_null(json_source(doc, buf_str(&text), STR("elsewhere")).p);
        yyjson_doc_free(doc);
        buf_done(&text);
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
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

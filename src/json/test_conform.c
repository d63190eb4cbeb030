/*
 * Schemas against values: what draft 2020-12 has beyond the official suite of draft 7, where faults
 * are said to be, what is left open, what hostile schemas cost, and the mending of letter case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/conform.h"

static yyjson_doc *parse(const char *text)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(str_of(text), &err);
    if (!doc)
        fail_msg("no JSON: %s", text);
    return doc;
}

static enum conformance check(const char *schema, const char *value, struct conform_fault *ret)
{
    yyjson_doc *s = parse(schema), *v = parse(value);
    enum conformance verdict = conform_check(yyjson_doc_get_root(s), yyjson_doc_get_root(v), ret);
    yyjson_doc_free(s);
    yyjson_doc_free(v);
    return verdict;
}

static void test_verdicts(void **state)
{
    static const struct {
        const char *schema, *value;
        enum conformance verdict;
    } cases[] = {
        {"{\"prefixItems\":[{\"type\":\"string\"}]}", "[1]", CONFORM_NO},
        {"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}", "[\"a\"]", CONFORM_YES},
        {"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}", "[\"a\",1]", CONFORM_NO},
        {"{\"$defs\":{\"a\":{\"type\":\"object\"}},\"$ref\":\"#/$defs/a\",\"required\":[\"b\"]}",
         "{}", CONFORM_NO},
        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"definitions\":{\"a\":{}},"
         "\"$ref\":\"#/definitions/a\",\"required\":[\"b\"]}",
         "{}", CONFORM_YES},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", CONFORM_NO},
        {"{\"dependentSchemas\":{\"a\":{\"minProperties\":2}}}", "{\"a\":1}", CONFORM_NO},
        {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2,1]", CONFORM_YES},
        {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,2,1]", CONFORM_NO},
        {"{\"contains\":{\"const\":1},\"minContains\":0}", "[]", CONFORM_YES},
        {"{\"type\":\"integer\"}", "1.0", CONFORM_YES},
        {"{\"type\":\"integer\"}", "1.5", CONFORM_NO},
        {"{\"type\":[\"string\",\"null\"]}", "null", CONFORM_YES},
        {"{\"const\":null}", "null", CONFORM_YES},
        {"{\"const\":null}", "0", CONFORM_NO},
        {"{\"enum\":[1]}", "1.0", CONFORM_YES},
        {"{\"maximum\":9007199254740993}", "9007199254740994", CONFORM_NO},
        {"{\"maximum\":3,\"exclusiveMaximum\":true}", "3", CONFORM_NO},
        {"{\"multipleOf\":0.1}", "0.3", CONFORM_YES},
        {"{\"multipleOf\":0.1}", "0.35", CONFORM_NO},
        {"{\"format\":\"email\"}", "\"none\"", CONFORM_YES},
        {"{\"pattern\":\"^[a-z]+$\"}", "\"Abc\"", CONFORM_NO},
        {"{\"patternProperties\":{\"^x-\":{\"type\":\"string\"}},\"additionalProperties\":false}",
         "{\"x-a\":\"b\"}", CONFORM_YES},
        {"{\"patternProperties\":{\"^x-\":{}},\"additionalProperties\":false}", "{\"y\":1}",
         CONFORM_NO},
        /* A tree, and itself. */
        {"{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"c\":{\"type\":\"array\","
         "\"items\""
         ":{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"c\"]}},\"$ref\":\"#/$defs/n\"}",
         "{\"c\":[{\"c\":[]},{\"c\":[{}]}]}", CONFORM_NO},
        {"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
         "{\"a\":{\"a\":{\"b\":1}}}", CONFORM_NO},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (check(cases[i].schema, cases[i].value, NULL) != cases[i].verdict)
            fail_msg("%s against %s", cases[i].value, cases[i].schema);
}

/* What is not understood makes nothing wrong, in front of whatever combinator it stands. */
static void test_what_is_not_understood_is_left_open(void **state)
{
    static const char *const cases[][2] = {
        {"{\"$ref\":\"https://example.com/schema.json\"}", "1"},
        {"{\"$ref\":\"#\"}", "1"},
        {"{\"$ref\":\"#/$defs/none\"}", "1"},
        {"{\"$ref\":\"#anchor\"}", "1"},
        {"{\"not\":{\"$dynamicRef\":\"#x\"}}", "1"},
        {"{\"pattern\":\"(?=a)\"}", "\"b\""},
        {"{\"not\":{\"pattern\":\"(a)\\\\1\"}}", "\"b\""},
        {"{\"oneOf\":[{\"pattern\":\"(?=a)\"},{\"type\":\"string\"}]}", "\"b\""},
        {"{\"unevaluatedProperties\":false}", "{\"a\":1}"},
        {"{\"properties\":{\"a\":{\"$id\":\"x\"},\"b\":{\"$ref\":\"#/properties/a\"}}}",
         "{\"b\":1}"},
        {"{\"type\":7}", "1"},
        {"{\"enum\":7}", "1"},
        {"{\"minimum\":\"7\"}", "1"},
        {"7", "1"},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (check(cases[i][0], cases[i][1], NULL) != CONFORM_UNKNOWN)
            fail_msg("not left open: %s", cases[i][0]);
}

static void test_a_fault_says_where(void **state)
{
    static const char *const cases[][4] = {
        {"{\"items\":{\"properties\":{\"a\":{\"type\":\"string\"}}}}", "[{\"a\":\"\"},{\"a\":1}]",
         "$[1].a", "expected type string"},
        {"{\"required\":[\"title\"]}", "{}", "$", "lacks the property title"},
        {"{\"required\":[\"a\\r\\nb\"]}", "{}", "$", "lacks the property ?"},
        {"{\"additionalProperties\":false}", "{\"a b\":1}", "$[?]", "is no property of the schema"},
        {"{\"type\":\"\\u00e9\\n\"}", "1", "$", "expected type ???"},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1", "$",
         "matches no alternative of anyOf"},
        {"{\"properties\":{\"n\":{\"minimum\":3}}}", "{\"n\":2}", "$.n", "breaks minimum"},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct conform_fault fault;
        assert_int_equal(check(cases[i][0], cases[i][1], &fault), CONFORM_NO);
        assert_string_equal(fault.path, cases[i][2]);
        assert_string_equal(fault.why, cases[i][3]);
    }
}

static void test_a_long_path_is_cut(void **state)
{
    struct conform_fault fault;
    struct buf value;
    (void)state;
    buf_init(&value, 10000);
    for (size_t i = 0; i < 100; i++)
        buf_append_z(&value, "{\"abcde\":");
    buf_append_char(&value, '1');
    for (size_t i = 0; i < 100; i++)
        buf_append_char(&value, '}');
    buf_append_char(&value, '\0');
    assert_int_equal(check("{\"type\":\"object\",\"properties\":{\"abcde\":{\"$ref\":\"#\"}}}",
                           value.data, &fault),
                     CONFORM_NO);
    assert_int_equal(strlen(fault.path), sizeof(fault.path) - 1);
    assert_string_equal(fault.path + sizeof(fault.path) - 4, "...");
    buf_done(&value);
}

/* Every alternative tries two of the next level: 2^40 without a bound. */
static void test_hostile_schemas_cost_no_more_than_the_bound(void **state)
{
    struct buf schema, value;
    (void)state;
    buf_init(&schema, 100000);
    buf_append_z(&schema, "{\"$defs\":{");
    for (size_t i = 0; i < 40; i++)
        buf_printf(
            &schema,
            "\"d%zu\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%zu\"},{\"$ref\":\"#/$defs/d%zu\"}]},", i,
            i + 1, i + 1);
    buf_append_z(&schema, "\"d40\":{\"type\":\"string\"}},\"$ref\":\"#/$defs/d0\"}");
    buf_append_char(&schema, '\0');
    assert_int_equal(check(schema.data, "1", NULL), CONFORM_UNKNOWN);
    buf_done(&schema);

    buf_init(&value, 1000000);
    for (size_t i = 0; i < 20000; i++)
        buf_printf(&value, "%s%zu", i ? "," : "[", i);
    buf_append_z(&value, "]");
    buf_append_char(&value, '\0');
    assert_int_equal(check("{\"uniqueItems\":true}", value.data, NULL), CONFORM_UNKNOWN);
    buf_done(&value);
}

static void test_trap_41_letter_case_is_mended(void **state)
{
    static const char *const cases[][3] = {
        {"{\"enum\":[\"Low\",\"High\"]}", "\"low\"", "\"Low\""},
        {"{\"const\":\"OK\"}", "\"ok\"", "\"OK\""},
        {"{\"enum\":[\"a\",\"A\"]}", "\"a\"", "\"a\""},
        {"{\"enum\":[\"ab\",\"AB\"]}", "\"Ab\"", "\"Ab\""}, /* two would do */
        {"{\"enum\":[\"Low\"]}", "\"other\"", "\"other\""},
        {"{\"properties\":{\"l\":{\"$ref\":\"#/$defs/l\"}},\"$defs\":{\"l\":{\"enum\":[\"Low\"]}}}",
         "{\"l\":\"LOW\",\"m\":\"LOW\"}", "{\"l\":\"Low\",\"m\":\"LOW\"}"},
        {"{\"items\":{\"enum\":[\"Low\"]}}", "[\"low\",\"Low\"]", "[\"Low\",\"Low\"]"},
        {"{\"additionalProperties\":{\"enum\":[\"Low\"]}}", "{\"a\":\"low\"}", "{\"a\":\"Low\"}"},
        {"{\"prefixItems\":[{},{\"enum\":[\"Low\"]}]}", "[\"low\",\"low\"]", "[\"low\",\"Low\"]"},
        /* The alternative is chosen by what else it says. */
        {"{\"anyOf\":[{\"properties\":{\"k\":{\"const\":\"A\"},\"v\":{\"type\":\"number\"}}},"
         "{\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"enum\":[\"X\"]}}}]}",
         "{\"k\":\"a\",\"v\":\"x\"}", "{\"k\":\"a\",\"v\":\"X\"}"},
        {"{\"anyOf\":[{\"enum\":[\"Low\"]},{\"type\":\"null\"}]}", "\"low\"", "\"Low\""},
        {"{\"allOf\":[{\"enum\":[\"Low\"]}]}", "\"low\"", "\"Low\""},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        yyjson_doc *s = parse(cases[i][0]), *v = parse(cases[i][1]);
        struct buf out;
        buf_init(&out, 10000);
        size_t n = conform_mend_case(yyjson_doc_get_root(s), yyjson_doc_get_root(v));
        assert_int_equal(n > 0, strcmp(cases[i][1], cases[i][2]) != 0);
        json_write_value(&out, yyjson_doc_get_root(v));
        if (!str_eq(buf_str(&out), str_of(cases[i][2])))
            fail_msg("%s became %.*s", cases[i][1], STR_ARG(buf_str(&out)));
        buf_done(&out);
        yyjson_doc_free(s);
        yyjson_doc_free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_is_not_understood_is_left_open),
        cmocka_unit_test(test_a_fault_says_where),
        cmocka_unit_test(test_a_long_path_is_cut),
        cmocka_unit_test(test_hostile_schemas_cost_no_more_than_the_bound),
        cmocka_unit_test(test_trap_41_letter_case_is_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

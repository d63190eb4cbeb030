/*
 * Whole answers against what was wanted of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "translate/conformity.h"

#define CLOSED "\"additionalProperties\":false"

static void test_answers(void **state)
{
    static const struct {
        const char *schema, *content, *wanted, *unmet; /* content: escaped; wanted: NULL = same */
    } cases[] = {
        /* json_object */
        {"", "{\\\"a\\\":1}", NULL, ""},
        {"", "[1]", NULL, "$: not an object"},
        {"", "Sure! {}", NULL, "$: not JSON"},
        {"", "", NULL, "$: not JSON"},
        {"", "{\\\"a\\\":\\\"\\\\n\\u00e9\\\"}", NULL, ""},
        /* a schema */
        {"{\"type\":\"array\"}", "[1]", NULL, ""},
        {"{\"properties\":{\"n\":{\"minimum\":3}}}", "{\\\"n\\\":2}", NULL, "$.n: breaks minimum"},
        {"{\"type\":\"object\"," CLOSED "}", "{\\\"a b\\\":2}", NULL,
         "$[?]: is no property of the schema"},
        {"{\"type\":\"object\"}", "{", NULL, "$: not JSON"},
        /* trap 41 */
        {"{\"properties\":{\"l\":{\"enum\":[\"Low\",\"High\"]}}}", "{ \\\"l\\\": \\\"low\\\" }",
         "{\\\"l\\\":\\\"Low\\\"}", ""},
        {"{\"properties\":{\"l\":{\"enum\":[\"Low\"]},\"n\":{\"minimum\":3}}}",
         "{\\\"l\\\":\\\"low\\\",\\\"n\\\":1.50}", "{\\\"l\\\":\\\"Low\\\",\\\"n\\\":1.50}",
         "$.n: breaks minimum"},
        {"{\"enum\":[\"Low\"]}", "\\\"high\\\"", NULL, "$: not one of the enum"},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct buf content, unmet;
        struct str wanted = str_of(cases[i].wanted ? cases[i].wanted : cases[i].content);
        buf_init(&content, 1000);
        buf_init(&unmet, CONFORMITY_BYTES_MAX);
        buf_append_z(&content, cases[i].content);
        assert_true(conformity_check(&content, str_of(cases[i].schema), &unmet));
        if (!str_eq(buf_str(&content), wanted) || !str_eq(buf_str(&unmet), str_of(cases[i].unmet)))
            fail_msg("case %zu: %.*s, %.*s", i, STR_ARG(buf_str(&content)),
                     STR_ARG(buf_str(&unmet)));
        buf_done(&content);
        buf_done(&unmet);
    }
}

/* The quotes need room while it is mended: a buffer that is full fails, and is not cut. */
static void test_a_full_buffer_fails(void **state)
{
    struct buf content, unmet;
    (void)state;
    buf_init(&content, 7);
    buf_init(&unmet, CONFORMITY_BYTES_MAX);
    buf_append_z(&content, "\\\"low\\\"");
    assert_false(content.failed);
    assert_false(conformity_check(&content, STR("{\"enum\":[\"Low\"]}"), &unmet));
    buf_done(&content);
    buf_done(&unmet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_full_buffer_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

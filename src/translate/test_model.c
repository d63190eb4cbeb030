/*
 * The upstream's list of models: pages joined, capabilities read, OpenAI's shape written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "translate/model.h"
#include "translate/request.h"
#include "json/json.h"

static const char page1[] =
    "{\"data\":[{\"id\":\"claude-haiku-5-5\",\"type\":\"model\",\"display_name\":\"Claude Haiku "
    "5.5\",\"created_at\":\"2026-10-07T00:00:00Z\",\"lifecycle\":\"active\",\"line\":\"haiku\","
    "\"retires_at\":null,\"max_input_tokens\":900000,\"max_tokens\":100000,\"capabilities\":{"
    "\"structured_outputs\":{\"supported\":true},\"effort\":{\"supported\":true,\"low\":{"
    "\"supported\":true},\"medium\":{\"supported\":true},\"high\":{\"supported\":false},\"max\":{"
    "\"supported\":true},\"xhigh\":null},\"thinking\":{\"supported\":true,\"types\":{\"adaptive\":"
    "{\"supported\":true},\"between_tools\":{\"supported\":false},\"disabled\":{\"supported\":true}"
    ",\"enabled\":{\"supported\":false}}}}}],\"has_more\":true,\"first_id\":\"claude-haiku-5-5\","
    "\"last_id\":\"claude-haiku-5-5\"}";
static const char page2[] =
    "{\"data\":[{\"id\":\"claude-sonnet-4-5-20250929\",\"created_at\":\"2025-09-29T12:00:00Z\","
    "\"lifecycle\":\"deprecated\",\"retires_at\":\"2026-11-30T00:00:00Z\"},{\"id\":"
    "\"claude-haiku-5-5\"},{\"id\":\"\"},{\"x\":1},null,7],\"has_more\":true}";
static const char page3[] = "{\"data\":[{\"id\":\"claude-opus-3\",\"lifecycle\":\"retired\"}],"
                            "\"has_more\":false}";

static struct tr_models *three_pages(void)
{
    struct tr_models *m = tr_models_create();
    struct str after;
    assert_non_null(m);
    assert_true(tr_models_add_page(m, str_of(page1), &after));
    assert_true(str_eq(after, STR("claude-haiku-5-5")));
    assert_true(tr_models_add_page(m, str_of(page2), &after));
    assert_int_equal(after.n, 0); /* its last entry has no id to go on from */
    assert_true(tr_models_add_page(m, str_of(page3), &after));
    assert_int_equal(after.n, 0);
    return m;
}

static void test_list_joins_pages(void **state)
{
    (void)state; /* trap 85 */
    struct tr_models *m = three_pages();
    struct buf out;
    buf_init(&out, 1u << 20);
    assert_true(tr_models_write_list(m, &out));
    const char *expected =
        "{\"object\":\"list\",\"data\":[{\"id\":\"claude-haiku-5-5\",\"object\":\"model\","
        "\"created\":1791331200,\"owned_by\":\"anthropic\",\"shutdown_date\":null,"
        "\"context_length\":900000,\"max_output_tokens\":100000,\"lifecycle\":\"active\"},{\"id\":"
        "\"claude-sonnet-4-5-20250929\",\"object\":\"model\",\"created\":1759147200,\"owned_by\":"
        "\"anthropic\",\"shutdown_date\":\"2026-11-30\",\"context_length\":200000,"
        "\"max_output_tokens\":64000,\"lifecycle\":\"deprecated\"}]}";
    buf_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buf_done(&out);
    tr_models_destroy(m);
}

static void test_capabilities(void **state)
{
    (void)state;
    struct tr_models *m = three_pages();
    struct model_info info;
    tr_model_info(m, STR("claude-haiku-5-5"), &info);
    assert_int_equal(info.max_output_tokens, 100000);
    assert_int_equal(info.line, LINE_HAIKU);
    assert_true(str_eq(info.display_name, STR("Claude Haiku 5.5")));
    assert_true(info.effort_low && info.effort_max);
    assert_false(info.effort_high || info.effort_xhigh);
    assert_true(info.thinking_adaptive && info.thinking_disabled && info.thinks_by_default);
    assert_false(info.thinking_enabled || info.takes_sampling);
    /* An id without its date finds the dated entry, and the table what the upstream omits. */
    tr_model_info(m, STR("claude-sonnet-4-5"), &info);
    assert_int_equal(info.life, LIFE_DEPRECATED);
    assert_true(info.takes_sampling && info.takes_prefill && !info.takes_system_role);
    tr_models_destroy(m);
}

static void test_unknown_ids(void **state)
{
    (void)state;
    struct model_info info;
    tr_model_info(NULL, STR("claude-opus-9"), &info);
    assert_int_equal(info.line, LINE_OPUS);
    assert_true(info.thinking_adaptive && info.takes_forced_tools && info.takes_system_role);
    assert_false(info.takes_sampling || info.thinking_disabled || info.thinking_between_tools);
    assert_true(info.max_output_tokens > 0 && info.max_input_tokens > 0);
}

static void test_not_a_page(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "<html>",
                                      "{\"data\":{}}",
                                      "{\"data\":null}",
                                      "{\"error\":{\"type\":\"not_found_error\"}}"};
    struct tr_models *m = tr_models_create();
    struct str after;
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++)
        assert_false(tr_models_add_page(m, str_of(bad[i]), &after));
    tr_models_destroy(m);
    tr_models_destroy(NULL);
}

static void test_a_flood_of_models_is_cut(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page, 1u << 20);
    buf_append_z(&page, "{\"data\":[");
    for (int i = 0; i < 5000; i++)
        buf_printf(&page, "%s{\"id\":\"m%d\"}", i ? "," : "", i);
    buf_append_z(&page, "],\"has_more\":true,\"last_id\":\"m4999\"}");
    struct tr_models *m = tr_models_create();
    struct str after;
    struct buf out;
    buf_init(&out, 8u << 20);
    assert_true(tr_models_add_page(m, buf_str(&page), &after));
    assert_true(tr_models_write_list(m, &out));
    assert_true(str_find(buf_str(&out), STR("\"m1999\"")) > 0);
    assert_true(str_find(buf_str(&out), STR("\"m2000\"")) < 0);
    buf_done(&out);
    buf_done(&page);
    tr_models_destroy(m);
}

static bool one(const struct tr_models *m, const char *aliases, bool succession, const char *id,
                struct buf *out)
{
    const struct tr_policy policy = {.default_model = STR("local-model"),
                                     .model_aliases = str_of(aliases),
                                     .model_succession = succession};
    buf_reset(out);
    bool is_served = tr_models_write_one(m, &policy, str_of(id), out);
    assert_int_equal(is_served, out->len > 0);
    return is_served;
}

static bool holds(const struct buf *b, const char *text)
{
    return str_find(buf_str(b), str_of(text)) >= 0;
}

static void test_one(void **state)
{
    (void)state;
    struct tr_models *m = three_pages();
    struct buf out;
    buf_init(&out, 1u << 16);
    assert_true(one(m, "", true, "claude-haiku-5-5", &out));
    assert_true(holds(&out, "{\"id\":\"claude-haiku-5-5\",\"object\":\"model\""));
    assert_false(holds(&out, "resolves_to"));
    /* trap 86 */
    assert_true(one(m, "", true, "claude-3-haiku-20240307", &out));
    assert_true(holds(&out, "\"lifecycle\":\"retired\""));
    assert_true(holds(&out, "\"resolves_to\":\"claude-haiku-5-5\""));
    assert_true(one(NULL, "", true, "claude-3-haiku-20240307", &out));
    assert_false(one(m, "", false, "claude-3-haiku-20240307", &out));
    assert_false(one(NULL, "", false, "claude-3-haiku-20240307", &out));
    /* What a chat request would be served by, under the name that it would use. */
    assert_true(one(m, "gpt-4o=claude-haiku-5-5", true, "gpt-4o", &out));
    assert_true(holds(&out, "\"id\":\"gpt-4o\""));
    assert_true(holds(&out, "\"resolves_to\":\"claude-haiku-5-5\""));
    assert_true(holds(&out, "\"lifecycle\":\"active\""));
    assert_false(one(m, "", true, "gpt-4o", &out));
    assert_false(one(m, "", true, "claude-nonsense", &out));
    assert_false(one(m, "", true, "", &out));
    /* The operator's default, which only the upstream knows; "*" is not for it. */
    assert_true(one(m, "", true, "local-model", &out));
    assert_false(holds(&out, "resolves_to"));
    assert_true(one(NULL, "", true, "local-model", &out));
    assert_true(one(m, "*=claude-haiku-5-5", true, "local-model", &out));
    assert_false(holds(&out, "resolves_to"));
    assert_true(one(m, "local-model=claude-haiku-5-5", true, "local-model", &out));
    assert_true(holds(&out, "\"resolves_to\":\"claude-haiku-5-5\""));
    assert_true(one(m, "gpt-4o=local-model", true, "gpt-4o", &out));
    buf_done(&out);
    tr_models_destroy(m);
}

static void test_table_list(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1u << 16);
    assert_true(tr_models_write_list(NULL, &out));
    assert_true(holds(&out, "\"id\":\"claude-haiku-4-5-20251001\""));
    assert_true(holds(&out, "\"id\":\"claude-opus-5-5\""));
    assert_false(holds(&out, "claude-3-haiku")); /* trap 86: not in the list either way */
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&out), &err);
    assert_non_null(doc);
    /* Each one that is listed can be had. */
    size_t i, max;
    yyjson_val *v;
    struct buf each;
    buf_init(&each, 1u << 16);
    yyjson_arr_foreach(json_get(yyjson_doc_get_root(doc), "data"), i, max, v)
    {
        assert_true(one(NULL, "", true, yyjson_get_str(json_get(v, "id")), &each));
        assert_false(holds(&each, "resolves_to"));
    }
    buf_done(&each);
    yyjson_doc_free(doc);
    buf_done(&out);
}

static void test_an_empty_page_ends_the_list(void **state)
{
    (void)state;
    struct tr_models *m = tr_models_create();
    struct str after = STR("x");
    assert_true(
        tr_models_add_page(m, STR("{\"data\":[],\"has_more\":true,\"last_id\":\"a\"}"), &after));
    assert_int_equal(after.n, 0);
    tr_models_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_joins_pages),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_unknown_ids),
        cmocka_unit_test(test_not_a_page),
        cmocka_unit_test(test_a_flood_of_models_is_cut),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_table_list),
        cmocka_unit_test(test_an_empty_page_ends_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

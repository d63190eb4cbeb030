/*
 * Deltas that are read without a tree are read as a parser would, or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "translate/delta.h"

#define OUT_BYTES_MAX 65536
#define MUTATIONS     200000

#define TEXT(s)                                                                                    \
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"   \
    "\"" s "\"}}"

/* Whether the scan took it; then it must agree with the parser. */
static bool scan(struct str data)
{
    struct delta scanned, read;
    struct json_error err;
    struct buf text;
    if (!delta_scan(data, &scanned))
        return false;
    yyjson_doc *doc = json_parse(data, &err);
    if (!doc || !delta_read(yyjson_doc_get_root(doc), &read))
        fail_msg("taken, but wrong: %.*s", STR_ARG(data));
    buf_init(&text, OUT_BYTES_MAX);
    piece_write(&text, read.text);
    if (scanned.kind != read.kind || scanned.index != read.index || !scanned.text.is_escaped ||
        !str_eq(scanned.text.s, buf_str(&text)))
        fail_msg("read in another way: %.*s", STR_ARG(data));
    buf_done(&text);
    yyjson_doc_free(doc);
    return true;
}

static const char *const taken[] = {
    TEXT("Hello"),
    TEXT(""),
    TEXT("gr\xc3\xbcn \xf0\x9f\x8e\x89"),
    TEXT("\\n \\\" \\\\ \\t \\r \\b \\f"),
    TEXT("\x7f"),
    "{\"type\":\"content_block_delta\",\"index\":12,\"delta\":{\"type\":\"input_json_delta\","
    "\"partial_json\":\"{\\\"a\\\"\"} }   ",
    "{\"type\":\"content_block_delta\",\"index\":999999999,\"delta\":{\"type\":\"thinking_delta\","
    "\"thinking\":\"x\"}       }",
    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"signature_delta\","
    "\"signature\":\"c2ln\"}}",
};

static const char *const left[] = {
    TEXT("\\u00e9"),
    TEXT("\\/"),
    TEXT("\\x"),
    TEXT("\\"),
    TEXT("\n"),
    TEXT("\x01"),
    TEXT("\xff"),
    TEXT("\xed\xa0\x80"),
    TEXT("a\",\"more\":\"b"),
    TEXT("x") "}",
    TEXT("x") "x",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"a\"}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":1}}",
    "{\"type\":\"content_block_delta\",\"index\":01,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"\"}}",
    "{\"type\":\"content_block_delta\",\"index\":-1,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"\"}}",
    "{\"type\":\"content_block_delta\",\"index\":,\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}"
    "}",
    "{\"type\":\"content_block_delta\",\"index\":9999999999,\"delta\":{\"type\":\"text_delta\","
    "\"text\":\"\"}}",
    "{\"type\":\"content_block_stop\",\"index\":0}",
    "",
};

static void test_usual_shapes_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(taken); i++)
        if (!scan(str_of(taken[i])))
            fail_msg("not taken: %s", taken[i]);
}

static void test_others_are_left_to_the_parser(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(left); i++)
        if (scan(str_of(left[i])))
            fail_msg("taken: %s", left[i]);
}

static void test_mutations_agree_with_the_parser(void **state)
{
    (void)state;
    static const char letters[] = "\"\\{}[]:, nu0x\x80\xc3\xbc\n\x01";
    unsigned seed = 7, n_taken = 0;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        char text[256];
        struct str from = str_of(taken[i % PX_ARRAY_LEN(taken)]);
        memcpy(text, from.p, from.n);
        for (unsigned k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1103515245u + 12345u;
            text[(seed >> 8) % from.n] = letters[(seed >> 20) % (sizeof(letters) - 1)];
        }
        /* Exactly as large as it is, so that a read behind it is found. */
        char *copy = malloc(from.n);
        assert_non_null(copy);
        memcpy(copy, text, from.n);
        n_taken += scan((struct str){copy, from.n});
        free(copy);
    }
    assert_true(n_taken > MUTATIONS / 100);
}

static void test_every_order_is_read_from_the_tree(void **state)
{
    (void)state;
    struct json_error err;
    struct delta d;
    yyjson_doc *doc = json_parse(STR("{\"delta\":{\"text\":\"\\u00e9\",\"type\":\"text_delta\"},"
                                     "\"index\":3,\"type\":\"content_block_delta\"}"),
                                 &err);
    assert_true(delta_read(yyjson_doc_get_root(doc), &d));
    assert_int_equal(d.kind, DELTA_TEXT);
    assert_int_equal(d.index, 3);
    assert_true(str_eq(d.text.s, STR("\xc3\xa9")) && !d.text.is_escaped);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_shapes_are_taken),
        cmocka_unit_test(test_others_are_left_to_the_parser),
        cmocka_unit_test(test_mutations_agree_with_the_parser),
        cmocka_unit_test(test_every_order_is_read_from_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The official JSON-Schema-Test-Suite (Debian: json-schema-test-suite), draft 7: no verdict may
 * contradict it, and few may be left open. And random schemas of draft 2020-12 with the verdicts of
 * ajv, in the same form: tests/golden/conform. The arguments are the suite's folder, without which
 * there is nothing to test, and that one.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/conform.h"

#define FILE_BYTES_MAX (4u << 20)
/* What conform.h says is not checked: remote references, names by $id, percent-encoded pointers. */
#define UNKNOWN_MAX 23

static const char *folder, *golden;

struct tally {
    size_t n, n_unknown, n_wrong;
};

static yyjson_doc *read_file(const char *path)
{
    struct json_error err;
    struct buf text;
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    buf_init(&text, FILE_BYTES_MAX);
    char *to = buf_reserve(&text, FILE_BYTES_MAX);
    assert_non_null(to);
    text.len = fread(to, 1, FILE_BYTES_MAX, file);
    fclose(file);
    yyjson_doc *doc = json_parse(buf_str(&text), &err);
    buf_done(&text);
    return doc;
}

static void run_group(yyjson_val *group, const char *file, struct tally *tally)
{
    yyjson_val *schema = yyjson_obj_get(group, "schema"), *test;
    struct str what = json_str(json_get(group, "description"));
    size_t i, max;
    yyjson_arr_foreach(json_get(group, "tests"), i, max, test)
    {
        struct conform_fault fault = {{0}, {0}};
        const bool is_valid = yyjson_is_true(yyjson_obj_get(test, "valid"));
        struct str name = json_str(json_get(test, "description"));
        enum conformance verdict = conform_check(schema, yyjson_obj_get(test, "data"), &fault);
        tally->n++;
        tally->n_unknown += verdict == CONFORM_UNKNOWN;
        if (verdict == CONFORM_UNKNOWN)
            print_message("open: %s: %.*s: %.*s\n", file, STR_ARG(what), STR_ARG(name));
        if (verdict == CONFORM_UNKNOWN || (verdict == CONFORM_YES) == is_valid)
            continue;
        tally->n_wrong++;
        print_error("wrong: %s: %.*s: %.*s: %s %s\n", file, STR_ARG(what), STR_ARG(name),
                    fault.path, fault.why);
    }
}

static void test_draft_7_is_not_contradicted(void **state)
{
    char path[4096];
    struct tally tally = {0};
    struct dirent *entry;
    (void)state;
    snprintf(path, sizeof(path), "%s/tests/draft7", folder);
    DIR *dir = opendir(path);
    if (!dir) {
        print_message("skipped: no %s (Debian: json-schema-test-suite)\n", path);
        skip();
    }
    while ((entry = readdir(dir))) {
        if (!str_ends(str_of(entry->d_name), STR(".json")))
            continue;
        snprintf(path, sizeof(path), "%s/tests/draft7/%s", folder, entry->d_name);
        yyjson_doc *doc = read_file(path);
        yyjson_val *group;
        size_t i, max;
        assert_non_null(doc);
        yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, group)
        {
            run_group(group, entry->d_name, &tally);
        }
        yyjson_doc_free(doc);
    }
    closedir(dir);
    print_message("%zu tests, %zu left open\n", tally.n, tally.n_unknown);
    assert_int_equal(tally.n_wrong, 0);
    assert_true(tally.n > 400);
    assert_true(tally.n_unknown <= UNKNOWN_MAX);
}

static void test_draft_2020_12_is_as_ajv_has_it(void **state)
{
    char path[4096];
    struct tally tally = {0};
    yyjson_val *group;
    size_t i, max;
    (void)state;
    snprintf(path, sizeof(path), "%s/draft2020-12.json", golden);
    yyjson_doc *doc = read_file(path);
    assert_non_null(doc);
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, group)
    {
        run_group(group, "draft2020-12.json", &tally);
    }
    yyjson_doc_free(doc);
    print_message("%zu tests, %zu left open\n", tally.n, tally.n_unknown);
    assert_int_equal(tally.n_wrong, 0);
    assert_true(tally.n > 1000);
    assert_int_equal(tally.n_unknown, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draft_7_is_not_contradicted),
        cmocka_unit_test(test_draft_2020_12_is_as_ajv_has_it),
    };
    if (argc != 3)
        return 2;
    folder = argv[1];
    golden = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

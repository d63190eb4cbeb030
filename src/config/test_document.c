/*
 * What people read about the settings: the committed files are what the table gives, and it fits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"

#define FILE_BYTES_MAX (1u << 20)

static void assert_file_is(const char *name, void (*generate)(struct buf *))
{
    const char *root = getenv("SOURCE_ROOT");
    if (!root)
        skip(); /* started by hand */
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    struct buf file, generated;
    buf_init(&file, FILE_BYTES_MAX);
    buf_init(&generated, FILE_BYTES_MAX);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *to = buf_reserve(&file, FILE_BYTES_MAX);
    assert_non_null(to);
    file.len = fread(to, 1, FILE_BYTES_MAX, f);
    fclose(f);
    generate(&generated);
    assert_false(generated.failed);
    if (!str_eq(buf_str(&file), buf_str(&generated)))
        fail_msg("%s has drifted: meson compile -C build docs", name);
    buf_done(&file);
    buf_done(&generated);
}

static void env_example_is_committed(void **state)
{
    (void)state;
    assert_file_is(".env.example", config_write_env_example);
}

static void markdown_is_committed(void **state)
{
    (void)state;
    assert_file_is("docs/configuration.md", config_write_markdown);
}

static void help_names_every_option(void **state)
{
    (void)state;
    struct buf help;
    buf_init(&help, FILE_BYTES_MAX);
    config_write_help(&help, NULL);
    assert_false(help.failed);
    for (size_t i = 0; i < OPTIONS; i++) {
        char flag[OPTION_FLAG_SIZE], line[OPTION_FLAG_SIZE + 8];
        option_flag(&option_table[i], flag, sizeof(flag));
        snprintf(line, sizeof(line), "\n  --%s", flag);
        ptrdiff_t at = str_find(buf_str(&help), str_of(line));
        assert_true(at > 0);
        char behind = help.data[(size_t)at + strlen(line)];
        assert_true(behind == ' ' || behind == '\n');
    }
    struct str rest = buf_str(&help), line;
    while (str_split(&rest, '\n', &line))
        assert_true(line.n <= 100);
    buf_done(&help);
}

static void help_of_some(void **state)
{
    (void)state;
    static const char *const names[] = {"PORT", "HOST", NULL};
    struct buf help;
    buf_init(&help, FILE_BYTES_MAX);
    config_write_help(&help, names);
    assert_true(str_eq(buf_str(&help),
                       STR("  --port                  port to listen on; 0 = any free one (8000)\n"
                           "  --host                  address to listen on (0.0.0.0)\n")));
    buf_done(&help);
}

static void texts_keep_their_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &option_table[i];
        size_t n = strlen(o->summary), m = strlen(o->details);
        assert_in_range(n, 5, 60);
        assert_true(o->summary[n - 1] != '.');
        assert_true(m == 0 || o->details[m - 1] == '.');
        assert_true(strlen(o->name) + 1 < OPTION_FLAG_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(env_example_is_committed), cmocka_unit_test(markdown_is_committed),
        cmocka_unit_test(help_names_every_option),  cmocka_unit_test(help_of_some),
        cmocka_unit_test(texts_keep_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

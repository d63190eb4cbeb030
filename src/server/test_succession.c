/*
 * That a succession is said once for each model, and for a limited number of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "server/succession.h"

static void test_once_for_each(void **state)
{
    (void)state;
    struct succession s = {0};
    assert_true(succession_is_new(&s, STR("claude-3-haiku")));
    assert_true(succession_is_new(&s, STR("claude-3-opus")));
    assert_false(succession_is_new(&s, STR("claude-3-haiku")));
    assert_false(succession_is_new(&s, STR("claude-3-opus")));
}

static void test_names_from_outside_are_bounded(void **state)
{
    (void)state;
    struct succession s = {0};
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "claude-3-haiku-%08d", i);
        assert_int_equal(succession_is_new(&s, str_of(name)), i < SUCCESSIONS_MAX);
    }
}

/* Standard error, while `s` is told twice of a succession. */
static void test_the_line_has_both_names(void **state)
{
    (void)state;
    struct succession s = {0};
    char text[1024];
    FILE *file = tmpfile();
    assert_non_null(file);
    const int before = dup(STDERR_FILENO);
    assert_true(before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    log_setup(LOG_INFO, LOG_JSON);
    succession_log(&s, STR("claude-3-haiku"), STR("claude-haiku-5-5"));
    succession_log(&s, STR("claude-3-haiku"), STR("claude-haiku-5-5"));
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(file);
    struct str lines = {text, fread(text, 1, sizeof(text), file)}, line;
    fclose(file);
    assert_true(str_split(&lines, '\n', &line));
    assert_true(str_find(line, STR("\"asked_model\":\"claude-3-haiku\"")) > 0);
    assert_true(str_find(line, STR("\"served_model\":\"claude-haiku-5-5\"")) > 0);
    assert_true(str_trim(lines).n == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_for_each),
        cmocka_unit_test(test_names_from_outside_are_bounded),
        cmocka_unit_test(test_the_line_has_both_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

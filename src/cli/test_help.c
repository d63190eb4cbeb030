/*
 * Help: the first screen is one screen, and every topic is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/help.h"

#define SCREEN_LINES 24
#define SCREEN_WIDTH 80
#define TEXT_SIZE    65536

/* What help_print writes. */
static int catch_help(const char *topic, char text[TEXT_SIZE])
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int exit_code = help_print(topic);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    size_t n = fread(text, 1, TEXT_SIZE - 1, file);
    text[n] = '\0';
    fclose(file);
    return exit_code;
}

static void first_screen_is_one(void **state)
{
    (void)state;
    static char text[TEXT_SIZE];
    assert_int_equal(catch_help("", text), CLI_OK);
    struct str rest = str_of(text), line;
    int lines = 0;
    for (; str_split(&rest, '\n', &line); lines++)
        if (line.n > SCREEN_WIDTH)
            fail_msg("wider than a screen: %.*s", STR_ARG(line));
    assert_in_range(lines, 15, SCREEN_LINES - 1); /* the prompt needs a line too */
    static const char *const words[] = {"Usage:", "serve", "demo",   "check",
                                        "health", "sim",   "--port", "help options"};
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        assert_non_null(strstr(text, words[i]));
}

static void every_topic_is_there(void **state)
{
    (void)state;
    static char text[TEXT_SIZE];
    static const char *const topics[] = {"serve",     "demo", "check",  "health",
                                         "translate", "sim",  "options"};
    for (size_t i = 0; i < PX_ARRAY_LEN(topics); i++) {
        assert_int_equal(catch_help(topics[i], text), CLI_OK);
        assert_true(strlen(text) > 100);
    }
    assert_non_null(strstr(text, "--upstream-ca-file")); /* of the last: all options */
    assert_int_equal(catch_help("nonsense", text), CLI_USAGE);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_screen_is_one),
        cmocka_unit_test(every_topic_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

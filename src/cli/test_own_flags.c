/*
 * Flags of a subcommand, taken out from among the settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "cli/own_flags.h"

enum { NAME, NUMBER, SWITCH, FLAGS };

static void reset(struct own_flag flags[FLAGS])
{
    flags[NAME] = (struct own_flag){.name = "name", .kind = OWN_FLAG_TEXT};
    flags[NUMBER] = (struct own_flag){.name = "number", .kind = OWN_FLAG_NUMBER, .high = 100};
    flags[SWITCH] = (struct own_flag){.name = "switch", .kind = OWN_FLAG_SWITCH};
}

static void taken_from_any_place(void **state)
{
    (void)state;
    const char *given[] = {"--port", "1",        "--name=x=y", "--switch",
                           "file",   "--number", "42",         "--host=h"};
    char **argv = (char **)given;
    int argc = PX_ARRAY_LEN(given);
    struct own_flag flags[FLAGS];
    reset(flags);
    assert_true(own_flags_take(&argc, argv, flags, FLAGS));
    assert_string_equal(flags[NAME].text, "x=y");
    assert_int_equal(flags[NUMBER].number, 42);
    assert_true(flags[SWITCH].is_given);
    assert_int_equal(argc, 4);
    assert_string_equal(argv[0], "--port");
    assert_string_equal(argv[1], "1");
    assert_string_equal(argv[2], "file");
    assert_string_equal(argv[3], "--host=h");
}

static void none_given(void **state)
{
    (void)state;
    int argc = 0;
    char *argv[] = {NULL};
    struct own_flag flags[FLAGS];
    reset(flags);
    assert_true(own_flags_take(&argc, argv, flags, FLAGS));
    assert_false(flags[NAME].is_given);
    assert_false(flags[SWITCH].is_given);
    assert_true(own_flags_expect_none(argc, argv, "sim"));
}

static void bad_ones_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"--number", "101"},    {"--number", "-1"},        {"--number=x", "y"},
        {"--number", "--name"}, {"--switch=on", "--port"}, {"--port", "--name"},
        {"--name", NULL},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        const char *given[] = {cases[i][0], cases[i][1]};
        char **argv = (char **)given;
        int argc = cases[i][1] ? 2 : 1;
        struct own_flag flags[FLAGS];
        reset(flags);
        assert_false(own_flags_take(&argc, argv, flags, FLAGS));
    }
    const char *left[] = {"--unknown=1"};
    assert_false(own_flags_expect_none(1, (char **)left, "sim"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_from_any_place),
        cmocka_unit_test(none_given),
        cmocka_unit_test(bad_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

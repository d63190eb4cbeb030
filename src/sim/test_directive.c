/*
 * Directives: values of every kind, where they may stand, what is refused - and that the
 * documentation lists them all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/directive.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void assert_text(struct str got, const char *want)
{
    assert_int_equal(got.n, strlen(want));
    assert_memory_equal(got.p, want, got.n);
}

static bool parse(struct directives *d, const char *text, struct sim_error *err)
{
    directives_init(d);
    return directives_parse(d, str_of(text), &arena, err);
}

static void reads_every_kind(void **state)
{
    (void)state;
    struct directives d;
    struct sim_error err;
    assert_true(parse(&d,
                      "words=300 gap=20ms first=2s lull=500us stall=start cut=head end=7 "
                      "stop=max_tokens text=\"a \\\"b\\\"\\nc\" fence usage=short "
                      "blocks=think,text,search,result,text think=omitted stamp=1",
                      &err));
    assert_int_equal(d.words, 300);
    assert_int_equal(d.gap_us, 20000);
    assert_int_equal(d.first_us, 2000000);
    assert_int_equal(d.lull_us, 500);
    assert_int_equal(d.stall, PLACE_START);
    assert_int_equal(d.cut, PLACE_HEAD);
    assert_int_equal(d.end, 7);
    assert_text(d.stop, "max_tokens");
    assert_true(d.has_text);
    assert_text(d.text, "a \"b\"\nc");
    assert_true(d.fence);
    assert_true(d.stamp);
    assert_int_equal(d.usage, USAGE_SHORT);
    assert_int_equal(d.n_blocks, 5);
    assert_int_equal(d.blocks[2], BLOCK_SEARCH);
    assert_int_equal(d.think, THINK_OMITTED);
    assert_int_equal(d.garbage, PLACE_NEVER);
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "bogus=1",     "words",    "words=x",   "words=99999999999",
        "gap=5h",      "cut=soon", "eol=mac",   "blocks=text,nothing",
        "text=\"open", "fence=2",  "deltas=11",
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        struct directives d;
        struct sim_error err = {0};
        if (parse(&d, bad[i], &err))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(err.status, 400);
    }
}

static void takes_them_out_of_a_prompt(void **state)
{
    (void)state;
    struct directives d;
    struct sim_error err;
    struct str rest;
    directives_init(&d);
    assert_true(directives_take(&d, STR("Say [[sim: words=3]] it\n[[sim: text=\"]] in quotes\"]]"),
                                &arena, &err, &rest));
    assert_text(rest, "Say  it");
    assert_int_equal(d.words, 3);
    assert_text(d.text, "]] in quotes");
    assert_true(directives_take(&d, STR("nothing [here]"), &arena, &err, &rest));
    assert_text(rest, "nothing [here]");
    assert_false(directives_take(&d, STR("x [[sim: words=3"), &arena, &err, &rest));
}

static void are_all_documented(void **state)
{
    (void)state;
    FILE *f = fopen(SIM_DOC, "r");
    assert_non_null(f);
    static char text[65536];
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    for (size_t i = 0; i < directives_count(); i++) {
        char flag[64], valued[64]; /* "| `json` |" or "| `words=N` |" */
        snprintf(flag, sizeof(flag), "| `%s` |", directives_name(i));
        snprintf(valued, sizeof(valued), "| `%s=", directives_name(i));
        if (!strstr(text, flag) && !strstr(text, valued))
            fail_msg("docs/simulator.md does not list the directive %s", directives_name(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_every_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_it_does_not_know, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_them_out_of_a_prompt, set_up, tear_down),
        cmocka_unit_test(are_all_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

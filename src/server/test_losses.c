/*
 * Which names are counted, and that clients cannot make new ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/losses.h"

static struct tally tally;

static int set_up(void **state)
{
    (void)state;
    memset(&tally, 0, sizeof(tally));
    return 0;
}

static void expect(const char *kind, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    tally_write(&tally, kind, &out);
    if (!str_eq(buf_str(&out), str_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(buf_str(&out)), expected);
    buf_done(&out);
}

static void names_without_values(void **state)
{
    (void)state;
    const struct request_record record = {
        .ignored = STR("seed,messages.reasoning_details,messages.junk,stream_options.x,made_up,"
                       "other_one,..."),
        .modified = STR("model,max_tokens=64000(clamped),temperature=1.0(clamped),"
                        "messages(system->user),anthropic-version=2023-06-01,"
                        "tools.strict=false(schema),..."),
        .learned = STR("sampling,version"),
    };
    losses_count(&tally, &record);
    expect("ignored", "seed=1,messages.reasoning_details=1,messages=1,stream_options=1,unknown=2");
    expect("modified", "model=1,max_tokens(clamped)=1,temperature(clamped)=1,"
                       "messages(system->user)=1,anthropic-version=1,tools.strict(schema)=1");
    expect("learned", "sampling=1,version=1");
    losses_count(&tally, &(struct request_record){.modified = STR("max_tokens=5(clamped)")});
    expect("modified", "model=1,max_tokens(clamped)=2,temperature(clamped)=1,"
                       "messages(system->user)=1,anthropic-version=1,tools.strict(schema)=1");
}

static void nothing_is_no_count(void **state)
{
    (void)state;
    losses_count(&tally, &(struct request_record){.status = 200});
    expect("ignored", "");
    assert_int_equal(atomic_load(&tally.n_counts), 0);
}

static void long_names(void **state)
{
    (void)state;
    char name[2 * TALLY_NAME_BYTES_MAX + 1];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    name[70] = '=';
    name[80] = '(';
    losses_count(&tally, &(struct request_record){.modified = str_of(name)});
    assert_int_equal(atomic_load(&tally.n_counts), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_without_values, set_up),
        cmocka_unit_test_setup(nothing_is_no_count, set_up),
        cmocka_unit_test_setup(long_names, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

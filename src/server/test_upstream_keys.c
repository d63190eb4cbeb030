/*
 * Which key a request is sent with: conversations stay, refused keys rest, all share the load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/upstream_keys.h"

#define NOW_US        INT64_C(1000000000)
#define CONVERSATIONS 3000

static void make(struct upstream_keys *k, const char *list)
{
    char why[128] = "";
    assert_true(upstream_keys_init(k, list, false, why, sizeof(why)));
}

static void the_list_is_read(void **state)
{
    (void)state;
    struct upstream_keys k;
    char why[128] = "";
    assert_true(upstream_keys_init(&k, "sk-1,,sk-2,sk-1", true, why, sizeof(why)));
    assert_int_equal(k.n, 2);
    assert_true(str_eq(k.header, STR("authorization")));
    assert_true(str_eq(k.all[0].value, STR("Bearer sk-1")));
    assert_true(str_eq(k.all[1].value, STR("Bearer sk-2")));
    upstream_keys_done(&k);
    make(&k, "");
    assert_int_equal(k.n, 0);
    assert_int_equal(upstream_keys_choose(&k, NOW_US, 1, 0), UPSTREAM_KEYS_MAX);
    upstream_keys_done(&k);
    make(&k, "sk-1");
    assert_true(str_eq(k.header, STR("x-api-key")));
    assert_true(str_eq(k.all[0].value, STR("sk-1")));
    upstream_keys_done(&k);
}

static void too_many_are_refused(void **state)
{
    (void)state;
    struct upstream_keys k;
    char list[1024], why[128] = "";
    int n = 0;
    for (int i = 0; i <= UPSTREAM_KEYS_MAX; i++)
        n += snprintf(list + n, sizeof(list) - (size_t)n, "k%d,", i);
    assert_false(upstream_keys_init(&k, list, false, why, sizeof(why)));
    assert_non_null(strstr(why, "64"));
    upstream_keys_done(&k);
}

static void conversations_are_spread_and_stay(void **state)
{
    (void)state;
    struct upstream_keys k;
    int count[3] = {0};
    make(&k, "a,b,c");
    for (uint64_t c = 0; c < CONVERSATIONS; c++) {
        const size_t i = upstream_keys_choose(&k, NOW_US, c, 0);
        assert_int_equal(upstream_keys_choose(&k, NOW_US + 1, c, 0), i);
        count[i]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(count[i], CONVERSATIONS / 4, CONVERSATIONS * 5 / 12);
    upstream_keys_done(&k);
}

static void only_the_conversations_of_a_cooling_key_move(void **state)
{
    (void)state;
    struct upstream_keys k;
    int moved_to[3] = {0};
    make(&k, "a,b,c");
    size_t before[CONVERSATIONS];
    for (uint64_t c = 0; c < CONVERSATIONS; c++)
        before[c] = upstream_keys_choose(&k, NOW_US, c, 0);
    upstream_keys_saw(&k, 1, NOW_US, 429, 2000);
    for (uint64_t c = 0; c < CONVERSATIONS; c++) {
        const size_t i = upstream_keys_choose(&k, NOW_US + 1999999, c, 0);
        if (before[c] == 1)
            moved_to[i]++;
        else
            assert_int_equal(i, before[c]);
        assert_int_equal(upstream_keys_choose(&k, NOW_US + 2000000, c, 0), before[c]);
    }
    assert_int_equal(moved_to[1], 0);
    assert_in_range(moved_to[0], CONVERSATIONS / 8, CONVERSATIONS / 4);
    assert_in_range(moved_to[2], CONVERSATIONS / 8, CONVERSATIONS / 4);
    upstream_keys_done(&k);
}

static void how_long_a_key_rests(void **state)
{
    (void)state;
    static const struct {
        int status;
        int64_t retry_after_ms, rest_us;
    } cases[] = {
        {401, 0, UPSTREAM_KEY_REFUSED_US},
        {403, 1, UPSTREAM_KEY_REFUSED_US},
        {429, 0, UPSTREAM_KEY_LIMITED_US},
        {429, 1500, 1500000},
        {429, INT64_MAX, UPSTREAM_KEY_LIMITED_MAX_US},
        {529, 1500, 0},
        {500, 0, 0},
        {400, 0, 0},
        {200, 30000, 0}, /* the upstream says retry-after on good answers too */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct upstream_keys k;
        make(&k, "a,b");
        upstream_keys_saw(&k, 0, NOW_US, cases[i].status, cases[i].retry_after_ms);
        const uint64_t not_b = UINT64_C(2);
        assert_true(upstream_keys_has_another(&k, NOW_US + cases[i].rest_us, not_b));
        if (cases[i].rest_us > 0)
            assert_false(upstream_keys_has_another(&k, NOW_US + cases[i].rest_us - 1, not_b));
        upstream_keys_done(&k);
    }
}

static void a_key_that_works_again_rests_no_longer(void **state)
{
    (void)state;
    struct upstream_keys k;
    make(&k, "a");
    upstream_keys_saw(&k, 0, NOW_US, 401, 0);
    assert_int_equal(upstream_keys_choose(&k, NOW_US, 7, 0), 0); /* there is no better one */
    upstream_keys_saw(&k, 0, NOW_US + 1, 200, 0);
    assert_true(upstream_keys_has_another(&k, NOW_US + 1, 0));
    upstream_keys_done(&k);
}

static void a_retry_takes_another_key_and_ends_when_all_were_tried(void **state)
{
    (void)state;
    struct upstream_keys k;
    uint64_t tried = 0;
    make(&k, "a,b,c");
    for (int i = 0; i < 3; i++) {
        const size_t chosen = upstream_keys_choose(&k, NOW_US, 99, tried);
        assert_in_range(chosen, 0, 2);
        assert_int_equal((tried >> chosen) & 1, 0);
        tried |= UINT64_C(1) << chosen;
    }
    assert_int_equal(upstream_keys_choose(&k, NOW_US, 99, tried), UPSTREAM_KEYS_MAX);
    assert_false(upstream_keys_has_another(&k, NOW_US, tried));
    upstream_keys_done(&k);
}

static void when_all_rest_the_first_to_be_well_is_taken(void **state)
{
    (void)state;
    struct upstream_keys k;
    make(&k, "a,b,c");
    upstream_keys_saw(&k, 0, NOW_US, 401, 0);
    upstream_keys_saw(&k, 1, NOW_US, 429, 1000);
    upstream_keys_saw(&k, 2, NOW_US, 429, 3000);
    for (uint64_t c = 0; c < 100; c++)
        assert_int_equal(upstream_keys_choose(&k, NOW_US, c, 0), 1);
    upstream_keys_done(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_read),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(conversations_are_spread_and_stay),
        cmocka_unit_test(only_the_conversations_of_a_cooling_key_move),
        cmocka_unit_test(how_long_a_key_rests),
        cmocka_unit_test(a_key_that_works_again_rests_no_longer),
        cmocka_unit_test(a_retry_takes_another_key_and_ends_when_all_were_tried),
        cmocka_unit_test(when_all_rest_the_first_to_be_well_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

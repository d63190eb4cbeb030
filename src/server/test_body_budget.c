/*
 * The bytes of request bodies that are held at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "server/body_budget.h"

static void takes_no_more_than_there_is(void **state)
{
    (void)state;
    struct body_budget b = {0};
    assert_true(body_budget_take(&b, 100, 60));
    assert_true(body_budget_has(&b, 100, 40));
    assert_false(body_budget_has(&b, 100, 41));
    assert_false(body_budget_take(&b, 100, 41));
    assert_true(body_budget_take(&b, 100, 40));
    assert_true(body_budget_take(&b, 100, 0));
    assert_false(body_budget_take(&b, 100, 1));
    body_budget_give(&b, 60);
    assert_true(body_budget_take(&b, 100, 60));
    body_budget_give(&b, 100);
    assert_int_equal(atomic_load(&b.held), 0);
}

static void zero_is_no_limit_and_a_lowered_one_holds(void **state)
{
    (void)state;
    struct body_budget b = {0};
    assert_true(body_budget_take(&b, 0, INT64_MAX / 2));
    assert_false(body_budget_take(&b, 100, 1));
    assert_false(body_budget_has(&b, 100, 1));
    body_budget_give(&b, INT64_MAX / 2);
    assert_true(body_budget_take(&b, 100, 1));
}

#define ROUNDS 20000

struct taker {
    struct body_budget *budget;
    size_t n_taken, n_too_many;
};

static void *take_and_give(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!body_budget_take(t->budget, 3, 2))
            continue;
        t->n_taken++;
        t->n_too_many += atomic_load(&t->budget->held) > 3; /* two at once would be 4 */
        body_budget_give(t->budget, 2);
    }
    return NULL;
}

static void threads_do_not_take_the_same(void **state)
{
    (void)state;
    struct body_budget b = {0};
    struct taker takers[2] = {{.budget = &b}, {.budget = &b}};
    pthread_t threads[2];
    for (size_t i = 0; i < PX_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &takers[i]), 0);
    for (size_t i = 0; i < PX_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(takers[0].n_taken + takers[1].n_taken > 0);
    assert_int_equal(takers[0].n_too_many + takers[1].n_too_many, 0);
    assert_int_equal(atomic_load(&b.held), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_no_more_than_there_is),
        cmocka_unit_test(zero_is_no_limit_and_a_lowered_one_holds),
        cmocka_unit_test(threads_do_not_take_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

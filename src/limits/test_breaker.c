/*
 * The circuit breaker: when it opens, who may try, when it closes, and many threads at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limits/breaker.h"

#define START_US (1000 * BREAKER_SPAN_US)
#define THREADS  4

static void fail_times(struct breaker *b, int64_t now_us, int n)
{
    while (n-- > 0)
        breaker_tell(b, now_us, true, false);
}

static void succeed_times(struct breaker *b, int64_t now_us, int n)
{
    while (n-- > 0)
        breaker_tell(b, now_us, false, false);
}

static void opens_when_nearly_all_fails(void **state)
{
    (void)state;
    struct breaker b = {0};
    int64_t wait = 0;
    fail_times(&b, START_US, BREAKER_COUNT_MIN - 1);
    assert_int_equal(breaker_ask(&b, START_US, &wait), BREAKER_CLOSED); /* too few to judge */
    assert_true(breaker_tell(&b, START_US, true, false));
    assert_int_equal(breaker_ask(&b, START_US, &wait), BREAKER_OPEN);
    assert_int_equal(wait, BREAKER_OPEN_FIRST_US / 1000);
}

static void stays_closed_while_some_succeed(void **state)
{
    (void)state;
    struct breaker b = {0};
    succeed_times(&b, START_US, 11);
    fail_times(&b, START_US, 89);
    assert_false(breaker_is_open(&b));
    fail_times(&b, START_US, 10);
    assert_true(breaker_is_open(&b)); /* 99 of 110 */
}

static void counts_reach_over_one_border_and_no_further(void **state)
{
    (void)state;
    struct breaker near = {0}, far = {0};
    fail_times(&near, START_US, BREAKER_COUNT_MIN / 2);
    fail_times(&near, START_US + BREAKER_SPAN_US, BREAKER_COUNT_MIN / 2);
    assert_true(breaker_is_open(&near));
    fail_times(&far, START_US, BREAKER_COUNT_MIN / 2);
    fail_times(&far, START_US + 2 * BREAKER_SPAN_US, BREAKER_COUNT_MIN / 2);
    assert_false(breaker_is_open(&far));
}

static void one_tries_at_a_time_and_later_each_time(void **state)
{
    (void)state;
    struct breaker b = {0};
    int64_t wait = 0, now = START_US, span = BREAKER_OPEN_FIRST_US;
    fail_times(&b, now, BREAKER_COUNT_MIN);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(breaker_ask(&b, now + span - 1, &wait), BREAKER_OPEN);
        assert_int_equal(wait, 1);
        now += span;
        assert_int_equal(breaker_ask(&b, now, &wait), BREAKER_TRY);
        assert_int_equal(breaker_ask(&b, now, &wait), BREAKER_OPEN);
        assert_false(breaker_tell(&b, now, true, false)); /* one from before: says nothing */
        assert_false(breaker_tell(&b, now, true, true));
        span = span * 2 > BREAKER_OPEN_MAX_US ? BREAKER_OPEN_MAX_US : span * 2;
    }
    now += span;
    assert_int_equal(breaker_ask(&b, now, &wait), BREAKER_TRY);
    assert_true(breaker_tell(&b, now, false, true));
    assert_int_equal(breaker_ask(&b, now, &wait), BREAKER_CLOSED);
    fail_times(&b, now, BREAKER_COUNT_MIN - 1);
    assert_false(breaker_is_open(&b)); /* what was before it closed is forgotten */
}

static void a_late_success_closes_it(void **state)
{
    (void)state;
    struct breaker b = {0};
    fail_times(&b, START_US, BREAKER_COUNT_MIN);
    assert_true(breaker_tell(&b, START_US + 1, false, false));
    assert_false(breaker_is_open(&b));
}

static void a_try_that_never_tells_blocks_nobody(void **state)
{
    (void)state;
    struct breaker b = {0};
    int64_t wait = 0;
    const int64_t due = START_US + BREAKER_OPEN_FIRST_US;
    fail_times(&b, START_US, BREAKER_COUNT_MIN);
    assert_int_equal(breaker_ask(&b, due, &wait), BREAKER_TRY);
    assert_int_equal(breaker_ask(&b, due + BREAKER_OPEN_FIRST_US, &wait), BREAKER_TRY);
    breaker_forget(&b, due + BREAKER_OPEN_FIRST_US + 1);
    assert_int_equal(breaker_ask(&b, due + BREAKER_OPEN_FIRST_US + 1, &wait), BREAKER_TRY);
}

static void *ask_often(void *arg)
{
    struct breaker *b = arg;
    int64_t wait = 0;
    intptr_t tries = 0;
    for (int i = 0; i < 20000; i++)
        if (breaker_ask(b, START_US + BREAKER_OPEN_FIRST_US, &wait) == BREAKER_TRY)
            tries++;
    return (void *)tries;
}

static void *tell_often(void *arg)
{
    for (int i = 0; i < 20000; i++)
        breaker_tell(arg, START_US + i, i % 2 == 0, false);
    return NULL;
}

static intptr_t in_threads(struct breaker *b, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    intptr_t sum = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, b), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        sum += (intptr_t)result;
    }
    return sum;
}

static void only_one_thread_gets_the_try(void **state)
{
    (void)state;
    struct breaker b = {0};
    fail_times(&b, START_US, BREAKER_COUNT_MIN);
    assert_int_equal(in_threads(&b, ask_often), 1);
}

static void half_failing_in_many_threads_keeps_it_closed(void **state)
{
    (void)state;
    struct breaker b = {0};
    succeed_times(&b, START_US, BREAKER_COUNT_MIN);
    in_threads(&b, tell_often);
    assert_false(breaker_is_open(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_when_nearly_all_fails),
        cmocka_unit_test(stays_closed_while_some_succeed),
        cmocka_unit_test(counts_reach_over_one_border_and_no_further),
        cmocka_unit_test(one_tries_at_a_time_and_later_each_time),
        cmocka_unit_test(a_late_success_closes_it),
        cmocka_unit_test(a_try_that_never_tells_blocks_nobody),
        cmocka_unit_test(only_one_thread_gets_the_try),
        cmocka_unit_test(half_failing_in_many_threads_keeps_it_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The token bucket: exact bursts, refill, debt, refunds, extremes, and many threads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/macros.h"
#include "limits/bucket.h"

#define SECOND_US ((int64_t)1000000)
#define MINUTE_US (60 * SECOND_US)

static void burst_is_exactly_the_limit(void **state)
{
    (void)state;
    /* Divisors of a minute and numbers that no token's time divides. */
    const int64_t limits[] = {1, 2, 7, 11, 59, 60, 61, 997, 1001, 10000, 65537, 99991, 240000};
    for (size_t i = 0; i < PX_ARRAY_LEN(limits); i++) {
        struct bucket b;
        bucket_init(&b, limits[i]);
        int64_t wait, granted = 0;
        while (granted <= limits[i] && bucket_take(&b, 5 * MINUTE_US, 1, &wait)) {
            granted++;
            assert_int_equal(bucket_level(&b, 5 * MINUTE_US).remaining, limits[i] - granted);
        }
        assert_int_equal(granted, limits[i]);
    }
}

static void whole_bucket_at_once(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 10000);
    int64_t wait = 7;
    assert_true(bucket_take(&b, MINUTE_US, 10000, &wait));
    assert_int_equal(wait, 7); /* untouched on success */
    assert_false(bucket_take(&b, MINUTE_US, 1, &wait));
    assert_int_equal(wait, 6);
    assert_false(bucket_take(&b, MINUTE_US, 10000, &wait));
    assert_int_equal(wait, 60000);
    assert_false(bucket_take(&b, 2 * MINUTE_US - 1000, 10000, &wait));
    assert_int_equal(wait, 1);
    assert_true(bucket_take(&b, 2 * MINUTE_US, 10000, &wait));
}

static void waiting_as_told_is_enough(void **state)
{
    (void)state;
    const int64_t limits[] = {1, 7, 60, 999, 10000, 1000003};
    for (size_t i = 0; i < PX_ARRAY_LEN(limits); i++) {
        struct bucket b;
        bucket_init(&b, limits[i]);
        int64_t wait, now = 12345;
        assert_true(bucket_take(&b, now, limits[i], &wait));
        assert_false(bucket_take(&b, now, 1, &wait));
        assert_true(wait >= 1);
        assert_true(bucket_take(&b, now + wait * 1000, 1, &wait));
    }
}

static void refused_takes_nothing(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60);
    int64_t wait;
    assert_true(bucket_take(&b, 0, 50, &wait));
    for (int i = 0; i < 100; i++)
        assert_false(bucket_take(&b, 0, 11, &wait));
    assert_int_equal(bucket_level(&b, 0).remaining, 10);
    assert_true(bucket_take(&b, 0, 10, &wait));
}

static void asking_tells_what_taking_would(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60);
    int64_t wait;
    assert_int_equal(bucket_wait_ms(&b, 0, 60), 0);
    assert_int_equal(bucket_wait_ms(&b, 0, 61), -1);
    assert_true(bucket_take(&b, 0, 60, &wait));
    for (int64_t n = 1; n <= 60; n++) {
        assert_false(bucket_take(&b, SECOND_US / 2, n, &wait));
        assert_int_equal(bucket_wait_ms(&b, SECOND_US / 2, n), wait);
    }
    assert_int_equal(bucket_wait_ms(&b, 2 * SECOND_US, 2), 0);
    assert_int_equal(bucket_level(&b, 2 * SECOND_US).remaining, 2);
    bucket_init(&b, 0);
    assert_int_equal(bucket_wait_ms(&b, 0, INT64_MAX), 0);
}

static void larger_than_the_bucket_never_fits(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 100);
    int64_t wait = 0;
    assert_false(bucket_take(&b, 0, 101, &wait));
    assert_int_equal(wait, -1);
    wait = 0;
    assert_false(bucket_take(&b, 0, INT64_MAX, &wait));
    assert_int_equal(wait, -1);
    assert_int_equal(bucket_level(&b, 0).remaining, 100);
}

static void idle_time_banks_nothing(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60);
    int64_t wait, granted = 0;
    int64_t now = (int64_t)365 * 24 * 60 * MINUTE_US;
    while (granted < 1000 && bucket_take(&b, now, 1, &wait))
        granted++;
    assert_int_equal(granted, 60);
}

static void zero_is_unlimited(void **state)
{
    (void)state;
    const int64_t limits[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < PX_ARRAY_LEN(limits); i++) {
        struct bucket b;
        bucket_init(&b, limits[i]);
        int64_t wait;
        for (int k = 0; k < 100; k++)
            assert_true(bucket_take(&b, 0, INT64_MAX, &wait));
        bucket_settle(&b, 0, INT64_MAX);
        bucket_settle(&b, 0, INT64_MIN);
        struct bucket_level level = bucket_level(&b, 0);
        assert_int_equal(level.limit, 0);
        assert_int_equal(level.remaining, 0);
        assert_int_equal(level.reset_ms, 0);
    }
}

static void nothing_asked_is_nothing_taken(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 1);
    int64_t wait;
    assert_true(bucket_take(&b, 0, 1, &wait));
    assert_true(bucket_take(&b, 0, 0, &wait));
    assert_true(bucket_take(&b, 0, -5, &wait)); /* and it is no refund */
    assert_false(bucket_take(&b, 0, 1, &wait));
}

static void debt_is_paid_back_with_time(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 600); /* 10 a second */
    int64_t wait, now = MINUTE_US;
    assert_true(bucket_take(&b, now, 100, &wait));
    bucket_settle(&b, now, 800); /* 300 more than there is */
    struct bucket_level level = bucket_level(&b, now);
    assert_int_equal(level.remaining, 0);
    assert_int_equal(level.reset_ms, 90000);
    assert_false(bucket_take(&b, now + 30 * SECOND_US - 1000, 1, &wait));
    assert_int_equal(wait, 101);
    assert_true(bucket_take(&b, now + 30 * SECOND_US + 100000, 1, &wait));
    assert_int_equal(bucket_level(&b, now + 10 * MINUTE_US).remaining, 600);
}

static void refund_stops_at_full(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 7);
    int64_t wait, now = MINUTE_US;
    assert_true(bucket_take(&b, now, 5, &wait));
    bucket_settle(&b, now, -3);
    assert_int_equal(bucket_level(&b, now).remaining, 5);
    bucket_settle(&b, now, -1000);
    bucket_settle(&b, now, INT64_MIN);
    struct bucket_level level = bucket_level(&b, now);
    assert_int_equal(level.remaining, 7);
    assert_int_equal(level.reset_ms, 0);
    int64_t granted = 0;
    while (granted < 100 && bucket_take(&b, now, 1, &wait))
        granted++;
    assert_int_equal(granted, 7);
}

/* A refund by a thread with a later clock must not be a credit to one that lags. */
static void lagging_clock_gains_nothing(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60);
    int64_t wait, granted = 0, now = 10 * MINUTE_US;
    bucket_settle(&b, now, -60);
    while (granted < 100 && bucket_take(&b, now - 3 * SECOND_US, 1, &wait))
        granted++;
    assert_int_equal(granted, 57); /* seen from then, three tokens have not flowed in yet */
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    const int64_t limits[] = {1,        2, 60, BUCKET_PER_MINUTE_MAX - 1, BUCKET_PER_MINUTE_MAX,
                              INT64_MAX};
    const int64_t times[] = {INT64_MIN, -1, 0, 1, MINUTE_US, INT64_MAX / 1000, INT64_MAX};
    for (size_t i = 0; i < PX_ARRAY_LEN(limits); i++)
        for (size_t k = 0; k < PX_ARRAY_LEN(times); k++) {
            struct bucket b;
            bucket_init(&b, limits[i]);
            int64_t wait, limit = bucket_level(&b, times[k]).limit;
            assert_true(limit <= BUCKET_PER_MINUTE_MAX);
            assert_int_equal(bucket_level(&b, times[k]).remaining, limit);
            assert_true(bucket_take(&b, times[k], limit, &wait));
            assert_int_equal(bucket_level(&b, times[k]).remaining, 0);
            bucket_settle(&b, times[k], INT64_MAX);
            bucket_settle(&b, times[k], INT64_MAX);
            assert_false(bucket_take(&b, times[k], 1, &wait));
            assert_true(wait > 0);
            assert_true(bucket_level(&b, times[k]).reset_ms > 0);
            for (int r = 0; r < 3; r++)
                bucket_settle(&b, times[k], INT64_MIN);
            assert_int_equal(bucket_level(&b, times[k]).remaining, limit);
        }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/*
 * Any sequence of takes, refunds of what was taken and steps of time: never more than the capacity
 * and the refill, and what `remaining` promises is granted.
 */
static void never_more_than_capacity_and_refill(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        int64_t limit = (int64_t)(next_random(&seed) % (round % 2 ? 200 : 3000000)) + 1;
        struct bucket b;
        bucket_init(&b, limit);
        int64_t start = (int64_t)(next_random(&seed) % (uint64_t)MINUTE_US), now = start, net = 0;
        for (int step = 0; step < 500; step++) {
            int64_t wait, n = (int64_t)(next_random(&seed) % (uint64_t)limit) + 1;
            switch (next_random(&seed) % 4) {
            case 0:
                now += (int64_t)(next_random(&seed) % 2000000);
                break;
            case 1: {
                int64_t remaining = bucket_level(&b, now).remaining;
                assert_in_range(remaining, 0, limit);
                assert_true(bucket_take(&b, now, remaining, &wait));
                net += remaining;
                break;
            }
            case 2:
                if (n > net)
                    n = net;
                bucket_settle(&b, now, -n);
                net -= n;
                break;
            default:
                if (bucket_take(&b, now, n, &wait))
                    net += n;
            }
            /* net <= limit + elapsed * limit / minute + less than one token of slack */
            __int128 allowed = (__int128)(MINUTE_US + now - start) * limit + MINUTE_US;
            assert_true((__int128)net * MINUTE_US < allowed);
        }
    }
}

#define THREADS 4

struct taker {
    struct bucket *bucket;
    _Atomic int64_t *now_us;
    int64_t granted;
};

static void *take_a_lot(void *arg)
{
    struct taker *t = arg;
    int64_t wait;
    for (int i = 0; i < 100000; i++) {
        int64_t now = atomic_fetch_add(t->now_us, 1);
        int64_t n = i % 5 + 1;
        if (bucket_take(t->bucket, now, n, &wait)) {
            t->granted += n;
            if (i % 3 == 0) { /* the reservation was too large by one */
                bucket_settle(t->bucket, now, -1);
                t->granted--;
            }
        }
    }
    return NULL;
}

static void threads_share_one_limit(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 60000); /* one a millisecond */
    const int64_t start = MINUTE_US;
    _Atomic int64_t now = start;
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){&b, &now, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_a_lot, &takers[i]), 0);
    }
    int64_t granted = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        granted += takers[i].granted;
    }
    int64_t elapsed_us = atomic_load(&now) - start;
    assert_true(granted <= 60000 + elapsed_us / 1000 + 1);
    assert_true(granted >= 60000); /* 400,000 takes did empty it */
    assert_true(bucket_level(&b, atomic_load(&now)).remaining <= 60000);
}

static void a_larger_limit_adds_to_what_is_there(void **state)
{
    (void)state;
    struct bucket b;
    int64_t wait;
    bucket_init(&b, 60);
    assert_true(bucket_take(&b, MINUTE_US, 45, &wait));
    bucket_resize(&b, MINUTE_US, 90); /* 45 are owed still */
    assert_int_equal(bucket_level(&b, MINUTE_US).remaining, 45);
    assert_int_equal(bucket_level(&b, MINUTE_US).limit, 90);
    bucket_resize(&b, MINUTE_US, 90);
    assert_int_equal(bucket_level(&b, MINUTE_US).remaining, 45);
    bucket_settle(&b, MINUTE_US, 945); /* ten minutes of debt */
    bucket_resize(&b, MINUTE_US, 9000);
    assert_in_range(bucket_level(&b, MINUTE_US).remaining, 8009, 8011);
}

static void of_a_smaller_limit_the_same_part_is_there(void **state)
{
    (void)state;
    struct bucket b;
    int64_t wait;
    bucket_init(&b, 10000);
    assert_true(bucket_take(&b, MINUTE_US, 5000, &wait));
    bucket_resize(&b, MINUTE_US, 60);
    assert_int_equal(bucket_level(&b, MINUTE_US).remaining, 30);
    assert_true(bucket_take(&b, MINUTE_US, 30, &wait));
    bucket_resize(&b, MINUTE_US, 6);
    assert_false(bucket_take(&b, MINUTE_US, 1, &wait));
    assert_in_range(wait, 9900, 10000); /* empty, not in debt for the larger limit's sake */
    assert_false(bucket_take(&b, MINUTE_US, 7, &wait));
    assert_int_equal(wait, -1);
}

static void a_limit_comes_and_goes(void **state)
{
    (void)state;
    struct bucket b;
    int64_t wait;
    bucket_init(&b, 0);
    assert_true(bucket_take(&b, MINUTE_US, 1000, &wait));
    bucket_resize(&b, MINUTE_US, 10);
    assert_int_equal(bucket_level(&b, MINUTE_US).remaining, 10);
    bucket_settle(&b, MINUTE_US, -1000); /* of before the limit: no more than full */
    assert_int_equal(bucket_level(&b, MINUTE_US).remaining, 10);
    assert_true(bucket_take(&b, MINUTE_US, 10, &wait));
    bucket_resize(&b, MINUTE_US, 0);
    assert_true(bucket_take(&b, MINUTE_US, 1000, &wait));
    bucket_resize(&b, MINUTE_US, -1);
    assert_int_equal(bucket_level(&b, MINUTE_US).limit, 0);
}

static void *resize_for_long(void *arg)
{
    struct bucket *b = arg;
    for (int i = 0; i < 20000; i++)
        bucket_resize(b, MINUTE_US, i % 4 * 30);
    return NULL;
}

/* Divisions by a limit that goes away meanwhile, and threads' reports. */
static void it_is_resized_while_others_take(void **state)
{
    (void)state;
    struct bucket b;
    int64_t wait;
    pthread_t thread;
    bucket_init(&b, 60);
    assert_int_equal(pthread_create(&thread, NULL, resize_for_long, &b), 0);
    for (int i = 0; i < 20000; i++) {
        if (bucket_take(&b, MINUTE_US, 1, &wait))
            bucket_settle(&b, MINUTE_US, -1);
        const struct bucket_level level = bucket_level(&b, MINUTE_US);
        assert_in_range(level.remaining, 0, level.limit);
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_is_exactly_the_limit),
        cmocka_unit_test(whole_bucket_at_once),
        cmocka_unit_test(waiting_as_told_is_enough),
        cmocka_unit_test(refused_takes_nothing),
        cmocka_unit_test(asking_tells_what_taking_would),
        cmocka_unit_test(larger_than_the_bucket_never_fits),
        cmocka_unit_test(idle_time_banks_nothing),
        cmocka_unit_test(zero_is_unlimited),
        cmocka_unit_test(nothing_asked_is_nothing_taken),
        cmocka_unit_test(debt_is_paid_back_with_time),
        cmocka_unit_test(refund_stops_at_full),
        cmocka_unit_test(lagging_clock_gains_nothing),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(never_more_than_capacity_and_refill),
        cmocka_unit_test(threads_share_one_limit),
        cmocka_unit_test(a_larger_limit_adds_to_what_is_there),
        cmocka_unit_test(of_a_smaller_limit_the_same_part_is_there),
        cmocka_unit_test(a_limit_comes_and_goes),
        cmocka_unit_test(it_is_resized_while_others_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The proxy's own rate limits: taking, refusing, settling, and what clients are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/admit.h"

#define START_US INT64_C(1000000000)
#define SECOND   INT64_C(1000000)

static void check_levels(const struct admit *a, int64_t now_us, const char *want)
{
    struct buf b;
    buf_init(&b, 4096);
    admit_write_levels(a, now_us, &b);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_unlimited(void **state)
{
    (void)state;
    struct admit a;
    admit_init(&a, 0, 0);
    for (int i = 0; i < 1000; i++) {
        struct admit_ticket t = {0};
        int64_t wait_ms = 0;
        assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
        assert_int_equal(admit_tokens(&a, START_US, 1000000, &t, &wait_ms), ADMIT_OK);
        admit_settle(&a, START_US, &t, 5);
    }
    check_levels(&a, START_US, "");
}

static void test_requests(void **state)
{
    (void)state;
    struct admit a;
    struct admit_ticket t = {0};
    int64_t wait_ms = 0;
    admit_init(&a, 2, 0);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    check_levels(&a, START_US,
                 "x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: 1\r\n"
                 "x-ratelimit-reset-requests: 30s\r\n");
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_WAIT);
    assert_int_equal(t.requests, 0);
    assert_int_equal(wait_ms, 30000);
    assert_int_equal(admit_requests(&a, START_US + 31 * SECOND, 1, &t, &wait_ms), ADMIT_OK);
}

static void test_tokens(void **state)
{
    (void)state;
    struct admit a;
    struct admit_ticket first = {0}, second = {0};
    int64_t wait_ms = 0;
    admit_init(&a, 10, 6000); /* 100 a second */
    assert_int_equal(admit_requests(&a, START_US, 1, &first, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_tokens(&a, START_US, 5000, &first, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_requests(&a, START_US, 1, &second, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_tokens(&a, START_US, 2000, &second, &wait_ms), ADMIT_WAIT);
    assert_int_equal(wait_ms, 10000);
    /* What was refused does not count as a request. */
    assert_int_equal(second.requests, 0);
    check_levels(&a, START_US,
                 "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 9\r\n"
                 "x-ratelimit-reset-requests: 6s\r\n"
                 "x-ratelimit-limit-tokens: 6000\r\nx-ratelimit-remaining-tokens: 1000\r\n"
                 "x-ratelimit-reset-tokens: 50s\r\n");
    /* The real usage was smaller: the rest comes back at once. */
    admit_settle(&a, START_US, &first, 3000);
    assert_int_equal(bucket_level(&a.tokens, START_US).remaining, 3000);
    admit_settle(&a, START_US, &first, 3000); /* once only */
    assert_int_equal(bucket_level(&a.tokens, START_US).remaining, 3000);
    assert_int_equal(bucket_level(&a.requests, START_US).remaining, 9);
}

static void test_debt(void **state)
{
    (void)state;
    struct admit a;
    struct admit_ticket t = {0};
    int64_t wait_ms = 0;
    admit_init(&a, 0, 6000);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_tokens(&a, START_US, 100, &t, &wait_ms), ADMIT_OK);
    admit_settle(&a, START_US, &t, 9000); /* the answer was long */
    assert_int_equal(bucket_level(&a.tokens, START_US).remaining, 0);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_tokens(&a, START_US, 100, &t, &wait_ms), ADMIT_WAIT);
    assert_int_equal(wait_ms, 31000);
}

static void test_too_large(void **state)
{
    (void)state;
    struct admit a;
    struct admit_ticket t = {0};
    int64_t wait_ms = 0;
    admit_init(&a, 10, 6000);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_tokens(&a, START_US, 6001, &t, &wait_ms), ADMIT_TOO_LARGE);
    assert_int_equal(bucket_level(&a.requests, START_US).remaining, 10);
    assert_int_equal(bucket_level(&a.tokens, START_US).remaining, 6000);
}

static void test_several_at_once(void **state)
{
    (void)state;
    struct admit a;
    struct admit_ticket t = {0};
    int64_t wait_ms = 0;
    admit_init(&a, 10, 6000);
    assert_int_equal(admit_requests(&a, START_US, 1, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_requests(&a, START_US, 7, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(bucket_level(&a.requests, START_US).remaining, 2);
    assert_int_equal(admit_tokens(&a, START_US, 6001, &t, &wait_ms), ADMIT_TOO_LARGE);
    assert_int_equal(bucket_level(&a.requests, START_US).remaining, 10);
    /* Where the others are refused, the one that was taken comes back. */
    assert_int_equal(admit_requests(&a, START_US, 6, &t, &wait_ms), ADMIT_OK);
    assert_int_equal(admit_requests(&a, START_US, 5, &t, &wait_ms), ADMIT_WAIT);
    assert_int_equal(t.requests, 0);
    assert_int_equal(bucket_level(&a.requests, START_US).remaining, 10);
}

static void check_wait(int64_t wait_ms, const char *want)
{
    struct buf b;
    buf_init(&b, 256);
    admit_write_wait(wait_ms, &b);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_wait(void **state)
{
    (void)state;
    check_wait(1, "retry-after: 1\r\nretry-after-ms: 1\r\n");
    check_wait(1000, "retry-after: 1\r\nretry-after-ms: 1000\r\n");
    check_wait(1001, "retry-after: 2\r\nretry-after-ms: 1001\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unlimited),       cmocka_unit_test(test_requests),
        cmocka_unit_test(test_tokens),          cmocka_unit_test(test_debt),
        cmocka_unit_test(test_too_large),       cmocka_unit_test(test_wait),
        cmocka_unit_test(test_several_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

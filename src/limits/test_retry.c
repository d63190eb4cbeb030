/*
 * The retry budget and the backoff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limits/retry.h"

static unsigned spend_all(struct retry_budget *b)
{
    unsigned n = 0;
    while (n <= 10 * RETRY_SAVED_MAX && retry_budget_spend(b))
        n++;
    return n;
}

static void savings_are_bounded(void **state)
{
    (void)state;
    struct retry_budget b;
    retry_budget_init(&b);
    for (int i = 0; i < 100000; i++)
        retry_budget_earn(&b);
    assert_int_equal(spend_all(&b), RETRY_SAVED_MAX);
    assert_false(retry_budget_spend(&b));
}

static void retries_are_a_share_of_the_requests(void **state)
{
    (void)state;
    struct retry_budget b;
    retry_budget_init(&b);
    spend_all(&b);
    unsigned retries = 0;
    for (int i = 0; i < 1000; i++) {
        retry_budget_earn(&b);
        if (retry_budget_spend(&b)) /* every request wants one */
            retries++;
    }
    assert_int_equal(retries, 1000 * RETRY_SHARE_MILLI / 1000);
}

static void backoff_is_spread_below_a_doubling_bound(void **state)
{
    (void)state;
    const int64_t bounds[] = {500, 1000, 2000, 4000, 8000, 8000, 8000};
    for (unsigned n = 1; n <= sizeof(bounds) / sizeof(*bounds); n++) {
        assert_int_equal(retry_backoff_ms(n, 0), 0);
        assert_int_equal(retry_backoff_ms(n, UINT32_MAX), bounds[n - 1]);
        assert_in_range(retry_backoff_ms(n, UINT32_MAX / 2), bounds[n - 1] / 2 - 1,
                        bounds[n - 1] / 2 + 1);
    }
    assert_int_equal(retry_backoff_ms(UINT32_MAX, UINT32_MAX), RETRY_BACKOFF_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(savings_are_bounded),
        cmocka_unit_test(retries_are_a_share_of_the_requests),
        cmocka_unit_test(backoff_is_spread_below_a_doubling_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

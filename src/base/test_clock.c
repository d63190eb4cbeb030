/*
 * The clocks: units, and that time goes forward.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/clock.h"

static void clocks(void **state)
{
    (void)state;
    int64_t mono = clock_mono_us(), wall = clock_unix_ms();
    assert_in_range(wall / 1000, time(NULL) - 2, time(NULL) + 2);
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    int64_t slept_us = clock_mono_us() - mono;
    assert_in_range(slept_us, 20000, 10 * 1000 * 1000);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= mono);
        mono = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

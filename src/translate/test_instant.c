/*
 * Instants and durations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "translate/instant.h"
#include "translate/upstream_error.h"

static void expect_ms(const char *text, int64_t expected)
{
    int64_t ms = -1;
    if (!instant_parse(str_of(text), &ms))
        fail_msg("not read: %s", text);
    assert_int_equal(ms, expected);
}

static void test_instants(void **state)
{
    (void)state;
    expect_ms("1970-01-01T00:00:00Z", 0);
    expect_ms("2026-11-22T10:06:00Z", 1795341960000);
    expect_ms("2026-11-22t10:06:00z", 1795341960000);
    expect_ms("2026-11-22T10:06:00.5Z", 1795341960500);
    expect_ms("2026-11-22T10:06:00.123456789Z", 1795341960123);
    expect_ms("2026-11-22T12:06:00+02:00", 1795341960000);
    expect_ms("2026-11-22T04:36:00-05:30", 1795341960000);
    expect_ms("2000-02-29T00:00:00Z", 951782400000);
    expect_ms("1999-12-31T23:59:59Z", 946684799000);
    expect_ms("2016-12-31T23:59:60Z", 1483228800000);
}

static void test_no_instants(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2026-11-22",
        "2026-11-22T10:06:00",
        "2026-11-22 10:06:00Z",
        "2026-13-22T10:06:00Z",
        "2026-02-29T10:06:00Z",
        "1900-02-29T10:06:00Z",
        "2026-11-00T10:06:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-11-22T10:06:00.Z",
        "2026-11-22T10:06:00+2:00",
        "2026-11-22T10:06:00+24:00",
        "2026-11-22T10:06:00Zx",
        "0000-01-01T00:00:00Z",
        "+026-11-22T10:06:00Z",
    };
    int64_t ms;
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        if (instant_parse(str_of(texts[i]), &ms))
            fail_msg("read: %s", texts[i]);
}

static void expect_duration(int64_t ms, const char *expected)
{
    struct buf out;
    buf_init(&out, 64);
    tr_write_duration(&out, ms);
    if (!str_eq(buf_str(&out), str_of(expected)))
        fail_msg("%lld ms: %.*s, not %s", (long long)ms, STR_ARG(buf_str(&out)), expected);
    buf_done(&out);
}

static void test_durations(void **state)
{
    (void)state;
    expect_duration(0, "0s");
    expect_duration(INT64_MIN, "0s");
    expect_duration(12, "12ms");
    expect_duration(999, "999ms");
    expect_duration(1000, "1s");
    expect_duration(1500, "1.5s");
    expect_duration(1512, "1.512s");
    expect_duration(60000, "1m0s");
    expect_duration(360000, "6m0s");
    expect_duration(86400, "1m26.4s");
    expect_duration(3600000, "1h0m0s");
    expect_duration(3723000, "1h2m3s");
    expect_duration(90000000, "25h0m0s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_no_instants),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

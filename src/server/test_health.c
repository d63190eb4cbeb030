/*
 * What GET /health says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/health.h"

#define SECOND INT64_C(1000000)

static void check(const struct health *h, int64_t now_us, bool is_draining, const char *want)
{
    struct buf b;
    buf_init(&b, 1024);
    health_write(h, now_us, is_draining, &b);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_states(void **state)
{
    (void)state;
    struct health h = {0};
    check(&h, 5 * SECOND, false,
          "{\"status\":\"ok\",\"upstream\":{\"status\":\"unknown\",\"last_ok_seconds_ago\":null}}");
    health_saw_status(&h, 10 * SECOND, 200);
    check(&h, 13 * SECOND, true,
          "{\"status\":\"draining\",\"upstream\":{\"status\":\"ok\",\"last_ok_seconds_ago\":3}}");
    health_saw_status(&h, 20 * SECOND, 529);
    check(&h, 21 * SECOND, false,
          "{\"status\":\"ok\",\"upstream\":{\"status\":\"failing\",\"last_ok_seconds_ago\":11,"
          "\"last_failed_seconds_ago\":1,\"last_failure\":\"http_529\"}}");
    health_saw_status(&h, 30 * SECOND, 400); /* it answers: the request was the client's fault */
    check(&h, 30 * SECOND, false,
          "{\"status\":\"ok\",\"upstream\":{\"status\":\"ok\",\"last_ok_seconds_ago\":0}}");
    health_saw_failure(&h, 40 * SECOND, UPSTREAM_TIMED_OUT);
    check(&h, 40 * SECOND, false,
          "{\"status\":\"ok\",\"upstream\":{\"status\":\"failing\",\"last_ok_seconds_ago\":10,"
          "\"last_failed_seconds_ago\":0,\"last_failure\":\"timed_out\"}}");
    health_saw_status(&h, 50 * SECOND, 401); /* our key: nothing will work */
    check(&h, 50 * SECOND, false,
          "{\"status\":\"ok\",\"upstream\":{\"status\":\"failing\",\"last_ok_seconds_ago\":20,"
          "\"last_failed_seconds_ago\":0,\"last_failure\":\"http_401\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

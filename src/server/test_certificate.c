/*
 * What is said of a certificate's dates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "server/certificate.h"

#define DAY 86400

static void test_dates(void **state)
{
    (void)state;
    /* 2027-01-01 to 2027-04-01 */
    static const struct tls_certificate facts = {
        .names = "a.example", .not_before_s = 1798761600, .not_after_s = 1806537600};
    static const struct {
        int64_t now_s;
        enum certificate_age age;
        const char *text;
    } cases[] = {
        {1798761599, CERTIFICATE_INVALID, "not valid before 2027-01-01T00:00:00Z"},
        {1798761600, CERTIFICATE_FINE, "valid until 2027-04-01T00:00:00Z"},
        {1806537600 - 14 * DAY, CERTIFICATE_FINE, "valid until 2027-04-01T00:00:00Z"},
        {1806537600 - 14 * DAY + 1, CERTIFICATE_ENDS_SOON, "valid until 2027-04-01T00:00:00Z"},
        {1806537600, CERTIFICATE_ENDS_SOON, "valid until 2027-04-01T00:00:00Z"},
        {1806537601, CERTIFICATE_INVALID, "expired on 2027-04-01T00:00:00Z"},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        char text[64];
        assert_int_equal(certificate_judge(&facts, cases[i].now_s, text, sizeof(text)),
                         cases[i].age);
        assert_string_equal(text, cases[i].text);
    }
}

/* Without TLS there is nothing to load, to read again or to free. */
static void test_plain(void **state)
{
    (void)state;
    char nothing[] = "", why[64] = "";
    const struct config config = {
        .tls_cert = nothing, .tls_key = nothing, .tls_client_ca = nothing};
    struct certificate c = {0};
    assert_true(certificate_init(&c, &config, why, sizeof(why)));
    assert_false(certificate_is_set(&c));
    assert_true(certificate_reload(&c, &config, why, sizeof(why)));
    certificate_done(&c);
    assert_string_equal(why, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

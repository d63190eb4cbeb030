/*
 * Origins as operators write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>

#include "upstream/upstream.h"

static const struct {
    const char *url, *host, *prefix, *authority;
    int port;
    bool is_tls;
} good[] = {
    {"https://api.anthropic.com", "api.anthropic.com", "", "api.anthropic.com", 443, true},
    {"https://api.anthropic.com/", "api.anthropic.com", "", "api.anthropic.com", 443, true},
    {"https://API.Anthropic.COM:443//", "api.anthropic.com", "", "api.anthropic.com", 443, true},
    {"http://127.0.0.1:8080", "127.0.0.1", "", "127.0.0.1:8080", 8080, false},
    {"HTTP://localhost", "localhost", "", "localhost", 80, false},
    {"http://localhost:443", "localhost", "", "localhost:443", 443, false},
    {"https://gw.example:8443/llm/anthropic/", "gw.example", "/llm/anthropic", "gw.example:8443",
     8443, true},
    {"http://[::1]:9000/x", "::1", "/x", "[::1]:9000", 9000, false},
    {"https://[2001:DB8::1]", "2001:db8::1", "", "[2001:db8::1]", 443, true},
    {"http://my_gateway/a:b@c", "my_gateway", "/a:b@c", "my_gateway", 80, false},
    {"https://h:65535", "h", "", "h:65535", 65535, true},
};

static const struct {
    const char *url, *reason; /* a word of it */
} bad[] = {
    {"", "begin"},
    {"api.anthropic.com", "begin"},
    {"ftp://h", "begin"},
    {"https:/h", "begin"},
    {" https://h", "begin"},
    {"https://", "host"},
    {"https:///path", "host"},
    {"https://:443", "host"},
    {"https://a b", "host"},
    {"https://h%41", "host"},
    {"https://[::1", "host"},
    {"https://[]", "host"},
    {"https://[zz]", "host"},
    {"https://[fe80::1%25eth0]", "host"},
    {"https://[::1]x", "port"},
    {"https://::1", "host"},
    {"https://h:", "port"},
    {"https://h:0", "port"},
    {"https://h:65536", "port"},
    {"https://h:-1", "port"},
    {"https://h:8x", "port"},
    {"https://h:99999999999999999999999", "port"},
    {"https://user@h", "user name"},
    {"https://user:secret@h/p", "user name"},
    {"https://h/?a=b", "query"},
    {"https://h?a", "query"},
    {"https://h/#x", "query"},
    {"https://h/a b", "path"},
    {"https://h/a\r\nx: y", "path"},
    {"https://h/\xc3\xa9", "path"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(good); i++) {
        struct upstream_origin o;
        char why[128] = "";
        if (!upstream_origin_parse(str_of(good[i].url), &o, why, sizeof(why)))
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(o.host, good[i].host);
        assert_string_equal(o.path_prefix, good[i].prefix);
        assert_string_equal(o.authority, good[i].authority);
        assert_int_equal(o.port, good[i].port);
        assert_int_equal(o.is_tls, good[i].is_tls);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        struct upstream_origin o = {.port = -7};
        char why[128] = "";
        if (upstream_origin_parse(str_of(bad[i].url), &o, why, sizeof(why)))
            fail_msg("accepted: %s", bad[i].url);
        if (!strstr(why, bad[i].reason))
            fail_msg("%s: %s", bad[i].url, why);
        assert_int_equal(o.port, -7); /* untouched */
    }
}

static void test_too_long(void **state)
{
    (void)state;
    struct upstream_origin o;
    char url[1024], why[128];
    char name[300];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(url, sizeof(url), "https://%s", name);
    assert_false(upstream_origin_parse(str_of(url), &o, why, sizeof(why)));
    snprintf(url, sizeof(url), "https://%.255s", name);
    assert_true(upstream_origin_parse(str_of(url), &o, why, sizeof(why)));
    snprintf(url, sizeof(url), "https://h/%.299s%.299s", name, name);
    assert_false(upstream_origin_parse(str_of(url), &o, why, sizeof(why)));
    snprintf(url, sizeof(url), "https://h/%.299s%.211s", name, name);
    assert_true(upstream_origin_parse(str_of(url), &o, why, sizeof(why)));
    assert_int_equal(strlen(o.path_prefix), 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

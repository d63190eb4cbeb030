/*
 * A proxy's URL, and NO_PROXY, as tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/proxy.h"

static const struct {
    const char *url, *host, *authorization;
    int port;
} good[] = {
    {"http://proxy.example:3128", "proxy.example", "", 3128},
    {"http://Proxy.Example:3128/", "proxy.example", "", 3128},
    {"HTTP://proxy", "proxy", "", 80},
    {"proxy:8080", "proxy", "", 8080},
    {"10.0.0.1", "10.0.0.1", "", 80},
    {"http://[::1]:3128", "::1", "", 3128},
    {"http://user:password@proxy:1", "proxy", "Basic dXNlcjpwYXNzd29yZA==", 1},
    {"user:password@proxy:1", "proxy", "Basic dXNlcjpwYXNzd29yZA==", 1},
    {"http://user@proxy", "proxy", "Basic dXNlcjo=", 80},
    {"http://user:@proxy", "proxy", "Basic dXNlcjo=", 80},
    {"http://:@proxy", "proxy", "Basic Og==", 80},
    {"http://user:p%40ss%3Aword@proxy", "proxy", "Basic dXNlcjpwQHNzOndvcmQ=", 80},
    {"http://user:p@ss@proxy", "proxy", "Basic dXNlcjpwQHNz", 80}, /* the last one ends it */
    {"http://user:a:b@proxy", "proxy", "Basic dXNlcjphOmI=", 80},
    {"http://u%C3%A9:x@proxy", "proxy", "Basic dcOpOng=", 80},
};

static const struct {
    const char *url, *reason; /* a word of it */
} bad[] = {
    {"", "host"},
    {"http://", "host"},
    {"http://:3128", "host"},
    {"http://user:secret@", "host"},
    {"http://user:secret@:80", "host"},
    {"http://a b", "host"},
    {"http://proxy/path", "host"},
    {"http://[::1", "host"},
    {"http://[zz]:1", "host"},
    {"http://proxy:", "port"},
    {"http://proxy:0", "port"},
    {"http://proxy:65536", "port"},
    {"http://proxy:3128x", "port"},
    {"http://proxy:3128?x", "port"},
    {"https://proxy", "http://"},
    {"socks5://proxy:1080", "http://"},
    {"://proxy", "http://"},
    {"http://user:secret%@proxy", "%XX"},
    {"http://user:secret%4@proxy", "%XX"},
    {"http://user:secret%zz@proxy", "%XX"},
    {"http://user:secret%0d%0ax@proxy", "%XX"},
    {"http://user:secret%00@proxy", "%XX"},
    {"http://us%3Aer:secret@proxy", "%XX"},
};

static void test_good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(good); i++) {
        struct proxy p;
        char why[160] = "";
        if (!proxy_parse(str_of(good[i].url), &p, why, sizeof(why)))
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(p.at.host, good[i].host);
        assert_int_equal(p.at.port, good[i].port);
        assert_string_equal(p.authorization, good[i].authorization);
    }
}

static void test_bad_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(bad); i++) {
        struct proxy p;
        char why[160] = "";
        if (proxy_parse(str_of(bad[i].url), &p, why, sizeof(why)))
            fail_msg("accepted: %s", bad[i].url);
        if (!strstr(why, bad[i].reason) || strstr(why, "secret"))
            fail_msg("%s: %s", bad[i].url, why);
    }
}

/* The longest user and password fit, one byte more does not. */
static void test_long_password(void **state)
{
    (void)state;
    struct proxy p;
    char url[1024], why[160];
    for (int n = 760; n <= 770; n++) {
        snprintf(url, sizeof(url), "http://u:%0*d@proxy", n, 7);
        const bool fits = n <= 768 - 2;
        assert_int_equal(proxy_parse(str_of(url), &p, why, sizeof(why)), fits);
        if (fits)
            assert_int_equal(strlen(p.authorization), 6 + (n + 2 + 2) / 3 * 4);
    }
}

static const struct {
    const char *no_proxy, *host;
    int port;
    bool is_bypassed;
} rules[] = {
    {"", "api.example", 443, false},
    {"*", "api.example", 443, true},
    {" * ", "api.example", 443, true},
    {"x,*", "api.example", 443, true},
    /* names, and what lies below them */
    {"api.example", "api.example", 443, true},
    {"API.Example", "api.example", 443, true},
    {"api.example", "API.EXAMPLE", 443, true},
    {"api.example.", "api.example", 443, true},
    {"api.example", "api.example.", 443, true},
    {"example", "api.example", 443, true},
    {".example", "api.example", 443, true},
    {"*.example", "api.example", 443, true},
    {".api.example", "api.example", 443, true},
    {"pi.example", "api.example", 443, false},
    {"www.api.example", "api.example", 443, false},
    {"example.org", "api.example", 443, false},
    {"api.example.org", "api.example", 443, false},
    {"xample", "api.example", 443, false},
    {".", "api.example", 443, false},
    {"*.", "api.example", 443, false},
    {"*example", "api.example", 443, false},
    {"a.*", "a.example", 443, false},
    /* lists */
    {"a.test,api.example", "api.example", 443, true},
    {"a.test, api.example ,b.test", "api.example", 443, true},
    {"a.test api.example", "api.example", 443, true},
    {",,, ,api.example", "api.example", 443, true},
    {"a.test,b.test", "api.example", 443, false},
    /* ports */
    {"api.example:443", "api.example", 443, true},
    {"api.example:8443", "api.example", 443, false},
    {"api.example:8443,example", "api.example", 443, true},
    {"example:443", "api.example", 443, true},
    {"api.example:", "api.example", 443, false},
    {"api.example:x", "api.example", 443, false},
    {"api.example:99999999999999999999", "api.example", 443, false},
    /* addresses */
    {"10.1.2.3", "10.1.2.3", 443, true},
    {"10.1.2.3:443", "10.1.2.3", 443, true},
    {"10.1.2.3:80", "10.1.2.3", 443, false},
    {"10.1.2.4", "10.1.2.3", 443, false},
    {"2.3", "10.1.2.3", 443, false}, /* no name below a name */
    {"10.1.2.3", "x.10.1.2.3", 443, false},
    {"2001:db8::1", "2001:db8::1", 443, true},
    {"2001:DB8:0::1", "2001:db8::1", 443, true},
    {"[2001:db8::1]", "2001:db8::1", 443, true},
    {"[2001:db8::1]:443", "2001:db8::1", 443, true},
    {"[2001:db8::1]:80", "2001:db8::1", 443, false},
    {"2001:db8::2", "2001:db8::1", 443, false},
    /* networks */
    {"10.0.0.0/8", "10.1.2.3", 443, true},
    {"10.1.2.0/24", "10.1.2.3", 443, true},
    {"10.1.2.0/31", "10.1.2.3", 443, false},
    {"10.1.2.2/31", "10.1.2.3", 443, true},
    {"10.1.2.3/32", "10.1.2.3", 443, true},
    {"0.0.0.0/0", "10.1.2.3", 443, true},
    {"11.0.0.0/8", "10.1.2.3", 443, false},
    {"10.0.0.0/33", "10.1.2.3", 443, false},
    {"10.0.0.0/", "10.1.2.3", 443, false},
    {"/8", "10.1.2.3", 443, false},
    {"10.0.0.0/8", "10.example", 443, false},
    {"10.0.0.0/8", "2001:db8::1", 443, false},
    {"2001:db8::/32", "2001:db8::1", 443, true},
    {"2001:db9::/32", "2001:db8::1", 443, false},
    {"::/0", "10.1.2.3", 443, false},
    /* this machine */
    {"", "localhost", 80, true},
    {"", "LocalHost", 80, true},
    {"", "localhost.", 80, true},
    {"", "a.localhost", 80, true},
    {"", "127.0.0.1", 80, true},
    {"", "127.255.0.9", 80, true},
    {"", "::1", 80, true},
    {"", "128.0.0.1", 80, false},
    {"", "::2", 80, false},
    {"", "notlocalhost", 80, false},
};

static void test_no_proxy(void **state)
{
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(rules); i++)
        if (proxy_is_bypassed(str_of(rules[i].no_proxy), rules[i].host, rules[i].port) !=
            rules[i].is_bypassed)
            fail_msg("\"%s\" and %s port %d", rules[i].no_proxy, rules[i].host, rules[i].port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_long_password),
        cmocka_unit_test(test_no_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

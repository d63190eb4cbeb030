/*
 * What errors may say to clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/secrets.h"

#define KEY       "sk-ant-api03-aaaabbbbccccdddd"
#define LONGER    KEY "-eeee"
#define PROXY_KEY "pass with \"quotes\""

static const struct secrets secrets = {
    .keys = {{KEY, sizeof(KEY) - 1},
             {LONGER, sizeof(LONGER) - 1},
             {PROXY_KEY, sizeof(PROXY_KEY) - 1}},
    .n_keys = 3,
    .hosts = {{"llm.acme.example", 16}, {"squid", 5}},
};

static void check(int status, const char *said, const char *expected)
{
    struct api_error e;
    api_error_set(&e, status, "server_error", NULL, NULL, "%s", said);
    secrets_hide(&secrets, &e);
    assert_string_equal(e.message, expected);
}

static void hides_keys(void **state)
{
    (void)state;
    check(401, "invalid x-api-key: " KEY, "invalid x-api-key: ***");
    check(401, "Bearer " LONGER ".", "Bearer ***.");
    check(401, "x" KEY "x", "x***x");
    check(400, KEY KEY, "******");
    check(403, "client sent " PROXY_KEY "!", "client sent ***!");
    check(401, "key sk-ant-oat01-of-somebody-else failed", "key *** failed");
    check(401, "keys begin with sk-ant- or sk-ant-api", "keys begin with sk-ant- or sk-ant-api");
    check(400, "", "");
}

static void hides_a_key_that_is_cut(void **state)
{
    (void)state;
    char text[1100];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[900] = ' ';
    memcpy(text + 1010, " " KEY, sizeof(KEY));
    struct api_error e;
    api_error_set(&e, 401, "t", NULL, NULL, "%s", text);
    assert_non_null(strstr(e.message, "sk-ant-api03"));
    secrets_hide(&secrets, &e);
    assert_null(strstr(e.message, "sk-ant"));
    assert_string_equal(e.message + strlen(e.message) - 5, "x ***");
    /* A beginning that is not cut off is somebody's word. */
    check(400, "what is sk-ant-api", "what is sk-ant-api");
}

static void hides_hosts(void **state)
{
    (void)state;
    check(500, "connect ECONNREFUSED 10.1.2.3:8080", "connect ECONNREFUSED ***");
    check(400, "at 192.168.0.1, 172.31.255.1, 127.0.0.1.", "at ***, ***, ***.");
    check(502, "dial tcp [fd00::1]:443: ::1 refused fe80::1.",
          "dial tcp [***]:443: *** refused ***.");
    check(502, "::ffff:10.0.0.1 or ::ffff:8.8.8.8", "*** or ::ffff:8.8.8.8");
    check(502, "100.64.0.1 169.254.169.254", "*** ***");
    check(400, "LLM.acme.example:8443 failed, see http://llm.acme.example/x",
          "*** failed, see http://***/x");
    check(502, "via squid:3128, by http://squid/", "via ***, by http://***/");
    check(400, "the squid is a word", "the squid is a word");
    check(500, "getaddrinfo ENOTFOUND litellm.prod.internal", "getaddrinfo ENOTFOUND ***");
    check(400, "https://user@pod.svc/ and localhost:4000", "https://user@***/ and ***");
}

static void leaves_the_rest(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "tools.0.custom.input_schema.properties.host.internal: Extra inputs are not permitted",
        "messages.3.content.0: at least one of 10.0 and 8.8.8.8 at 12:34:56",
        "see https://docs.claude.com/en/api/errors or api.anthropic.com",
        "prompt is too long: 3333404 tokens > 200000 maximum",
        "Gr\303\274\303\237e, \344\270\226\347\225\214: 172.32.0.1, 11.0.0.1, 192.169.1.1",
        "...",
        "::",
        "a:b",
        "std::string",
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        check(400, texts[i], texts[i]);
}

static void looks_at_all_texts(void **state)
{
    (void)state;
    struct api_error e;
    api_error_set(&e, 400, "t", "cmek_" KEY, "messages[" KEY "]", "x");
    secrets_hide(&secrets, &e);
    assert_string_equal(e.code, "cmek_***");
    assert_string_equal(e.param, "messages[***]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_keys),         cmocka_unit_test(hides_a_key_that_is_cut),
        cmocka_unit_test(hides_hosts),        cmocka_unit_test(leaves_the_rest),
        cmocka_unit_test(looks_at_all_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * `check` against a canned upstream: what it reports, and the exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "cli/cli.h"
#include "cli/test_canned_server.h"

#define ANSWER(status, length, body)                                                               \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nContent-Length: " length             \
    "\r\n\r\n" body

static const char first_page[] =
    ANSWER("200 OK", "116",
           "{\"data\":[{\"type\":\"model\",\"id\":\"claude-opus-5-5\",\"created_at\":"
           "\"2026-09-01T00:00:00Z\"}],\"has_more\":true,\"last_id\":\"a\"}");
static const char last_page[] =
    ANSWER("200 OK", "119",
           "{\"data\":[{\"type\":\"model\",\"id\":\"claude-haiku-5-5\",\"created_at\":"
           "\"2026-09-01T00:00:00Z\"}],\"has_more\":false,\"last_id\":null}");

/* Runs `check` with two more flags; the upstream gives these answers. */
static int check(struct canned_server *s, const char *const *answers, const char *flag,
                 const char *other_flag, char text[CANNED_TEXT_SIZE])
{
    char url[64];
    canned_start(s, answers);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/base/", s->port);
    const char *flags[] = {"--anthropic-base-url",
                           url,
                           "--env-file=/dev/null",
                           "--anthropic-api-key=sk-test",
                           "--host=127.0.0.1",
                           "--claude-proxy-api-key=",
                           "--anthropic-model",
                           "claude-3-haiku-20240307",
                           "--connect-timeout=5",
                           "--request-timeout=5",
                           flag,
                           other_flag,
                           NULL};
    int exit_code = catch_command(cli_check, flags, text);
    canned_stop(s);
    assert_null(strstr(text, "sk-test"));
    return exit_code;
}

static void all_is_fine(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *answers[] = {first_page, last_page, NULL};
    assert_int_equal(check(&s, answers, NULL, NULL, text), CLI_OK);
    assert_null(strstr(text, "FAIL"));
    assert_non_null(strstr(text, "fine  key       accepted\n"));
    assert_non_null(strstr(text, "claude-3-haiku-20240307 is retired, served by claude-haiku-5-5"));
    assert_non_null(strstr(s.asked, "GET /base/v1/models?limit=1000 HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked, "GET /base/v1/models?limit=1000&after_id=a HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked, "x-api-key: sk-test\r\n"));
}

static void pinned_version_and_bearer(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *answers[] = {last_page, NULL};
    assert_int_equal(
        check(&s, answers, "--anthropic-auth=bearer", "--anthropic-version=2026-10-21", text),
        CLI_OK);
    assert_non_null(strstr(s.asked, "authorization: Bearer sk-test\r\n"));
    assert_non_null(strstr(s.asked, "anthropic-version: 2026-10-21\r\n"));
    assert_null(strstr(s.asked, "x-api-key"));
}

static void refused_key(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *answers[] = {ANSWER("401 Unauthorized", "2", "{}"), NULL};
    assert_int_equal(check(&s, answers, NULL, NULL, text), CLI_FAILED);
    assert_non_null(strstr(text, "fine  upstream"));
    assert_non_null(strstr(text, "FAIL  key       the upstream answers 401\n"));
    assert_non_null(strstr(text, "-> ANTHROPIC_API_KEY is not accepted"));
    assert_null(strstr(text, "model"));
}

static void gateway_without_models(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *answers[] = {ANSWER("404 Not Found", "0", ""), NULL};
    assert_int_equal(check(&s, answers, NULL, NULL, text), CLI_OK);
    assert_non_null(strstr(text, "?     key       not tested"));
    const char *other[] = {ANSWER("200 OK", "2", "[]"), NULL};
    assert_int_equal(check(&s, other, NULL, NULL, text), CLI_OK);
    assert_non_null(strstr(text, "?     models"));
}

static void broken_upstreams(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *busy[] = {ANSWER("529 Overloaded", "0", ""), NULL};
    assert_int_equal(check(&s, busy, NULL, NULL, text), CLI_FAILED);
    assert_non_null(strstr(text, "try again later"));
    const char *garbage[] = {"SSH-2.0-OpenSSH_9.2\r\n\r\n", NULL};
    assert_int_equal(check(&s, garbage, NULL, NULL, text), CLI_FAILED);
    assert_non_null(strstr(text, "FAIL  upstream"));
    const char *silent[] = {"", NULL};
    assert_int_equal(check(&s, silent, "--request-timeout=1", NULL, text), CLI_FAILED);
    assert_non_null(strstr(text, "FAIL  upstream"));
}

static void unknown_model_and_open_server(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    const char *answers[] = {last_page, NULL};
    assert_int_equal(check(&s, answers, "--anthropic-model=gpt-4o", "--host=0.0.0.0", text),
                     CLI_FAILED);
    assert_non_null(strstr(text, "FAIL  listening 0.0.0.0 port 8000, open to anybody\n"));
    assert_non_null(strstr(text, "FAIL  model     gpt-4o is not served\n"));
}

/* What serves the name is said; only what nothing serves is a failure. */
static void model_by_other_names(void **state)
{
    (void)state;
    static const struct {
        const char *model, *flag, *says;
        int exit_code;
        bool has_list;
    } cases[] = {
        {"gpt-4o", "--model-aliases=gpt-4o=claude-haiku-5-5",
         "fine  model     gpt-4o, served by claude-haiku-5-5\n", CLI_OK, true},
        {"anthropic/claude-haiku-5.5", NULL,
         "fine  model     anthropic/claude-haiku-5.5, served by claude-haiku-5-5\n", CLI_OK, true},
        {"claude-haiku-latest", NULL,
         "fine  model     claude-haiku-latest, served by claude-haiku-5-5\n", CLI_OK, true},
        {"claude-3-haiku-20240307", "--model-succession=off",
         "FAIL  model     claude-3-haiku-20240307 is not served\n", CLI_FAILED, true},
        {"claude-3-haiku-20240307", NULL,
         "fine  model     claude-3-haiku-20240307 is retired, served by claude-haiku-5-5\n", CLI_OK,
         false},
        {"claude-next-9", NULL,
         "?     model     claude-next-9 is sent as claude-next-9, which the upstream does not "
         "list\n",
         CLI_OK, true},
        {"gpt-4o", "--model-aliases=*=claude-haiku-5-5",
         "?     model     gpt-4o is sent as gpt-4o, which the upstream does not list\n", CLI_OK,
         true},
        {"house-model", NULL,
         "?     model     house-model is sent as house-model, which the upstream does not list\n",
         CLI_OK, false},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct canned_server s;
        char text[CANNED_TEXT_SIZE], flag[128];
        const char *answers[] = {cases[i].has_list ? last_page : ANSWER("404 Not Found", "0", ""),
                                 NULL};
        snprintf(flag, sizeof(flag), "--anthropic-model=%s", cases[i].model);
        int exit_code = check(&s, answers, flag, cases[i].flag, text);
        if (!strstr(text, cases[i].says) || exit_code != cases[i].exit_code)
            fail_msg("%s: %s", cases[i].model, text);
    }
}

static void settings_that_cannot_work(void **state)
{
    (void)state;
    struct canned_server s;
    char text[CANNED_TEXT_SIZE];
    static const char *const no_answers[] = {NULL};
    assert_int_equal(check(&s, no_answers, "--anthropic-base-url=http://127.0.0.1:1", NULL, text),
                     CLI_FAILED);
    assert_non_null(strstr(text, "FAIL  upstream"));
    assert_int_equal(check(&s, no_answers, "--anthropic-api-key=", NULL, text), CLI_FAILED);
    assert_non_null(strstr(text, "FAIL  key       ANTHROPIC_API_KEY is not set\n"));
    assert_int_equal(check(&s, no_answers, "--anthropic-base-url=https://127.0.0.1:1",
                           "--upstream-ca-file=/nonexistent", text),
                     CLI_FAILED);
    assert_non_null(strstr(text, "/nonexistent"));
    assert_int_equal(check(&s, no_answers, "--port=x", NULL, text), CLI_USAGE);
}

static void where_metrics_are(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *other_flag, *says;
        int exit_code;
    } cases[] = {
        {NULL, NULL, "fine  metrics   off: neither METRICS_KEY nor METRICS_ADDRESS is set\n",
         CLI_OK},
        {"--metrics-key=k", NULL, "fine  metrics   /metrics, behind METRICS_KEY\n", CLI_OK},
        {"--metrics-address=127.0.0.1:9090", NULL,
         "fine  metrics   127.0.0.1:9090 /metrics, open to anybody\n", CLI_OK},
        {"--metrics-address=0.0.0.0:9090", "--metrics-key=k",
         "fine  metrics   0.0.0.0:9090 /metrics, behind METRICS_KEY\n", CLI_OK},
        {"--metrics-address=0.0.0.0:9090", NULL,
         "FAIL  metrics   0.0.0.0:9090 /metrics, open to anybody\n", CLI_FAILED},
        {"--metrics-address=[fe80::1%eth0]:9090", NULL, "FAIL  metrics   [fe80::1%eth0]:9090\n",
         CLI_FAILED},
        {"--metrics-key=same", "--claude-proxy-api-key=same",
         "?     metrics   METRICS_KEY is CLAUDE_PROXY_API_KEY: all clients may read them\n",
         CLI_OK},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct canned_server s;
        char text[CANNED_TEXT_SIZE];
        const char *answers[] = {first_page, last_page, NULL};
        const int exit_code = check(&s, answers, cases[i].flag, cases[i].other_flag, text);
        if (!strstr(text, cases[i].says) || exit_code != cases[i].exit_code)
            fail_msg("%zu: %s", i, text);
    }
}

int main(void)
{
    clearenv(); /* the settings are the tests' own */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_fine),          cmocka_unit_test(pinned_version_and_bearer),
        cmocka_unit_test(refused_key),          cmocka_unit_test(gateway_without_models),
        cmocka_unit_test(broken_upstreams),     cmocka_unit_test(unknown_model_and_open_server),
        cmocka_unit_test(model_by_other_names), cmocka_unit_test(settings_that_cannot_work),
        cmocka_unit_test(where_metrics_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

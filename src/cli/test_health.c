/*
 * `health` against canned answers: well, unwell, something else, nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/test_canned_server.h"

static int ask(const char *answer, const char *host, char text[CANNED_TEXT_SIZE])
{
    const char *answers[] = {answer, NULL};
    struct canned_server s;
    char port[16];
    canned_start(&s, answers);
    snprintf(port, sizeof(port), "--port=%d", s.port);
    const char *flags[] = {port, "--host", host, "--env-file=/dev/null", NULL};
    int exit_code = catch_command(cli_health, flags, text);
    canned_stop(&s);
    if (answer)
        assert_true(strncmp(s.asked, "GET /health HTTP/1.1\r\n", 22) == 0);
    return exit_code;
}

static void well(void **state)
{
    (void)state;
    char text[CANNED_TEXT_SIZE];
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    assert_int_equal(ask(answer, "127.0.0.1", text), CLI_OK);
    assert_string_equal(text, "{}\n");
    assert_int_equal(ask(answer, "0.0.0.0", text), CLI_OK); /* listening everywhere includes here */
    assert_int_equal(ask(answer, "localhost", text), CLI_OK);
}

static void unwell(void **state)
{
    (void)state;
    char text[CANNED_TEXT_SIZE];
    assert_int_equal(
        ask("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"draining\"}", "127.0.0.1", text),
        CLI_FAILED);
    assert_string_equal(text, "{\"status\":\"draining\"}\n");
}

static void something_else(void **state)
{
    (void)state;
    char text[CANNED_TEXT_SIZE];
    assert_int_equal(ask("SSH-2.0-OpenSSH\r\n\r\n", "127.0.0.1", text), CLI_FAILED);
    assert_int_equal(ask("HTTP/1.1 200 OK\r\nContent-", "127.0.0.1", text), CLI_FAILED);
    assert_int_equal(ask("", "127.0.0.1", text), CLI_FAILED);
    assert_string_equal(text, "");
}

static void nobody(void **state)
{
    (void)state;
    char text[CANNED_TEXT_SIZE];
    struct canned_server s;
    char port[16];
    static const char *const no_answers[] = {NULL};
    canned_start(&s, no_answers);
    canned_stop(&s); /* its port is free now */
    snprintf(port, sizeof(port), "%d", s.port);
    const char *flags[] = {"--port", port, "--host=127.0.0.1", "--env-file=/dev/null", NULL};
    assert_int_equal(catch_command(cli_health, flags, text), CLI_FAILED);
    const char *bad[] = {"--port", "x", "--env-file=/dev/null", NULL};
    assert_int_equal(catch_command(cli_health, bad, text), CLI_USAGE);
}

int main(void)
{
    clearenv(); /* the settings are the tests' own */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well),
        cmocka_unit_test(unwell),
        cmocka_unit_test(something_else),
        cmocka_unit_test(nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

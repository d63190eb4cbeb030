/*
 * The cases in tests/golden/response: the upstream's errors and headers, and what the client gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "translate/golden.h"
#include "translate/instant.h"
#include "translate/origin.h"
#include "translate/upstream_error.h"

#define OUT_BYTES_MAX 65536

static int status_of(const struct golden_case *c)
{
    uint64_t status;
    if (!str_to_u64(str_trim(golden_section(c, "status")), &status))
        fail_msg("%.*s: no status", STR_ARG(c->name));
    return (int)status;
}

/* A request whose messages were sent as they are. */
static const struct client_names unchanged = {
    .messages = (const struct origin[]){{.message = 1, .parts = 2},
                                        {.message = 2, .parts = 2},
                                        {.message = 3, .parts = 2},
                                        {.message = 4, .parts = 2}},
    .n_messages = 4,
    .max_tokens = "max_tokens",
    .user = "user"};

static void run_error(const struct golden_case *c)
{
    struct tr_upstream_error e;
    struct buf actual, expected;
    struct str text = golden_section(c, "error"), line;
    buf_init(&actual, OUT_BYTES_MAX);
    buf_init(&expected, OUT_BYTES_MAX);
    tr_upstream_error(status_of(c), golden_section(c, "body"), &unchanged, &e);
    buf_printf(&actual, "%d%s\n", e.error.status, e.is_final ? " final" : "");
    api_error_write(&e.error, &actual);
    assert_true(utf8_is_valid(buf_str(&actual)));
    assert_true(str_split(&text, '\n', &line));
    buf_append_str(&expected, line);
    buf_append_z(&expected, "\n{\"error\":");
    golden_compact(c, text, &expected);
    buf_append_char(&expected, '}');
    golden_equal(c, "error", buf_str(&actual), buf_str(&expected));
    buf_done(&actual);
    buf_done(&expected);
}

static void run_headers(const struct golden_case *c)
{
    int64_t now_ms;
    struct buf out, lines;
    struct str text = golden_section(c, "headers"), line, name;
    buf_init(&out, OUT_BYTES_MAX);
    buf_init(&lines, OUT_BYTES_MAX);
    if (!instant_parse(str_trim(golden_section(c, "now")), &now_ms))
        fail_msg("%.*s: no instant", STR_ARG(c->name));
    while (str_split(&text, '\n', &line)) {
        assert_true(str_split(&line, ':', &name));
        tr_response_header(status_of(c), name, line, now_ms, &out);
    }
    struct str rest = buf_str(&out);
    while (str_split(&rest, '\n', &line)) {
        if (!str_ends(line, STR("\r")))
            fail_msg("%.*s: a line end", STR_ARG(c->name));
        buf_append(&lines, line.p, line.n - 1);
        buf_append_char(&lines, '\n');
    }
    golden_equal(c, "lines", str_trim(buf_str(&lines)), str_trim(golden_section(c, "lines")));
    buf_done(&out);
    buf_done(&lines);
}

static void run_case(const struct golden_case *c)
{
    if (golden_has(c, "headers"))
        run_headers(c);
    else
        run_error(c);
}

static void test_golden_response(void **state)
{
    (void)state;
    size_t n = golden_run("response", run_case);
    print_message("%zu cases\n", n);
    assert_true(n >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_response)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Reading settings again: what differs is found, what only a start reads stays as it was, secrets
 * that came as flags are still known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/option.h"

static void load(struct config *c, const char *const *environment)
{
    struct buf why;
    buf_init(&why, 1024);
    const struct config_sources sources = {.environment = (char *const *)environment};
    if (config_load(c, &sources, &why) != CONFIG_OK)
        fail_msg("%.*s", STR_ARG(buf_str(&why)));
    buf_done(&why);
}

/* Appends "NAME=value " or "NAME ". */
static void note_change(void *arg, const char *name, struct str value)
{
    buf_printf(arg, "%s=%.*s ", name, STR_ARG(value));
}

static void note_kept(void *arg, const char *name)
{
    buf_printf(arg, "%s ", name);
}

static void expect_changes(const struct config *before, const struct config *now, size_t n,
                           const char *expected)
{
    struct buf seen;
    buf_init(&seen, 4096);
    assert_int_equal(config_compare(before, now, note_change, &seen), n);
    buf_append_char(&seen, '\0');
    assert_string_equal(seen.data, expected);
    buf_done(&seen);
}

static void changes_are_found(void **state)
{
    (void)state;
    struct config before, now;
    load(&before, (const char *const[]){"ANTHROPIC_API_KEY=one", "CORS_ORIGINS=*", NULL});
    load(&now, (const char *const[]){"ANTHROPIC_API_KEY=two", "MODEL_TEMPERATURE=0.1000001",
                                     "STRICT=on", "RETRIES=7", "PROMPT_CACHE=off",
                                     "FALLBACK_MODELS=a,b", "CLAUDE_PROXY_API_KEY=three", NULL});
    expect_changes(&before, &before, 0, "");
    expect_changes(&before, &now, 8,
                   "ANTHROPIC_API_KEY=set CLAUDE_PROXY_API_KEY=set MODEL_TEMPERATURE=0.1 "
                   "PROMPT_CACHE=off STRICT=on CORS_ORIGINS= RETRIES=7 FALLBACK_MODELS=a,b ");
    config_done(&before);
    config_done(&now);
}

static void a_default_that_is_set_is_a_change(void **state)
{
    (void)state;
    struct config before, now;
    load(&before, (const char *const[]){NULL});
    load(&now, (const char *const[]){"MAX_TOKENS=4096", NULL});
    expect_changes(&before, &now, 1, "MAX_TOKENS=4096 ");
    config_done(&before);
    config_done(&now);
}

static void what_a_start_reads_stays(void **state)
{
    (void)state;
    struct config before, now;
    struct buf seen;
    buf_init(&seen, 4096);
    load(&before, (const char *const[]){"PORT=1", "HTTPS_PROXY=http://u:p@a", "SANDBOX=off", NULL});
    load(&now, (const char *const[]){"PORT=2", "HTTPS_PROXY=http://u:q@a", "LOG_LEVEL=error",
                                     "TLS_CERT=x", NULL});
    assert_true(config_keep(&now, &before, note_kept, &seen));
    buf_append_char(&seen, '\0');
    assert_string_equal(seen.data, "PORT TLS_CERT SANDBOX HTTPS_PROXY ");
    assert_int_equal(now.port, 1);
    assert_false(now.sandbox);
    assert_string_equal(now.https_proxy, "http://u:p@a");
    assert_string_equal(now.tls_cert, "");
    expect_changes(&before, &now, 1, "LOG_LEVEL=error ");
    buf_done(&seen);
    config_done(&before);
    config_done(&now);
}

/* A kind of value that is_same does not know would be a change nobody sees. */
static void each_setting_is_compared(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &option_table[i];
        static const char *const values[] = {
            "7",      "11",        "2222",       "0.5",         "off",       "on",
            "a=b",    "http://h",  "*",          "text",        "json",      "auto",
            "bearer", "reasoning", "2026-10-21", "127.0.0.3:9", "127.0.0.3", "error"};
        struct config before, now;
        size_t n = 0;
        load(&before, (const char *const[]){NULL});
        for (size_t k = 0; n == 0 && k < PX_ARRAY_LEN(values); k++) {
            load(&now, (const char *const[]){NULL});
            struct buf seen;
            buf_init(&seen, 4096);
            if (config_set(&now, o->name, values[k]))
                n = config_compare(&before, &now, note_change, &seen);
            buf_done(&seen);
            config_done(&now);
        }
        if (n != 1)
            fail_msg("%s: %zu", o->name, n);
        config_done(&before);
    }
}

static void secret_flags_are_still_known(void **state)
{
    (void)state;
    char *argv[] = {strdup("--anthropic-api-key=from-flag"), strdup("--claude-proxy-api-key"),
                    strdup("also-from-flag"), strdup("--port"), strdup("9")};
    const char *const environment[] = {"ANTHROPIC_API_KEY=from-environment", NULL};
    struct config before, now;
    struct config_sources sources = {
        .argc = PX_ARRAY_LEN(argv),
        .argv = argv,
        .environment = (char *const *)environment,
    };
    struct buf why;
    buf_init(&why, 1024);
    assert_int_equal(config_load(&before, &sources, &why), CONFIG_OK);
    assert_string_equal(argv[0], "--anthropic-api-key=");
    sources.before = &before;
    assert_int_equal(config_load(&now, &sources, &why), CONFIG_OK);
    assert_string_equal(now.anthropic_api_key, "from-flag");
    assert_string_equal(now.proxy_api_key, "also-from-flag");
    assert_int_equal(now.port, 9);
    expect_changes(&before, &now, 0, "");
    buf_done(&why);
    config_done(&before);
    config_done(&now);
    for (size_t i = 0; i < PX_ARRAY_LEN(argv); i++)
        free(argv[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(a_default_that_is_set_is_a_change),
        cmocka_unit_test(what_a_start_reads_stays),
        cmocka_unit_test(each_setting_is_compared),
        cmocka_unit_test(secret_flags_are_still_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

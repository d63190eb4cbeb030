/*
 * Secrets are gone from memory when the settings are: nothing that is freed holds one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/test_freed.h"
#include "config/config.h"

#define SECRET "sk-ant-a-key-to-be-wiped-57721"

static void load_and_forget(const struct config_sources *sources)
{
    struct config c;
    struct buf why;
    buf_init(&why, 1024);
    freed_watch((const char *const[]){SECRET, NULL});
    assert_int_equal(config_load(&c, sources, &why), CONFIG_OK);
    assert_string_equal(c.anthropic_api_key, SECRET);
    assert_string_equal(c.metrics_key, SECRET);
    config_done(&c);
    freed_watch_end();
    assert_true(atomic_load(&freed_blocks) > 0);
    assert_int_equal(atomic_load(&freed_seen), 0);
    buf_done(&why);
}

static void wipes_what_the_environment_gave(void **state)
{
    (void)state;
    char key[] = "ANTHROPIC_API_KEY=" SECRET, metrics[] = "METRICS_KEY=" SECRET,
         proxy[] = "HTTPS_PROXY=http://u:" SECRET "@proxy.example";
    char *const environment[] = {key, metrics, proxy, NULL};
    load_and_forget(&(struct config_sources){.environment = environment});
}

static void wipes_what_flags_gave(void **state)
{
    (void)state;
    char key[] = "--anthropic-api-key=" SECRET, name[] = "--metrics-key", value[] = SECRET;
    char *argv[] = {key, name, value, NULL};
    load_and_forget(&(struct config_sources){.argc = 3, .argv = argv});
    assert_null(strstr(key, SECRET));
    assert_null(strstr(value, SECRET));
}

static void wipes_what_the_env_file_gave(void **state)
{
    (void)state;
    char path[] = "/tmp/config-test-XXXXXX";
    static const char text[] = "ANTHROPIC_API_KEY=" SECRET "\nMETRICS_KEY=\"" SECRET "\"\n";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    close(fd);
    load_and_forget(&(struct config_sources){.env_file = path});
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wipes_what_the_environment_gave),
        cmocka_unit_test(wipes_what_flags_gave),
        cmocka_unit_test(wipes_what_the_env_file_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

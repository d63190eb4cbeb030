/*
 * Snapshots of the settings: who holds one keeps it, views change on their own loop, and a replaced
 * key is in no memory any more. `free` and `realloc` are wrapped by the linker to see the last.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/test_freed.h"
#include "server/settings.h"

#define WORKERS 4

static const char *const secrets[] = {"sk-first-of-two", "sk-second-of-two",  "the-proxy-key",
                                      "the-metrics-key", "password-of-proxy", NULL};

/* Helpers ---------------------------------------------------------------------------------- */

static void load(struct config *config, const char *env_text, const struct config *before)
{
    char path[] = "/tmp/settings-test-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, env_text, strlen(env_text)), (ssize_t)strlen(env_text));
    close(fd);
    struct buf why;
    buf_init(&why, 1024);
    const struct config_sources sources = {.env_file = path, .before = before};
    if (config_load(config, &sources, &why) != CONFIG_OK)
        fail_msg("%.*s", STR_ARG(buf_str(&why)));
    buf_done(&why);
    unlink(path);
}

static struct settings *make(const char *env_text, const struct settings *before)
{
    struct config config;
    char why[128] = "";
    load(&config, env_text, before ? &before->config : NULL);
    struct settings *s = settings_create(&config, before, why, sizeof(why));
    assert_string_equal(why, "");
    assert_non_null(s);
    config_done(&config);
    return s;
}

/* Tests ------------------------------------------------------------------------------------ */

static void replaced_keys_are_wiped(void **state)
{
    (void)state;
    freed_watch(secrets);
    struct settings *first = make("ANTHROPIC_API_KEY=sk-first-of-two,sk-second-of-two\n"
                                  "CLAUDE_PROXY_API_KEY='the-proxy-key'\n"
                                  "METRICS_KEY=\"the-metrics-key\"\n"
                                  "HTTPS_PROXY=http://u:password-of-proxy@proxy.example:3128\n",
                                  NULL);
    struct settings *by_a_request = settings_hold(first);
    struct settings *second = make("ANTHROPIC_API_KEY=other\n", first);
    settings_drop(first);
    assert_int_equal(by_a_request->keys.n, 2); /* not yet */
    assert_true(str_eq(by_a_request->proxy_key, STR("the-proxy-key")));
    settings_drop(by_a_request);
    settings_drop(second);
    freed_watch_end();
    assert_true(atomic_load(&freed_blocks) > 10);
    assert_int_equal(atomic_load(&freed_seen), 0);
}

static void the_watch_sees_what_is_not_wiped(void **state)
{
    (void)state;
    char *volatile copy = strdup(secrets[0]); /* or the pair is optimised away */
    freed_watch(secrets);
    free(copy);
    freed_watch_end();
    assert_int_equal(atomic_load(&freed_seen), 1);
}

static void keys_that_stay_go_on_cooling_down(void **state)
{
    (void)state;
    struct settings *first = make("ANTHROPIC_API_KEY=a,b\n", NULL);
    assert_true(first->policy.binds_conversations);
    upstream_keys_saw(&first->keys, 1, 1000, 401, 0);
    struct settings *second = make("ANTHROPIC_API_KEY=b,c,a\n", first);
    assert_true(upstream_keys_is_cooling(&second->keys, 0, 2000));
    assert_false(upstream_keys_is_cooling(&second->keys, 1, 2000));
    assert_false(upstream_keys_is_cooling(&second->keys, 2, 2000));
    settings_drop(first);
    settings_drop(second);
}

static void what_cannot_be_served_with_is_refused(void **state)
{
    (void)state;
    struct config config;
    char why[128] = "", text[1024] = "ANTHROPIC_API_KEY=";
    for (int i = 0; i <= UPSTREAM_KEYS_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "k%d,", i);
    load(&config, text, NULL);
    assert_null(settings_create(&config, NULL, why, sizeof(why)));
    assert_non_null(strstr(why, "64"));
    assert_int_equal(strncmp(config.anthropic_api_key, "k0,", 3), 0); /* still the caller's */
    config_done(&config);
}

struct stage {
    struct loop *main, *loops[WORKERS];
    struct settings_view views[WORKERS];
    struct settings_round round;
    struct loop_job stop_jobs[WORKERS];
    size_t n_rounds;
    struct settings *current;
};

static void stop(void *arg)
{
    loop_stop(arg);
}

static void *run(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void deliver(struct stage *s, const char *env_text)
{
    struct settings *next = make(env_text, s->current);
    settings_drop(s->current);
    s->current = next;
    settings_round_begin(&s->round, WORKERS);
    for (size_t i = 0; i < WORKERS; i++)
        settings_deliver(&s->views[i], &s->round, next);
}

static void on_taken(void *arg)
{
    struct stage *s = arg;
    if (++s->n_rounds < 50)
        deliver(s, s->n_rounds % 2 ? "ANTHROPIC_API_KEY=odd\n" : "ANTHROPIC_API_KEY=even\n");
    else
        loop_stop(s->main);
}

static void all_views_change_before_the_round_ends(void **state)
{
    (void)state;
    struct stage s = {.main = loop_create(), .current = make("ANTHROPIC_API_KEY=even\n", NULL)};
    pthread_t threads[WORKERS];
    settings_round_init(&s.round, s.main, on_taken, &s);
    for (size_t i = 0; i < WORKERS; i++) {
        s.loops[i] = loop_create();
        settings_view_init(&s.views[i], s.loops[i], s.current);
        assert_int_equal(pthread_create(&threads[i], NULL, run, s.loops[i]), 0);
    }
    deliver(&s, "ANTHROPIC_API_KEY=even\n");
    loop_run(s.main);
    assert_int_equal(s.n_rounds, 50);
    for (size_t i = 0; i < WORKERS; i++) {
        s.stop_jobs[i] = (struct loop_job){.run = stop, .arg = s.loops[i]};
        loop_post(s.loops[i], &s.stop_jobs[i]);
        pthread_join(threads[i], NULL);
        assert_ptr_equal(s.views[i].current, s.current);
    }
    assert_int_equal(atomic_load(&s.current->references), WORKERS + 1);
    deliver(&s, "ANTHROPIC_API_KEY=late\n"); /* to loops that have ended, as in a drain */
    for (size_t i = 0; i < WORKERS; i++) {
        loop_destroy(s.loops[i]);
        settings_view_done(&s.views[i]);
    }
    loop_destroy(s.main);
    assert_int_equal(atomic_load(&s.current->references), 1);
    settings_drop(s.current);
}

static void count(void *arg)
{
    ++*(size_t *)arg;
}

/* Workers may be faster than the thread that delivers: that they have all taken it is no news until
 * the main thread's loop has turned. */
static void a_round_is_open_until_its_end_was_told(void **state)
{
    (void)state;
    struct loop *main = loop_create(), *worker = loop_create();
    struct settings *s = make("ANTHROPIC_API_KEY=a\n", NULL);
    struct settings_view view;
    struct settings_round round;
    size_t n_told = 0;
    settings_view_init(&view, worker, s);
    settings_round_init(&round, main, count, &n_told);
    assert_false(round.is_open);
    for (size_t i = 1; i <= 3; i++) {
        struct loop_job stop_worker = {.run = stop, .arg = worker};
        struct loop_job stop_main = {.run = stop, .arg = main};
        settings_round_begin(&round, 1);
        settings_deliver(&view, &round, s);
        loop_post(worker, &stop_worker);
        loop_run(worker);
        assert_int_equal(atomic_load(&round.n_left), 0);
        assert_true(round.is_open);
        assert_int_equal(n_told, i - 1);
        loop_post(main, &stop_main);
        loop_run(main);
        assert_false(round.is_open);
        assert_int_equal(n_told, i);
    }
    loop_destroy(worker);
    settings_view_done(&view);
    loop_destroy(main);
    settings_drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_keys_are_wiped),
        cmocka_unit_test(the_watch_sees_what_is_not_wiped),
        cmocka_unit_test(keys_that_stay_go_on_cooling_down),
        cmocka_unit_test(what_cannot_be_served_with_is_refused),
        cmocka_unit_test(all_views_change_before_the_round_ends),
        cmocka_unit_test(a_round_is_open_until_its_end_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

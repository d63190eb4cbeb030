/*
 * What is remembered, of whom, how much and how long, and by several threads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/thinking_memory.h"

#define BYTES_MAX 65536
#define TTL_US    INT64_C(1000000)
#define START_US  INT64_C(5000000)

static struct thinking_memory *memory;
static struct siphash_key one, two;

static int set_up(void **state)
{
    static const struct thinking_memory_limits limits = {BYTES_MAX, TTL_US};
    (void)state;
    memory = thinking_memory_create(&limits);
    one = thinking_memory_tenant(memory, STR("key one"));
    two = thinking_memory_tenant(memory, STR("key two"));
    return memory ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    thinking_memory_destroy(memory);
    return 0;
}

static struct digest key_of(uint64_t n)
{
    return (struct digest){n, ~n};
}

static size_t keep(struct siphash_key tenant, uint64_t key, int64_t now_us, const char *content)
{
    return thinking_memory_keep(memory, now_us, tenant, key_of(key), str_of(content));
}

/* A content of `n` bytes. */
static size_t keep_large(struct siphash_key tenant, uint64_t key, size_t n)
{
    static char bytes[BYTES_MAX];
    memset(bytes, 'x', sizeof(bytes));
    return thinking_memory_keep(memory, START_US, tenant, key_of(key), (struct str){bytes, n});
}

/* What comes back: static text, "" where nothing does. */
static const char *recall(struct siphash_key tenant, uint64_t key, int64_t now_us)
{
    static char text[64];
    struct buf b;
    buf_init(&b, BYTES_MAX);
    const bool is_found = thinking_memory_recall(memory, now_us, tenant, key_of(key), &b);
    snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&b)));
    assert_int_equal(is_found, b.len > 0);
    buf_done(&b);
    return text;
}

static bool has(struct siphash_key tenant, uint64_t key)
{
    return *recall(tenant, key, START_US);
}

static void test_of_whom(void **state)
{
    (void)state;
    keep(one, 1, START_US, "[1]");
    assert_string_equal(recall(one, 1, START_US), "[1]");
    assert_string_equal(recall(one, 2, START_US), "");
    assert_string_equal(recall(two, 1, START_US), "");
    keep(two, 1, START_US, "[2]");
    keep(one, 1, START_US, "[3]"); /* in place of the first */
    assert_string_equal(recall(one, 1, START_US), "[3]");
    assert_string_equal(recall(two, 1, START_US), "[2]");
    const struct thinking_memory_stats stats = thinking_memory_stats(memory);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.tenants, 2);
    assert_int_equal(stats.evicted, 0);
}

static void test_tenants_are_apart(void **state)
{
    (void)state;
    const struct siphash_key again = thinking_memory_tenant(memory, STR("key one"));
    assert_memory_equal(&again, &one, sizeof(one));
    assert_memory_not_equal(&one, &two, sizeof(one));
    static const struct thinking_memory_limits limits = {BYTES_MAX, TTL_US};
    struct thinking_memory *other = thinking_memory_create(&limits);
    const struct siphash_key elsewhere = thinking_memory_tenant(other, STR("key one"));
    assert_memory_not_equal(&elsewhere, &one, sizeof(one));
    thinking_memory_destroy(other);
}

static void test_time_counts_from_the_last_use(void **state)
{
    (void)state;
    keep(one, 1, START_US, "[1]");
    keep(one, 2, START_US, "[2]");
    const int64_t later_us = START_US + TTL_US - 1;
    assert_string_equal(recall(one, 1, later_us), "[1]");
    assert_string_equal(recall(one, 2, START_US + TTL_US), "");
    assert_string_equal(recall(one, 1, later_us + TTL_US - 1), "[1]");
    thinking_memory_sweep(memory, later_us + TTL_US - 1);
    struct thinking_memory_stats stats = thinking_memory_stats(memory);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.expired, 1);
    thinking_memory_sweep(memory, later_us + 2 * TTL_US);
    stats = thinking_memory_stats(memory);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.tenants, 0);
    assert_int_equal(stats.bytes, 0);
}

static void test_what_was_not_used_makes_room(void **state)
{
    (void)state;
    const size_t n = BYTES_MAX / 5;
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(keep_large(one, i, n), 0);
    assert_true(has(one, 0)); /* and so it is used */
    assert_int_equal(keep_large(one, 4, n), 1);
    assert_true(has(one, 0));
    assert_false(has(one, 1));
    assert_true(has(one, 2));
    const struct thinking_memory_stats stats = thinking_memory_stats(memory);
    assert_int_equal(stats.evicted, 1);
    assert_true(stats.bytes <= BYTES_MAX);
}

static void test_one_of_several_gets_half(void **state)
{
    (void)state;
    const size_t n = BYTES_MAX / 10;
    for (uint64_t i = 0; i < 8; i++)
        keep_large(one, i, n);
    assert_true(has(one, 0)); /* alone it has all of it */
    keep_large(two, 0, n);
    assert_true(keep_large(one, 8, n) > 0);
    size_t held = 0;
    for (uint64_t i = 0; i < 9; i++)
        held += has(one, i);
    assert_int_equal(held, 4);
    for (uint64_t i = 0; i < 100; i++)
        keep_large(one, i, n);
    assert_true(has(two, 0)); /* whatever the other does */
}

static void test_too_large(void **state)
{
    (void)state;
    keep(one, 1, START_US, "[1]");
    assert_int_equal(keep_large(one, 2, BYTES_MAX / 4 + 1), 0);
    assert_false(has(one, 2));
    assert_true(has(one, 1));
    keep_large(one, 2, BYTES_MAX / 4);
    struct buf small;
    buf_init(&small, 16);
    assert_false(thinking_memory_recall(memory, START_US, one, key_of(2), &small));
    buf_done(&small);
}

static void test_hardly_any_memory(void **state)
{
    (void)state;
    static const struct thinking_memory_limits limits = {64, TTL_US};
    struct thinking_memory *tiny = thinking_memory_create(&limits);
    for (uint64_t i = 0; i < 10; i++)
        thinking_memory_keep(tiny, START_US, i % 2 ? one : two, key_of(i), STR("[1]"));
    const struct thinking_memory_stats stats = thinking_memory_stats(tiny);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.tenants, 0);
    thinking_memory_destroy(tiny);
}

/* Threads that keep and ask for the same few entries, in little room. */
static void *use(void *arg)
{
    const struct siphash_key *tenant = arg;
    size_t *wrong = calloc(1, sizeof(*wrong));
    for (unsigned i = 0; wrong && i < 4000; i++) {
        char content[64];
        const uint64_t key = i % 7;
        snprintf(content, sizeof(content), "[%u]", (unsigned)key);
        thinking_memory_keep(memory, START_US + i, *tenant, key_of(key), str_of(content));
        struct buf b;
        buf_init(&b, BYTES_MAX);
        if (thinking_memory_recall(memory, START_US + i, *tenant, key_of(key), &b))
            *wrong += !str_eq(buf_str(&b), str_of(content));
        buf_done(&b);
        if (i % 100 == 0)
            thinking_memory_sweep(memory, START_US + i);
    }
    return wrong;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, i % 2 ? &one : &two), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_non_null(wrong);
        assert_int_equal(*(size_t *)wrong, 0);
        free(wrong);
    }
    assert_int_equal(thinking_memory_stats(memory).entries, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_whom, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tenants_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_counts_from_the_last_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_not_used_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_of_several_gets_half, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hardly_any_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The resolver where name servers fail: getaddrinfo is replaced by one that does as it is told.
 */
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/resolver.h"

/* Ends the wait of a test that would else hang. */
#define HANG_S 3

static atomic_int n_calls;
static int verdict;
static bool hangs;
static sem_t is_called, may_return, has_returned;

static void wait_for(sem_t *s)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANG_S;
    sem_timedwait(s, &until);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    (void)name;
    (void)service;
    (void)hints;
    *ret = NULL;
    atomic_fetch_add(&n_calls, 1);
    if (hangs) {
        sem_post(&is_called);
        wait_for(&may_return);
        sem_post(&has_returned);
    }
    return verdict;
}

static void on_answer(void *arg, const struct resolver_answer *a)
{
    assert_int_equal(a->n, 0);
    assert_true(strlen(a->error) > 0);
    loop_stop(arg);
}

static int calls_for(int error)
{
    verdict = error;
    hangs = false;
    atomic_store(&n_calls, 0);
    struct loop *l = loop_create();
    struct resolver *r = resolver_create();
    assert_non_null(resolver_lookup(r, l, "a.example", 80, on_answer, l));
    loop_run(l);
    resolver_destroy(r);
    loop_destroy(l);
    return atomic_load(&n_calls);
}

static void test_silent_name_servers_are_asked_once(void **state)
{
    (void)state;
    assert_int_equal(calls_for(EAI_AGAIN), 1);
    assert_int_equal(calls_for(EAI_NONAME), 2); /* again without AI_ADDRCONFIG */
}

static void test_the_end_waits_for_no_name_server(void **state)
{
    (void)state;
    verdict = EAI_AGAIN;
    hangs = true;
    sem_init(&is_called, 0, 0);
    sem_init(&may_return, 0, 0);
    sem_init(&has_returned, 0, 0);
    struct loop *l = loop_create();
    struct resolver *r = resolver_create();
    struct resolver_query *q = resolver_lookup(r, l, "a.example", 80, on_answer, l);
    wait_for(&is_called);
    resolver_cancel(q);
    const int64_t began_us = clock_mono_us();
    resolver_destroy(r);
    const int64_t took_us = clock_mono_us() - began_us;
    loop_destroy(l);
    sem_post(&may_return);
    wait_for(&has_returned);
    assert_true(took_us < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_name_servers_are_asked_once),
        cmocka_unit_test(test_the_end_waits_for_no_name_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The resolver: addresses as text, and names where name servers fail or are slow: getaddrinfo is
 * replaced by one that does as it is told with names.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <net/if.h>
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
#include "base/macros.h"
#include "net/resolver.h"

/* Ends the wait of a test that would else hang. */
#define HANG_S 3

static atomic_int n_calls;
static int verdict;
static atomic_bool hangs;
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
    if (hints->ai_flags & AI_NUMERICHOST) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(name, service, hints, ret);
    }
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

static void test_literals_need_no_look_up(void **state)
{
    (void)state;
    static const struct {
        const char *host, *is; /* NULL: a name */
        bool has_scope;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", false},
        {"::1", "::1", false},
        {"fe80::1%lo", "fe80::1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1", false},
        {"localhost", NULL, false},
        {"a.example", NULL, false},
        {"127.0.0.1.example", NULL, false},
        {"fe80::1%no-such-link", NULL, false},
        {"", NULL, false},
    };
    atomic_store(&n_calls, 0);
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct resolver_answer a;
        const bool is_literal = resolver_literal(cases[i].host, 443, &a);
        if (is_literal != (cases[i].is != NULL))
            fail_msg("\"%s\" should be %s", cases[i].host, cases[i].is ? "an address" : "a name");
        assert_int_equal(a.n, is_literal ? 1 : 0);
        if (!is_literal)
            continue;
        const struct sockaddr_in *v4 = (const void *)&a.address[0].sa;
        const struct sockaddr_in6 *v6 = (const void *)&a.address[0].sa;
        const bool is_v6 = v4->sin_family == AF_INET6;
        char text[INET6_ADDRSTRLEN];
        inet_ntop(v4->sin_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, text,
                  sizeof(text));
        assert_string_equal(text, cases[i].is);
        assert_int_equal(ntohs(v4->sin_port), 443); /* where IPv6 has it too */
        assert_int_equal(is_v6 ? v6->sin6_scope_id : 0,
                         cases[i].has_scope ? if_nametoindex("lo") : 0);
    }
    assert_int_equal(atomic_load(&n_calls), 0);
}

#define N_SHARING 100

struct burst {
    struct loop *loop;
    int n_answered, n_awaited;
};

static void on_shared_answer(void *arg, const struct resolver_answer *a)
{
    struct burst *b = arg;
    assert_int_equal(a->n, 0);
    assert_string_equal(a->error, gai_strerror(EAI_AGAIN));
    if (++b->n_answered == b->n_awaited)
        loop_stop(b->loop);
}

static struct resolver_query *ask(struct resolver *r, struct burst *b, const char *host, int port)
{
    struct resolver_query *q = resolver_lookup(r, b->loop, host, port, on_shared_answer, b);
    assert_non_null(q);
    return q;
}

/* Also where the one who asked first has left, or who waits for it. */
static void test_a_burst_shares_a_look_up(void **state)
{
    (void)state;
    verdict = EAI_AGAIN;
    atomic_store(&n_calls, 0);
    for (int leaves_first = 0; leaves_first <= 1; leaves_first++) {
        struct burst b = {.loop = loop_create()};
        struct resolver *r = resolver_create();
        hangs = true;
        sem_init(&is_called, 0, 0);
        sem_init(&may_return, 0, 0);
        sem_init(&has_returned, 0, 0);
        struct resolver_query *first = ask(r, &b, "a.example", 80);
        wait_for(&is_called);
        hangs = false;
        struct resolver_query *leaver = NULL;
        for (int i = 0; i < N_SHARING; i++)
            leaver = ask(r, &b, "a.example", 80);
        resolver_cancel(leaver);
        ask(r, &b, "b.example", 80);
        ask(r, &b, "a.example", 81);
        if (leaves_first)
            resolver_cancel(first);
        b.n_awaited = N_SHARING + 2 - leaves_first;
        sem_post(&may_return);
        loop_run(b.loop);
        assert_int_equal(atomic_exchange(&n_calls, 0), 3);
        resolver_destroy(r);
        loop_destroy(b.loop);
    }
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
        cmocka_unit_test(test_literals_need_no_look_up),
        cmocka_unit_test(test_a_burst_shares_a_look_up),
        cmocka_unit_test(test_silent_name_servers_are_asked_once),
        cmocka_unit_test(test_the_end_waits_for_no_name_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

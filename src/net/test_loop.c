/*
 * The loop's own promises: timers, put-off and posted jobs; dialling and listening at the edges.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/clock.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/loop.h"

struct probe {
    struct loop *loop;
    int runs;
    int64_t at_us;
    struct loop_job job;
};

static void count_and_stop(void *arg)
{
    struct probe *p = arg;
    p->runs++;
    p->at_us = clock_mono_us();
    loop_stop(p->loop);
}

static void test_timer_moves_later_and_earlier(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_create()};
    struct timer t;
    timer_init(&t, p.loop, count_and_stop, &p);
    int64_t begin_us = clock_mono_us();
    timer_start(&t, 10);
    timer_start(&t, 60); /* later: the first wake-up must not run it */
    loop_run(p.loop);
    assert_int_equal(p.runs, 1);
    assert_in_range(p.at_us - begin_us, 58000, 5000000);
    timer_start(&t, 600000);
    timer_start(&t, 5); /* earlier */
    loop_run(p.loop);
    assert_int_equal(p.runs, 2);
    assert_false(timer_is_running(&t));
    timer_done(&t);
    loop_destroy(p.loop);
}

static void test_stopped_timer_stays_silent(void **state)
{
    (void)state;
    struct probe stopped = {.loop = loop_create()}, other = {.loop = stopped.loop};
    struct timer a, b;
    timer_init(&a, stopped.loop, count_and_stop, &stopped);
    timer_init(&b, stopped.loop, count_and_stop, &other);
    timer_start(&a, 5);
    timer_stop(&a);
    timer_start(&b, 30);
    loop_run(stopped.loop);
    assert_int_equal(stopped.runs, 0);
    assert_int_equal(other.runs, 1);
    timer_done(&a);
    timer_done(&b);
    loop_destroy(stopped.loop);
}

static void *post_from_thread(void *arg)
{
    struct probe *p = arg;
    loop_post(p->loop, &p->job);
    return NULL;
}

static void test_post_wakes_the_loop(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_create()};
    p.job = (struct loop_job){.run = count_and_stop, .arg = &p};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_from_thread, &p), 0);
    loop_run(p.loop);
    pthread_join(thread, NULL);
    assert_int_equal(p.runs, 1);
    loop_destroy(p.loop);
}

static void defer_itself(void *arg)
{
    struct probe *p = arg;
    if (++p->runs < 3)
        loop_defer(p->loop, &p->job);
    else
        loop_stop(p->loop);
}

static void test_deferred_job_may_defer_itself(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_create()};
    p.job = (struct loop_job){.run = defer_itself, .arg = &p};
    loop_defer(p.loop, &p.job);
    loop_defer(p.loop, &p.job); /* twice is once */
    loop_run(p.loop);
    assert_int_equal(p.runs, 3);
    loop_destroy(p.loop);
}

struct outcome {
    struct loop *loop;
    int fd;
    char error[128];
};

static void on_dialled(void *arg, int fd, const char *error)
{
    struct outcome *o = arg;
    o->fd = fd;
    snprintf(o->error, sizeof(o->error), "%s", error);
    loop_stop(o->loop);
}

static void refuse(void *arg, int fd)
{
    (void)arg;
    close(fd);
}

static void test_dial_tells_why(void **state)
{
    (void)state;
    struct outcome o = {.loop = loop_create(), .fd = 0};
    struct resolver *r = resolver_create();
    char why[128];
    struct listener *s = listener_open(o.loop, "127.0.0.1", 0, refuse, NULL, why, sizeof(why));
    int port = listener_port(s);
    listener_close(s); /* a port that nobody listens on */
    assert_non_null(dial_start(o.loop, r, &(struct dial_target){"127.0.0.1", port, NULL}, 2000,
                               on_dialled, &o));
    loop_run(o.loop);
    assert_int_equal(o.fd, -1);
    assert_string_equal(o.error, "Connection refused");
    assert_non_null(dial_start(o.loop, r, &(struct dial_target){"no-such-host.invalid", 80, NULL},
                               9000, on_dialled, &o));
    loop_run(o.loop);
    assert_int_equal(o.fd, -1);
    assert_true(strlen(o.error) > 0);
    resolver_destroy(r);
    loop_destroy(o.loop);
}

/* "localhost" may mean ::1 first; the server listens on 127.0.0.1 only: the dial must get there. */
static void test_dial_falls_back_to_the_other_family(void **state)
{
    (void)state;
    struct outcome o = {.loop = loop_create(), .fd = -1};
    struct resolver *r = resolver_create();
    char why[128];
    struct listener *s = listener_open(o.loop, "127.0.0.1", 0, refuse, NULL, why, sizeof(why));
    assert_non_null(dial_start(o.loop, r,
                               &(struct dial_target){"localhost", listener_port(s), NULL}, 5000,
                               on_dialled, &o));
    loop_run(o.loop);
    assert_true(o.fd >= 0);
    close(o.fd);
    listener_close(s);
    resolver_destroy(r);
    loop_destroy(o.loop);
}

static void test_cancelled_dial_is_silent(void **state)
{
    (void)state;
    struct outcome o = {.loop = loop_create(), .fd = -7};
    struct resolver *r = resolver_create();
    struct dial *d =
        dial_start(o.loop, r, &(struct dial_target){"localhost", 1, NULL}, 5000, on_dialled, &o);
    dial_cancel(d);
    struct probe p = {.loop = o.loop};
    struct timer t;
    timer_init(&t, o.loop, count_and_stop, &p);
    timer_start(&t, 50);
    loop_run(o.loop);
    assert_int_equal(o.fd, -7);
    timer_done(&t);
    resolver_destroy(r);
    loop_destroy(o.loop);
}

static void test_port_in_use_is_noticed(void **state)
{
    (void)state;
    struct loop *l = loop_create();
    char why[256] = "";
    struct listener *s = listener_open(l, "127.0.0.1", 0, refuse, NULL, why, sizeof(why));
    struct listener *again =
        listener_open(l, "127.0.0.1", listener_port(s), refuse, NULL, why, sizeof(why));
    assert_non_null(again); /* workers share it */
    assert_false(listener_port_is_free("127.0.0.1", listener_port(s), why, sizeof(why)));
    assert_non_null(strstr(why, "Address already in use"));
    listener_close(s);
    listener_close(again);
    loop_destroy(l);
}

static void defer_again_then_stop(void *arg)
{
    struct probe *p = arg;
    if (++p->runs == 2)
        loop_stop(p->loop);
    else
        loop_defer(p->loop, &p->job);
}

static void ignore_bytes(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* What is put off runs although something stays ready, as a channel does that is not open yet. */
static void test_deferred_job_runs_beside_what_is_ready(void **state)
{
    (void)state;
    struct probe p = {.loop = loop_create()};
    struct event event;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    event_assign(&event, loop_base(p.loop), fds[0], EV_READ | EV_PERSIST, ignore_bytes, NULL);
    event_add(&event, NULL);
    p.job = (struct loop_job){.run = defer_again_then_stop, .arg = &p};
    loop_defer(p.loop, &p.job);
    alarm(10); /* it would go on for ever */
    loop_run(p.loop);
    alarm(0);
    assert_int_equal(p.runs, 2);
    event_del(&event);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(p.loop);
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(listener_is_loopback("127.0.0.1"));
    assert_true(listener_is_loopback("127.9.9.9"));
    assert_true(listener_is_loopback("::1"));
    assert_true(listener_is_loopback("localhost"));
    assert_false(listener_is_loopback("0.0.0.0"));
    assert_false(listener_is_loopback("::"));
    assert_false(listener_is_loopback("192.0.2.1"));
    assert_false(listener_is_loopback("no-such-host.invalid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timer_moves_later_and_earlier),
        cmocka_unit_test(test_stopped_timer_stays_silent),
        cmocka_unit_test(test_post_wakes_the_loop),
        cmocka_unit_test(test_deferred_job_may_defer_itself),
        cmocka_unit_test(test_deferred_job_runs_beside_what_is_ready),
        cmocka_unit_test(test_dial_tells_why),
        cmocka_unit_test(test_dial_falls_back_to_the_other_family),
        cmocka_unit_test(test_cancelled_dial_is_silent),
        cmocka_unit_test(test_port_in_use_is_noticed),
        cmocka_unit_test(test_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

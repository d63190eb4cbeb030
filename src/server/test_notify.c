/*
 * What the service manager is told, and what becomes of one that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/macros.h"
#include "server/notify.h"

struct manager {
    char folder[64], path[108];
    int fd;
};

/* Listens at a path of its own, or at an abstract one ("@..."). */
static void manager_init(struct manager *m, bool is_abstract)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(m->folder, sizeof(m->folder), "/tmp/notify-test-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    snprintf(m->path, sizeof(m->path), "%s%s/socket", is_abstract ? "@" : "",
             m->folder + is_abstract);
    const size_t n = strlen(m->path);
    memcpy(at.sun_path, m->path, n);
    if (is_abstract)
        at.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(m->fd, (const struct sockaddr *)&at, size), 0);
}

static void manager_done(struct manager *m)
{
    close(m->fd);
    unlink(m->path);
    rmdir(m->folder);
}

static void expect(const struct manager *m, const char *text)
{
    char got[256];
    const ssize_t n = recv(m->fd, got, sizeof(got) - 1, 0);
    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void expect_nothing(const struct manager *m)
{
    char got[256];
    assert_int_equal(recv(m->fd, got, sizeof(got), 0), -1);
}

static void tells_each_state(void **state)
{
    (void)state;
    for (int is_abstract = 0; is_abstract < 2; is_abstract++) {
        struct manager m;
        struct notify n;
        manager_init(&m, is_abstract);
        notify_init(&n, m.path);
        assert_true(n.fd >= 0);
        notify_ready(&n, 8000, false);
        expect(&m, "READY=1\nSTATUS=listening on port 8000");
        notify_ready(&n, 8000, true);
        expect(&m, "READY=1\nSTATUS=listening on port 8000; the reload failed, the log says why");
        notify_reloading(&n, INT64_C(123456789012));
        expect(&m, "RELOADING=1\nMONOTONIC_USEC=123456789012");
        notify_alive(&n);
        expect(&m, "WATCHDOG=1");
        notify_stopping(&n, 3600);
        expect(&m, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=3610000000");
        notify_done(&n);
        notify_alive(&n);
        expect_nothing(&m);
        manager_done(&m);
    }
}

static void does_without_a_manager(void **state)
{
    (void)state;
    char too_long[200];
    memset(too_long, 'x', sizeof(too_long));
    too_long[0] = '/';
    too_long[sizeof(too_long) - 1] = '\0';
    const char *paths[] = {NULL, "", "/", "@", "relative", "/no/such/socket", too_long};
    log_setup(LOG_ERROR, LOG_TEXT);
    for (size_t i = 0; i < PX_ARRAY_LEN(paths); i++) {
        struct notify n;
        notify_init(&n, paths[i]);
        assert_int_equal(n.fd, -1);
        notify_ready(&n, 1, false);
        notify_alive(&n);
        notify_done(&n);
    }
}

static void waits_for_no_manager(void **state)
{
    (void)state;
    struct manager m;
    struct notify n;
    manager_init(&m, false);
    notify_init(&n, m.path);
    for (int i = 0; i < 10000; i++) /* its queue is full long before */
        notify_alive(&n);
    expect(&m, "WATCHDOG=1");
    manager_done(&m);
    notify_alive(&n); /* it is gone: no signal, no end */
    notify_done(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_state),
        cmocka_unit_test(does_without_a_manager),
        cmocka_unit_test(waits_for_no_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What a service manager says in the environment, and what is meant for somebody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "cli/manager.h"

#define OURS      "%" /* stands for our process id */
#define VARIABLES 5

static const char *const names[VARIABLES] = {"LISTEN_PID", "LISTEN_FDS", "WATCHDOG_PID",
                                             "WATCHDOG_USEC", "NOTIFY_SOCKET"};

struct manager_case {
    const char *values[VARIABLES]; /* NULL: not there */
    bool is_refused;
    int listen_fd;
    int64_t watchdog_us;
};

static void set(const char *name, const char *value)
{
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (!value)
        unsetenv(name);
    else
        setenv(name, value[0] == OURS[0] ? pid : value, 1);
}

static void reads_the_environment(void **state)
{
    (void)state;
    static const struct manager_case cases[] = {
        {{0}, false, -1, 0},
        {{OURS, "1"}, false, 3, 0},
        {{OURS, "0"}, false, -1, 0},
        {{OURS, NULL}, false, -1, 0},
        {{OURS, ""}, false, -1, 0},
        {{OURS, "one"}, false, -1, 0},
        {{OURS, "-1"}, false, -1, 0},
        {{OURS, "2"}, true, -1, 0},
        {{OURS, "99999999999999999999"}, true, -1, 0},
        /* Another's, or nobody's: left over from a parent. */
        {{"1", "1"}, false, -1, 0},
        {{"1", "2"}, false, -1, 0},
        {{"x", "1"}, false, -1, 0},
        {{"", "1"}, false, -1, 0},
        {{NULL, "1"}, false, -1, 0},
        /* WATCHDOG_PID may be missing. */
        {{NULL, NULL, OURS, "30000000"}, false, -1, 30000000},
        {{NULL, NULL, NULL, "30000000"}, false, -1, 30000000},
        {{NULL, NULL, "1", "30000000"}, false, -1, 0},
        {{NULL, NULL, OURS, "0"}, false, -1, 0},
        {{NULL, NULL, OURS, "1s"}, false, -1, 0},
        {{NULL, NULL, OURS, "-5"}, false, -1, 0},
        {{OURS, "1", OURS, "20", "/run/notify"}, false, 3, 20},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        const struct manager_case *c = &cases[i];
        struct manager m;
        for (size_t v = 0; v < VARIABLES; v++)
            set(names[v], c->values[v]);
        const bool is_fine = manager_of_environment(&m);
        if (is_fine == c->is_refused || m.listen_fd != c->listen_fd ||
            m.watchdog_us != c->watchdog_us)
            fail_msg("case %zu: %d, descriptor %d, watchdog %lld", i, is_fine, m.listen_fd,
                     (long long)m.watchdog_us);
        if (c->values[4])
            assert_string_equal(m.notify_socket, c->values[4]);
        else
            assert_null(m.notify_socket);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_the_environment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

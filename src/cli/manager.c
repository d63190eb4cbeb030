/*
 * The environment variables of systemd's protocols for services (sd_listen_fds, sd_notify,
 * sd_watchdog_enabled).
 */
#include "cli/manager.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli/setup.h"

#define LISTEN_FDS_START 3

/* -1 when the variable is not there or no number. */
static int64_t number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !text[0] || text[0] < '0' || text[0] > '9')
        return -1;
    const long long value = strtoll(text, &end, 10);
    return *end ? -1 : value;
}

static bool is_ours(const char *pid_name, bool is_needed)
{
    return getenv(pid_name) ? number(pid_name) == getpid() : !is_needed;
}

bool manager_of_environment(struct manager *ret)
{
    *ret = (struct manager){.listen_fd = -1, .notify_socket = getenv("NOTIFY_SOCKET")};
    const int64_t watchdog_us = number("WATCHDOG_USEC");
    if (watchdog_us > 0 && is_ours("WATCHDOG_PID", false))
        ret->watchdog_us = watchdog_us;
    if (!is_ours("LISTEN_PID", true))
        return true;
    const int64_t n = number("LISTEN_FDS");
    if (n > 1) {
        setup_complain("%lld sockets were handed over (LISTEN_FDS): one is taken, name only one "
                       "address in the socket unit",
                       (long long)n);
        return false;
    }
    if (n == 1)
        ret->listen_fd = LISTEN_FDS_START;
    return true;
}

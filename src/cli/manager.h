/*
 * What a service manager such as systemd handed to the process: a listening socket, where it wants
 * to be told of the state, how often a sign of life.
 */
#ifndef CLI_MANAGER_H
#define CLI_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

struct manager {
    int listen_fd;             /* -1: none was handed over */
    const char *notify_socket; /* borrowed from the environment; NULL: nobody to tell */
    int64_t watchdog_us;       /* 0: none wanted */
};

/*
 * Reads LISTEN_FDS and LISTEN_PID, NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the
 * environment. What is meant for another process is passed over. False after a complaint when the
 * sockets are not exactly one.
 */
bool manager_of_environment(struct manager *ret);

#endif

/*
 * Telling the service manager how the server is: systemd's notification protocol, datagrams to the
 * socket that the manager named. Without a manager nothing happens.
 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notify {
    int fd; /* -1: nobody to tell */
};

/* `path` as NOTIFY_SOCKET has it ("@" = abstract); NULL or one that cannot be reached: nobody. */
void notify_init(struct notify *n, const char *path);
void notify_done(struct notify *n);
/* Listening, or done with a reload; the status says on which port, and whether that failed. */
void notify_ready(const struct notify *n, int port, bool has_reload_failed);
void notify_reloading(const struct notify *n, int64_t now_us);
/* Draining, for so long at most: the manager is asked to wait for it, whatever its own patience. */
void notify_stopping(const struct notify *n, int64_t drain_s);
/* Still alive. */
void notify_alive(const struct notify *n);

#endif

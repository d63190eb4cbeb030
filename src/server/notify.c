/*
 * The datagrams: lines of NAME=value. None is waited for: a manager that does not read loses them.
 */
#include "server/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* The drain ends by itself; what is left then takes moments. */
#define AFTER_DRAIN_S 10

static bool connect_to(int fd, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t n = strlen(path);
    if (n < 2 || n >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return false;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return connect(fd, (const struct sockaddr *)&to, size) == 0;
}

void notify_init(struct notify *n, const char *path)
{
    n->fd = -1;
    if (!path || !path[0])
        return;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd >= 0 && connect_to(n->fd, path))
        return;
    log_line(LOG_WARNING, "the service manager cannot be told", LOG_Z("socket", path));
    notify_done(n);
}

void notify_done(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void tell(const struct notify *n, const char *text)
{
    if (n->fd >= 0)
        (void)!send(n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void notify_ready(const struct notify *n, int port, bool has_reload_failed)
{
    char text[96];
    snprintf(text, sizeof(text), "READY=1\nSTATUS=listening on port %d%s", port,
             has_reload_failed ? "; the reload failed, the log says why" : "");
    tell(n, text);
}

void notify_reloading(const struct notify *n, int64_t now_us)
{
    char text[64];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now_us);
    tell(n, text);
}

void notify_stopping(const struct notify *n, int64_t drain_s)
{
    char text[96];
    snprintf(text, sizeof(text), "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%lld",
             (long long)(drain_s + AFTER_DRAIN_S) * 1000000);
    tell(n, text);
}

void notify_alive(const struct notify *n)
{
    tell(n, "WATCHDOG=1");
}

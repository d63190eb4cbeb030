/*
 * Test support: a wall clock that jumps. Loaded before all else (LD_PRELOAD); the file named by
 * CLOCK_FILE holds by how many seconds the wall clock is off, and a test writes another number into
 * it while the program runs. The monotonic clock stays as it is, as it does when somebody sets the
 * time.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *offset_s;
static int (*real_clock_gettime)(clockid_t id, struct timespec *t);

__attribute__((constructor)) static void start(void)
{
    void *symbol = dlsym(RTLD_NEXT, "clock_gettime"); /* no data pointer: it may not be cast */
    memcpy(&real_clock_gettime, &symbol, sizeof(symbol));
    const char *path = getenv("CLOCK_FILE");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(*offset_s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        offset_s = p;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (!real_clock_gettime)
        start();
    const int rc = real_clock_gettime(id, t);
    if (rc == 0 && offset_s && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += atomic_load(offset_s);
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &t) != 0)
        return -1;
    *tv = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *to)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (to)
        *to = t.tv_sec;
    return t.tv_sec;
}

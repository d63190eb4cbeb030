/*
 * Test support: memory that is refused in a running program. Loaded before all else (LD_PRELOAD) it
 * stands between the program with all its libraries and the allocator, counts allocations and, when
 * the file named by SCARCE_FILE says so, refuses one of them or all from one on. The file is mapped
 * at the start, so that a test arms and disarms it by writing into it, and nothing has to be opened
 * later by a program that gave up opening files. Where the first refused allocation was asked for
 * goes to the file named by SCARCE_TRACE.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES_MAX 30

enum { ARMED_OFF, ARMED_ONCE, ARMED_LASTING };

/* The beginning of the file; tests/e2e/lib/scarce.mjs knows it too. */
struct control {
    _Atomic int64_t armed;
    _Atomic int64_t after;   /* the first allocation that is refused, from 0 */
    _Atomic int64_t seen;    /* allocations while it was armed */
    _Atomic int64_t refused; /* of them */
};

static struct control *control;
static int trace_fd = -1;
static __thread int is_inside; /* what is asked for while we write the trace is given */

static void *(*real_malloc)(size_t n);
static void *(*real_calloc)(size_t n, size_t size);
static void *(*real_realloc)(void *p, size_t n);
static int (*real_posix_memalign)(void **p, size_t align, size_t n);
static void *(*real_aligned_alloc)(size_t align, size_t n);

/* What a pointer to data may not be cast to. */
static void find(void *to, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(to, &symbol, sizeof(symbol));
}

static void find_all(void)
{
    find(&real_malloc, "malloc");
    find(&real_calloc, "calloc");
    find(&real_realloc, "realloc");
    find(&real_posix_memalign, "posix_memalign");
    find(&real_aligned_alloc, "aligned_alloc");
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("SCARCE_FILE"), *trace = getenv("SCARCE_TRACE");
    void *frames[FRAMES_MAX];
    (void)backtrace(frames, FRAMES_MAX); /* it loads a library when it is first called */
    if (trace)
        trace_fd = open(trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        control = p;
}

static void write_trace(void)
{
    void *frames[FRAMES_MAX];
    if (trace_fd < 0)
        return;
    is_inside = 1;
    const int n = backtrace(frames, FRAMES_MAX);
    (void)lseek(trace_fd, 0, SEEK_SET);
    backtrace_symbols_fd(frames, n, trace_fd);
    (void)!write(trace_fd, "\n",
                 1); /* a longer one may have been there: an empty line ends this one */
    is_inside = 0;
}

static int may_allocate(void)
{
    if (!control || is_inside)
        return 1;
    const int64_t armed = atomic_load(&control->armed);
    if (armed == ARMED_OFF)
        return 1;
    const int64_t n = atomic_fetch_add(&control->seen, 1);
    const int64_t after = atomic_load(&control->after);
    if (armed == ARMED_ONCE ? n != after : n < after)
        return 1;
    if (atomic_fetch_add(&control->refused, 1) == 0)
        write_trace();
    errno = ENOMEM;
    return 0;
}

void *malloc(size_t n)
{
    if (!real_malloc)
        find_all();
    return may_allocate() ? real_malloc(n) : NULL;
}

void *calloc(size_t n, size_t size)
{
    if (!real_calloc)
        find_all();
    return may_allocate() ? real_calloc(n, size) : NULL;
}

void *realloc(void *p, size_t n)
{
    if (!real_realloc)
        find_all();
    return may_allocate() ? real_realloc(p, n) : NULL;
}

int posix_memalign(void **p, size_t align, size_t n)
{
    if (!real_posix_memalign)
        find_all();
    return may_allocate() ? real_posix_memalign(p, align, n) : ENOMEM;
}

void *aligned_alloc(size_t align, size_t n)
{
    if (!real_aligned_alloc)
        find_all();
    return may_allocate() ? real_aligned_alloc(align, n) : NULL;
}

/*
 * Standard error, and what waits for it. A socket, which a service manager may give, calls itself
 * full when a quarter of it is: a burst of lines is no reason to lose any.
 */
#include "base/log_output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One writer at a time, or the room that two see is gone for the second. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* what is kept */
/* Under the lock, which whoever only looks whether there are any does without. */
static _Atomic int64_t n_lost;
/* Under the lock. */
static char *kept; /* LOG_KEPT_BYTES_MAX bytes for what comes, as many for what goes */
static size_t n_coming, n_going;

static bool is_anything_kept(void)
{
    return n_coming + n_going > 0;
}

static bool has_room(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void wait_for_room(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    poll(&p, 1, -1);
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        const ssize_t written = write(STDERR_FILENO, p, n);
        if (written >= 0) {
            p += written;
            n -= (size_t)written;
        } else if (errno == EAGAIN) { /* somebody else's O_NONBLOCK */
            wait_for_room();
        } else if (errno != EINTR) {
            return; /* nowhere left to say it */
        }
    }
}

/* The thread that waits for the reader in everybody's place. */
static void *write_kept(void *arg)
{
    char *coming = arg, *going = coming + LOG_KEPT_BYTES_MAX;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (n_coming == 0)
            pthread_cond_wait(&changed, &lock);
        char *swapped = going;
        going = coming;
        kept = coming = swapped;
        n_going = n_coming;
        n_coming = 0;
        pthread_mutex_unlock(&lock);
        write_all(going, n_going);
        pthread_mutex_lock(&lock);
        n_going = 0;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

/* Signals are for the other threads. */
static bool start_thread(void)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool is_started = pthread_create(&thread, &attributes, write_kept, kept) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

static bool can_keep(void)
{
    if (kept)
        return true;
    kept = malloc(2 * LOG_KEPT_BYTES_MAX);
    if (kept && !start_thread()) {
        free(kept);
        kept = NULL;
    }
    return kept != NULL;
}

static bool keep(struct str lines)
{
    if (!can_keep() || lines.n > LOG_KEPT_BYTES_MAX - n_coming)
        return false;
    memcpy(kept + n_coming, lines.p, lines.n);
    n_coming += lines.n;
    pthread_cond_broadcast(&changed);
    return true;
}

void log_output_write(struct str lines, int64_t n)
{
    pthread_mutex_lock(&lock);
    if (is_anything_kept() || !has_room()) {
        if (!keep(lines))
            n_lost += n;
    } else if (write(STDERR_FILENO, lines.p, lines.n) < 0) {
        /* Nowhere left to say it. */
    }
    pthread_mutex_unlock(&lock);
}

int64_t log_output_take_lost(void)
{
    if (n_lost == 0)
        return 0;
    pthread_mutex_lock(&lock);
    const bool has_place = LOG_KEPT_BYTES_MAX - n_coming >= 2 * LOG_PIECE_BYTES_MAX;
    const int64_t n = has_place ? n_lost : 0;
    n_lost -= n;
    pthread_mutex_unlock(&lock);
    return n;
}

void log_output_finish(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    pthread_mutex_lock(&lock);
    while (is_anything_kept())
        if (pthread_cond_timedwait(&changed, &lock, &until) != 0)
            break;
    pthread_mutex_unlock(&lock);
}

/*
 * Each test closes in a child, which says by its exit code how far it came.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/sandbox.h"

#define TRIED_IN_VAIN 42

/* Runs `act` closed in. Returns its exit code, or 128 + the signal that ended it. */
static int inside(int (*act)(void))
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox s;
        sandbox_enter(&s);
        _exit(act());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What this kernel, and this build, can hold. */
static struct sandbox available(void)
{
    struct sandbox *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s != MAP_FAILED);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sandbox_enter(s);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    const struct sandbox found = *s;
    munmap(s, sizeof(*s));
    assert_int_not_equal(found.files, SANDBOX_FAILED);
    assert_int_not_equal(found.system, SANDBOX_FAILED);
    return found;
}

static void need_files(void)
{
    if (available().files == SANDBOX_ON)
        return;
    print_message("skipped: the kernel has no Landlock\n");
    skip();
}

static void need_system(void)
{
    if (available().system == SANDBOX_ON)
        return;
    print_message("skipped: no seccomp in this kernel, or a sanitizer in this build\n");
    skip();
}

static int denied(bool is_denied)
{
    return is_denied ? TRIED_IN_VAIN : 1;
}

/* Files ----------------------------------------------------------------------------------- */

static int write_file(void)
{
    return denied(open("/tmp/claude-proxy-sandbox", O_CREAT | O_WRONLY, 0600) < 0 &&
                  errno == EACCES);
}

static int overwrite_file(void)
{
    return denied(open("/proc/self/comm", O_WRONLY) < 0 && errno == EACCES);
}

static int read_file(void)
{
    char c;
    const int fd = open("/etc/passwd", O_RDONLY);
    return fd >= 0 && read(fd, &c, 1) == 1 ? 0 : 1;
}

static void test_files_are_read_but_not_written(void **state)
{
    (void)state;
    need_files();
    assert_int_equal(inside(write_file), TRIED_IN_VAIN);
    assert_int_equal(inside(overwrite_file), TRIED_IN_VAIN);
    assert_int_equal(inside(read_file), 0);
}

/* System calls ---------------------------------------------------------------------------- */

static int start_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return 1;
}

static int split_process(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return denied(pid < 0);
}

static int trace(void)
{
    return denied(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
}

static int run_memory(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        return 1;
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return denied(p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0);
}

static int raw_socket(void)
{
    return denied(socket(AF_PACKET, SOCK_RAW, 0) < 0);
}

static void test_what_only_an_intruder_does_ends_the_process(void **state)
{
    (void)state;
    need_system();
    assert_int_equal(inside(start_program), 128 + SIGSYS);
    assert_int_equal(inside(trace), 128 + SIGSYS);
}

static void test_what_is_not_needed_fails(void **state)
{
    (void)state;
    need_system();
    assert_int_equal(inside(split_process), TRIED_IN_VAIN);
    assert_int_equal(inside(run_memory), TRIED_IN_VAIN);
    assert_int_equal(inside(raw_socket), TRIED_IN_VAIN);
}

static void *in_thread(void *arg)
{
    *(int *)arg = write_file();
    return NULL;
}

static int start_thread(void)
{
    pthread_t thread;
    int result = 0;
    if (pthread_create(&thread, NULL, in_thread, &result) != 0 || pthread_join(thread, NULL) != 0)
        return 2;
    return result;
}

static void test_threads_start_and_are_closed_in_too(void **state)
{
    (void)state;
    need_files();
    assert_int_equal(inside(start_thread), TRIED_IN_VAIN);
}

static int look_up(void)
{
    const struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", "80", &hints, &found) != 0)
        return 1;
    freeaddrinfo(found);
    return 0;
}

static void test_names_are_still_looked_up(void **state)
{
    (void)state;
    assert_int_equal(inside(look_up), 0);
}

static int see_dumps(void)
{
    struct rlimit core;
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : 1;
}

static void test_no_core_is_dumped(void **state)
{
    (void)state;
    assert_int_equal(inside(see_dumps), 0);
}

static void test_states_have_words(void **state)
{
    (void)state;
    assert_string_equal(sandbox_state_word(SANDBOX_ON), "on");
    assert_string_equal(sandbox_state_word(SANDBOX_MISSING), "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_are_read_but_not_written),
        cmocka_unit_test(test_what_only_an_intruder_does_ends_the_process),
        cmocka_unit_test(test_what_is_not_needed_fails),
        cmocka_unit_test(test_threads_start_and_are_closed_in_too),
        cmocka_unit_test(test_names_are_still_looked_up),
        cmocka_unit_test(test_no_core_is_dumped),
        cmocka_unit_test(test_states_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

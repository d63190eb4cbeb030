/*
 * seccomp: the system calls of syscalls.def, and a few more with some arguments only. The filter is
 * compiled by libseccomp, which knows their numbers on every processor.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/macros.h"

/* 2.5.4 has no name for it: searches the rules as a tree, not a list. */
#define OPTIMIZE_AS_TREE 2

struct named_call {
    int number;
    uint32_t action;
};

/* A call that is allowed when `mask` of its argument has this value. */
struct masked_call {
    int number;
    unsigned argument;
    uint64_t mask, value;
};

static const struct named_call named[] = {
#define ALLOW(name, why)   {SCMP_SYS(name), SCMP_ACT_ALLOW},
#define UNSEEN(name, why)  ALLOW(name, why)
#define LIMITED(name, why) /* in `masked` */
#define REFUSED(name, why) /* as what is in no row */
#define DEADLY(name)       {SCMP_SYS(name), SCMP_ACT_KILL_PROCESS},
#include "sandbox/syscalls.def"
};

static const struct masked_call masked[] = {
    /* A thread, never a process. clone3 hides its flags from filters: libc goes back to clone. */
    {SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM},
    /* Memory holds data: nothing that was not there at the start is ever executed. libc cannot
     * load further modules for look-ups, and goes on with those it has built in (files, dns). */
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    /* TCP and UDP, and what libc asks about its own addresses and a local name service. */
    {SCMP_SYS(socket), 0, ~0ull, AF_INET},
    {SCMP_SYS(socket), 0, ~0ull, AF_INET6},
    {SCMP_SYS(socket), 0, ~0ull, AF_UNIX},
    {SCMP_SYS(socket), 0, ~0ull, AF_NETLINK},
};

static int add_rules(scmp_filter_ctx filter)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < PX_ARRAY_LEN(named); i++)
        result = seccomp_rule_add(filter, named[i].action, named[i].number, 0);
    for (size_t i = 0; result == 0 && i < PX_ARRAY_LEN(masked); i++) {
        const struct masked_call *c = &masked[i];
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, c->number, 1,
                                  SCMP_CMP(c->argument, SCMP_CMP_MASKED_EQ, c->mask, c->value));
    }
    return result;
}

enum sandbox_state sandbox_close_system(void)
{
#ifdef SANDBOX_HAS_SANITIZER
    return SANDBOX_OFF; /* the sanitizers make calls of their own, ptrace among them */
#endif
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return SANDBOX_MISSING;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return SANDBOX_FAILED;
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_AS_TREE); /* or slower */
    int result = add_rules(filter);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result == 0 ? SANDBOX_ON : SANDBOX_FAILED;
}

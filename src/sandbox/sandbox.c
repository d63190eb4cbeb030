/*
 * The order in which the process is closed in.
 */
#include "sandbox/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/* A dump would hold keys and conversations. Other processes of the user cannot attach either. */
static void forbid_dumps(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void sandbox_enter(struct sandbox *ret)
{
    forbid_dumps();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { /* both parts ask for it */
        *ret = (struct sandbox){.files = SANDBOX_MISSING, .system = SANDBOX_MISSING};
        return;
    }
    ret->files = sandbox_close_files(); /* first: the filter knows none of its system calls */
    ret->system = sandbox_close_system();
}

const char *sandbox_state_word(enum sandbox_state s)
{
    static const char *const words[] = {
        [SANDBOX_OFF] = "off",
        [SANDBOX_ON] = "on",
        [SANDBOX_MISSING] = "missing",
        [SANDBOX_FAILED] = "failed",
    };
    return words[s];
}

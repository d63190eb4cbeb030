/*
 * Landlock: the whole file system becomes read-only and nothing of it can be executed. A rule set
 * without a single rule denies what it handles; what it does not handle, reading, stays allowed.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights that the headers of Debian 12 do not name yet. */
#define RIGHT_TRUNCATE  (1ull << 14)
#define RIGHT_IOCTL_DEV (1ull << 15)

/* What each version of the interface knows beyond the one before it. */
static const uint64_t rights_since[] = {
    [1] = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
          LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
          LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
          LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
          LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
    [2] = LANDLOCK_ACCESS_FS_REFER,
    [3] = RIGHT_TRUNCATE,
    [5] = RIGHT_IOCTL_DEV,
};

static uint64_t rights_of(long version)
{
    const long known = (long)(sizeof(rights_since) / sizeof(*rights_since)) - 1;
    uint64_t rights = 0;
    for (long v = 1; v <= version && v <= known; v++)
        rights |= rights_since[v];
    return rights;
}

enum sandbox_state sandbox_close_files(void)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return SANDBOX_MISSING;
    const struct landlock_ruleset_attr attr = {.handled_access_fs = rights_of(version)};
    const long rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (rules < 0)
        return SANDBOX_FAILED;
    const long result = syscall(SYS_landlock_restrict_self, rules, 0);
    close((int)rules);
    return result == 0 ? SANDBOX_ON : SANDBOX_FAILED;
}

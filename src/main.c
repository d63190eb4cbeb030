/*
 * Arguments -> subcommand.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

/* Standard streams that were closed are nowhere: else a client's socket would get their number, and
 * the log. */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    const int code = cli_main(argc, argv);
    log_finish();
    return code;
}

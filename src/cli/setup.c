/*
 * Settings, log and process, before a subcommand begins.
 */
#include "cli/setup.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define MESSAGE_BYTES_MAX  2048
#define WARNINGS_BYTES_MAX 16384

void setup_complain(const char *format, ...)
{
    char message[MESSAGE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fprintf(stderr, "claude-proxy: %s\n", message);
}

static void log_warnings(struct str warnings)
{
    struct str line;
    while (str_split(&warnings, '\n', &line))
        log_line(LOG_WARNING, "settings", LOG_S("warning", line));
}

/* `sources` but for what is the same whenever they are read. At the start the log is set up between
 * reading and warning; later it runs already. */
static bool load(struct config *c, struct config_sources sources, char *why, size_t why_size)
{
    struct buf reason, warnings;
    buf_init(&reason, MESSAGE_BYTES_MAX);
    buf_init(&warnings, WARNINGS_BYTES_MAX);
    sources.environment = environ;
    sources.env_file = ".env";
    sources.warnings = &warnings;
    const bool is_fine = config_load(c, &sources, &reason) == CONFIG_OK;
    if (is_fine && !sources.before)
        log_setup((enum log_level)c->log_level, (enum log_format)c->log_format);
    log_warnings(buf_str(&warnings));
    if (!is_fine)
        snprintf(why, why_size, "%.*s", STR_ARG(buf_str(&reason)));
    buf_done(&reason);
    buf_done(&warnings);
    return is_fine;
}

bool setup_config(struct config *c, int argc, char **argv, const struct config_pair *defaults,
                  size_t n_defaults)
{
    char why[MESSAGE_BYTES_MAX];
    const struct config_sources sources = {
        .argc = argc, .argv = argv, .defaults = defaults, .n_defaults = n_defaults};
    const bool is_fine = load(c, sources, why, sizeof(why));
    if (!is_fine)
        setup_complain("%s", why);
    return is_fine;
}

bool setup_config_again(struct config *c, int argc, char **argv, const struct config *before,
                        char *why, size_t why_size)
{
    const struct config_sources sources = {.argc = argc, .argv = argv, .before = before};
    return load(c, sources, why, why_size);
}

void setup_process(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

/*
 * Starts the server with these settings and waits for its end. The server logs where it listens.
 */
#include "cli/run_server.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/manager.h"
#include "cli/setup.h"
#include "net/listener.h"
#include "server/server.h"

#define SETTINGS_BYTES_MAX 65536

/* One that cannot be understood is complained of where it is opened. */
static bool are_metrics_guarded(const struct config *c)
{
    struct authority at;
    return c->metrics_key[0] || !c->metrics_address[0] ||
           !listener_address(str_of(c->metrics_address), &at) || listener_is_loopback(at.host);
}

bool run_server_is_guarded(const struct config *c)
{
    if (!are_metrics_guarded(c)) {
        setup_complain("METRICS_KEY is not set, and METRICS_ADDRESS %s is no loopback address: "
                       "anybody could read the metrics",
                       c->metrics_address);
        return false;
    }
    if (c->proxy_api_key[0] || listener_is_loopback(c->host))
        return true;
    setup_complain("CLAUDE_PROXY_API_KEY is not set, and %s is no loopback address: anybody could "
                   "use your key. Set it, or listen with --host 127.0.0.1",
                   c->host);
    return false;
}

static void log_settings(const struct config *c)
{
    struct buf text;
    struct str rest, line, name;
    if (!log_is_on(LOG_DEBUG))
        return;
    buf_init(&text, SETTINGS_BYTES_MAX);
    config_describe(c, &text);
    rest = buf_str(&text);
    while (str_split(&rest, '\n', &line))
        if (str_split(&line, '=', &name))
            log_line(LOG_DEBUG, "setting", LOG_S("name", name), LOG_S("value", line));
    buf_done(&text);
}

/* Every client may need a second descriptor, for its upstream. */
static void warn_of_few_files(const struct config *c)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return;
    if (files.rlim_cur / 2 < (rlim_t)c->max_connections)
        log_line(LOG_WARNING, "open files are limited below 2 * MAX_CONNECTIONS",
                 LOG_I("limit", files.rlim_cur), LOG_I("max_connections", c->max_connections));
}

struct sandbox run_server_prepare(const struct config *c)
{
    struct sandbox sandbox = {SANDBOX_OFF, SANDBOX_OFF};
    setup_process();
    if (c->sandbox)
        sandbox_enter(&sandbox);
    return sandbox;
}

static void log_sandbox(const struct config *c, const struct sandbox *s)
{
    const bool is_whole = s->files == SANDBOX_ON && s->system == SANDBOX_ON;
    log_line(is_whole || !c->sandbox ? LOG_INFO : LOG_WARNING, "sandbox",
             LOG_Z("files", sandbox_state_word(s->files)),
             LOG_Z("system_calls", sandbox_state_word(s->system)));
}

/* Keys without which a start would be refused, or more open than this one was. */
static const char *missing_key(const struct config *before, const struct config *now)
{
    if (!now->anthropic_api_key[0])
        return "ANTHROPIC_API_KEY";
    if (before->proxy_api_key[0] && !now->proxy_api_key[0])
        return "CLAUDE_PROXY_API_KEY";
    if (before->metrics_key[0] && !now->metrics_key[0])
        return "METRICS_KEY";
    return NULL;
}

/* For SIGHUP. */
static bool read_again(void *arg, struct config *ret, const struct config *before, char *why,
                       size_t why_size)
{
    const struct run_flags *flags = arg;
    if (!setup_config_again(ret, flags->argc, flags->argv, before, why, why_size))
        return false;
    const char *missing = missing_key(before, ret);
    if (missing)
        snprintf(why, why_size, "%s is no longer set, and a reload takes no key away", missing);
    return missing == NULL;
}

int run_server(struct config *c, struct run_flags *flags, const struct sandbox *sandbox)
{
    char why[512] = "";
    struct manager manager;
    if (!manager_of_environment(&manager))
        return CLI_USAGE;
    const struct server_options options = {
        .config = c,
        .is_demo = flags == NULL,
        .read_config = flags ? read_again : NULL,
        .read_config_arg = flags,
        .listen_fd = manager.listen_fd,
        .notify_socket = manager.notify_socket,
        .watchdog_us = manager.watchdog_us,
    };
    struct server *server = server_start(&options, why, sizeof(why));
    if (!server) {
        setup_complain("%s", why);
        return CLI_USAGE;
    }
    log_sandbox(server_config(server), sandbox);
    log_settings(server_config(server));
    warn_of_few_files(server_config(server));
    server_run(server);
    server_destroy(server);
    return CLI_OK;
}

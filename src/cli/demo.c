/*
 * `claude-proxy demo`: the proxy in front of the simulator, in one process. No key, no network,
 * nothing real.
 */
#include <stdio.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/run_server.h"
#include "cli/setup.h"
#include "sim/sim.h"

/* An operator's own key and upstream are put aside: a demo must never cost anything. */
static bool point_at_sim(struct config *c, int port)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    return config_set(c, "ANTHROPIC_BASE_URL", url) && config_set(c, "ANTHROPIC_API_KEY", "demo") &&
           config_set(c, "ANTHROPIC_VERSION", "auto") &&
           config_set(c, "ANTHROPIC_AUTH", "x-api-key") && config_set(c, "UPSTREAM_CA_FILE", "") &&
           config_set(c, "UPSTREAM_BIND_ADDRESS", "");
}

static int run_demo(struct config *c, const struct sandbox *sandbox)
{
    char why[512] = "";
    const struct sim_options options = {.host = "127.0.0.1", .workers = 1};
    struct sim *sim = sim_start(&options, why, sizeof(why));
    if (!sim) {
        setup_complain("the simulator cannot start: %s", why);
        return CLI_FAILED;
    }
    int exit_code = CLI_FAILED;
    if (point_at_sim(c, sim_port(sim))) {
        log_line(LOG_WARNING, "demo: nothing is real, every answer is made up by the simulator",
                 LOG_I("simulator_port", sim_port(sim)));
        exit_code = run_server(c, NULL, sandbox);
    } else {
        setup_complain("out of memory");
    }
    sim_stop(sim);
    return exit_code;
}

int cli_demo(int argc, char **argv)
{
    static const struct config_pair defaults[] = {{"HOST", "127.0.0.1"}};
    struct config config;
    int exit_code = CLI_USAGE;
    if (setup_config(&config, argc, argv, defaults, PX_ARRAY_LEN(defaults)) &&
        run_server_is_guarded(&config)) {
        const struct sandbox sandbox = run_server_prepare(&config);
        exit_code = run_demo(&config, &sandbox);
    }
    config_done(&config);
    return exit_code;
}

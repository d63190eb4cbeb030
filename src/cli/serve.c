/*
 * `claude-proxy serve`: the proxy in front of Anthropic.
 */
#include "cli/cli.h"
#include "cli/run_server.h"
#include "cli/setup.h"

static bool has_key(const struct config *c)
{
    if (c->anthropic_api_key[0])
        return true;
    setup_complain("ANTHROPIC_API_KEY is not set; put it into the environment or .env, or try "
                   "`claude-proxy demo`, which needs none");
    return false;
}

int cli_serve(int argc, char **argv)
{
    struct config config;
    int exit_code = CLI_USAGE;
    if (setup_config(&config, argc, argv, NULL, 0) && has_key(&config) &&
        run_server_is_guarded(&config)) {
        struct run_flags flags = {argc, argv};
        const struct sandbox sandbox = run_server_prepare(&config);
        exit_code = run_server(&config, &flags, &sandbox);
    }
    config_done(&config);
    return exit_code;
}

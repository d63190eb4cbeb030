/*
 * `claude-proxy sim`: the simulator alone.
 */
#include "sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/own_flags.h"
#include "cli/setup.h"

#define WORKERS_MAX 64
#define STREAMS_MAX 100000 /* on one HTTP/2 connection */

enum { HOST, PORT, CERT, KEY, WORKERS, STREAMS, DIRECTIVES, FLAGS };

/* SIGTERM and SIGINT are blocked before the simulator's threads start, which inherit that: only
 * the sigwait below gets them. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static int run(const struct sim_options *options)
{
    char why[512] = "";
    sigset_t signals;
    int signal_number;
    block_signals(&signals);
    struct sim *sim = sim_start(options, why, sizeof(why));
    if (!sim) {
        setup_complain("%s", why);
        return CLI_USAGE;
    }
    bool is_v6 = strchr(options->host, ':') != NULL;
    printf("listening on %s://%s%s%s:%d\n", options->cert_file ? "https" : "http", is_v6 ? "[" : "",
           options->host, is_v6 ? "]" : "", sim_port(sim));
    fflush(stdout);
    sigwait(&signals, &signal_number);
    sim_stop(sim);
    return CLI_OK;
}

int cli_sim(int argc, char **argv)
{
    struct own_flag flags[FLAGS] = {
        [HOST] = {.name = "host", .kind = OWN_FLAG_TEXT, .text = "127.0.0.1"},
        [PORT] = {.name = "port", .kind = OWN_FLAG_NUMBER, .high = 65535},
        [CERT] = {.name = "cert", .kind = OWN_FLAG_TEXT},
        [KEY] = {.name = "key", .kind = OWN_FLAG_TEXT},
        [WORKERS] = {.name = "workers", .kind = OWN_FLAG_NUMBER, .high = WORKERS_MAX, .number = 1},
        [STREAMS] = {.name = "max-streams", .kind = OWN_FLAG_NUMBER, .high = STREAMS_MAX},
        [DIRECTIVES] = {.name = "directives", .kind = OWN_FLAG_TEXT},
    };
    if (!own_flags_take(&argc, argv, flags, FLAGS) || !own_flags_expect_none(argc, argv, "sim"))
        return CLI_USAGE;
    if (flags[CERT].is_given != flags[KEY].is_given) {
        setup_complain("--cert and --key belong together");
        return CLI_USAGE;
    }
    const struct sim_options options = {
        .host = flags[HOST].text,
        .port = (int)flags[PORT].number,
        .cert_file = flags[CERT].text,
        .key_file = flags[KEY].text,
        .workers = flags[WORKERS].number > 0 ? (int)flags[WORKERS].number : 1,
        .max_streams = (int)flags[STREAMS].number,
        .directives = flags[DIRECTIVES].text,
    };
    setup_process();
    return run(&options);
}

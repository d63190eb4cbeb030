/*
 * Help: one screen first, one for each subcommand that has flags of its own, and all options.
 */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/setup.h"
#include "config/config.h"

#define HELP_BYTES_MAX 65536

static const char first_screen[] =
    "Usage: claude-proxy [command] [--option value]...\n"
    "\n"
    "Serves OpenAI's Chat Completions API, answered by Anthropic's Claude.\n"
    "\n"
    "Commands:\n"
    "  serve      serve (the default)\n"
    "  demo       try it: serve a built-in simulator, no key needed, nothing is real\n"
    "  check      test the settings, the way to Anthropic and the key\n"
    "  health     ask the server that runs here whether it is well\n"
    "  translate  translate a request, an answer or a stream from standard input\n"
    "  sim        simulate Anthropic's API, for tests\n"
    "  version    print the version\n"
    "  help       this; `help options` lists all settings, `help COMMAND` its flags\n"
    "\n"
    "The main options, also as environment variables or in .env (--port is PORT):\n";
static const char *const main_options[] = {"ANTHROPIC_API_KEY",
                                           "CLAUDE_PROXY_API_KEY",
                                           "ANTHROPIC_MODEL",
                                           "HOST",
                                           "PORT",
                                           "LOG_LEVEL",
                                           NULL};

static const char all_options[] =
    "Every option is a flag, an environment variable and a line of the .env file, in this order\n"
    "of strength: --request-timeout 60 is REQUEST_TIMEOUT=60. --env-file PATH names another .env.\n"
    "docs/configuration.md says more of each.\n"
    "\n";

static const struct {
    const char *name, *text;
} topics[] = {
    {"serve", "Usage: claude-proxy [serve] [--option value]...\n"
              "\n"
              "Serves until SIGTERM or SIGINT, then lets open answers finish (DRAIN_TIMEOUT).\n"
              "`claude-proxy help options` lists the options. Exit code 2: bad settings, or the\n"
              "port is in use.\n"},
    {"demo", "Usage: claude-proxy demo [--option value]...\n"
             "\n"
             "Serves with the simulator in place of Anthropic: no key, no costs, made-up answers,\n"
             "each marked with x-claude-proxy-demo: 1. Takes serve's options; --host is 127.0.0.1\n"
             "unless given.\n"},
    {"check",
     "Usage: claude-proxy check [--option value]...\n"
     "\n"
     "Tests the settings, the way to the upstream, the key and the default model, and says\n"
     "how to mend what fails. Takes serve's options. Exit code 1: something failed.\n"},
    {"health", "Usage: claude-proxy health [--host HOST] [--port PORT]\n"
               "\n"
               "Asks GET /health of the server that runs on this machine with these settings.\n"
               "Exit code 0: it answered that it is well.\n"},
    {"translate",
     "Usage: claude-proxy translate request|response|stream [flags] <input >output\n"
     "\n"
     "Each takes serve's options: --reasoning-formats reasoning, --anthropic-usage on.\n"
     "\n"
     "request    an OpenAI request -> the body that is sent to Anthropic\n"
     "  --explain            also print headers, and what is ignored and modified, on stderr\n"
     "response   an Anthropic Message -> a chat.completion\n"
     "stream     an Anthropic event stream -> chunks\n"
     "  --aggregate          one chat.completion instead of chunks\n"
     "  --include-usage      as stream_options.include_usage does\n"
     "response and stream:\n"
     "  --created SECONDS    time to state, in seconds since 1970 (now)\n"
     "  --json-object        the request asked for response_format json_object\n"
     "  --structured         the request asked for response_format json_schema\n"
     "  --metadata JSON      the request's metadata object\n"
     "  --function-call      the request had the legacy functions\n"
     "  --carry-content      where fields cannot order the blocks, reasoning_details has a copy\n"
     "\n"
     "Exit code 1: the input is an error or became one; OpenAI's error object is printed.\n"},
    {"sim", "Usage: claude-proxy sim [flags]\n"
            "\n"
            "Simulates Anthropic's Messages API until SIGTERM or SIGINT (docs/simulator.md).\n"
            "\n"
            "  --port PORT          port to listen on; 0 = any free one (0)\n"
            "  --host HOST          address to listen on (127.0.0.1)\n"
            "  --cert FILE --key FILE  serve TLS, and HTTP/2 by ALPN, with this PEM pair\n"
            "  --workers N          threads (1)\n"
            "  --max-streams N      open at once on an HTTP/2 connection (250)\n"
            "  --directives TEXT    for every message, as in \"gap=20ms\" (none)\n"
            "\n"
            "Prints one line once it serves: listening on http://127.0.0.1:PORT\n"},
};

static int print(struct buf *text)
{
    bool is_fine = !text->failed && fwrite(text->data, 1, text->len, stdout) == text->len;
    buf_done(text);
    return is_fine ? CLI_OK : CLI_FAILED;
}

int help_print(const char *topic)
{
    struct buf text;
    buf_init(&text, HELP_BYTES_MAX);
    if (topic[0] == '\0') {
        buf_append_z(&text, first_screen);
        config_write_help(&text, main_options);
        return print(&text);
    }
    if (strcmp(topic, "options") == 0) {
        buf_append_z(&text, all_options);
        config_write_help(&text, NULL);
        return print(&text);
    }
    for (size_t i = 0; i < PX_ARRAY_LEN(topics); i++)
        if (strcmp(topic, topics[i].name) == 0) {
            buf_append_z(&text, topics[i].text);
            return print(&text);
        }
    setup_complain("no help on that; `claude-proxy help` lists the commands");
    return CLI_USAGE;
}

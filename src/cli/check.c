/*
 * `claude-proxy check`: are the settings right, is the upstream reached, is the key accepted, is
 * the default model served. Each failure says how to mend it.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/setup.h"
#include "net/listener.h"
#include "server/certificate.h"
#include "server/policy.h"
#include "translate/model.h"

#define PAGES_MAX       20 /* of the list of models */
#define PATH_BYTES      512
#define KEY_NAME_BYTES  48
#define ARENA_BYTES_MAX 65536

struct check {
    const struct config *config;
    struct fetcher *fetcher;
    struct tr_models *models; /* NULL = the upstream gave no list */
    bool has_list;            /* it did, and nothing in it was wrong */
    bool has_failed;
    bool is_reached; /* the upstream answered, and did not refuse the key */
};

static void say_fine(const char *what, const char *detail)
{
    printf("fine  %-9s %s\n", what, detail);
}

static void say_doubt(const char *what, const char *detail)
{
    printf("?     %-9s %s\n", what, detail);
}

static void say_failed(struct check *c, const char *what, const char *detail, const char *mend)
{
    c->has_failed = true;
    printf("FAIL  %-9s %s\n", what, detail);
    printf("      %-9s -> %s\n", "", mend);
}

static void check_guard(struct check *c)
{
    const struct config *config = c->config;
    char detail[512];
    bool is_loopback = listener_is_loopback(config->host);
    snprintf(detail, sizeof(detail), "%s port %d, %s", config->host, (int)config->port,
             config->proxy_api_key[0] ? "clients need CLAUDE_PROXY_API_KEY" : "open to anybody");
    if (config->proxy_api_key[0] || is_loopback)
        say_fine("listening", detail);
    else
        say_failed(c, "listening", detail,
                   "set CLAUDE_PROXY_API_KEY to a key of your choice, or HOST=127.0.0.1");
}

/* Where metrics are, and who may read them. */
static void check_metrics(struct check *c)
{
    const struct config *config = c->config;
    const bool has_key = config->metrics_key[0] != '\0';
    struct authority at = {.host = ""};
    char detail[512];
    if (!has_key && !config->metrics_address[0]) {
        say_fine("metrics", "off: neither METRICS_KEY nor METRICS_ADDRESS is set");
        return;
    }
    if (config->metrics_address[0] && !listener_address(str_of(config->metrics_address), &at)) {
        say_failed(c, "metrics", config->metrics_address,
                   "METRICS_ADDRESS must be an address and a port, such as 127.0.0.1:9090");
        return;
    }
    snprintf(detail, sizeof(detail), "%s%s/metrics, %s", config->metrics_address,
             at.host[0] ? " " : "", has_key ? "behind METRICS_KEY" : "open to anybody");
    if (!has_key && !listener_is_loopback(at.host))
        say_failed(c, "metrics", detail, "set METRICS_KEY, or METRICS_ADDRESS=127.0.0.1:9090");
    else if (has_key && strcmp(config->metrics_key, config->proxy_api_key) == 0)
        say_doubt("metrics", "METRICS_KEY is CLAUDE_PROXY_API_KEY: all clients may read them");
    else
        say_fine("metrics", detail);
}

/* What clients are shown. */
static void check_certificate(struct check *c)
{
    static const char renew[] = "renew it, and send a running server SIGHUP";
    struct tls_context *context;
    struct tls_certificate facts;
    char validity[64], detail[640] = "";
    if (!certificate_load(c->config, &context, detail, sizeof(detail))) {
        say_failed(c, "tls", detail, "see TLS_CERT in docs/configuration.md");
        return;
    }
    if (!context)
        return;
    tls_context_certificate(context, &facts);
    tls_context_destroy(context);
    const enum certificate_age age =
        certificate_judge(&facts, clock_unix_ms() / 1000, validity, sizeof(validity));
    snprintf(detail, sizeof(detail), "%s; %s%s", facts.names[0] ? facts.names : "without a name",
             validity, c->config->tls_client_ca[0] ? "; clients need certificates" : "");
    if (age == CERTIFICATE_FINE)
        say_fine("tls", detail);
    else if (age == CERTIFICATE_ENDS_SOON)
        say_doubt("tls", detail);
    else
        say_failed(c, "tls", detail, renew);
}

static const char *mend_connection(const struct fetch *f)
{
    switch (f->failure) {
    case UPSTREAM_UNREACHABLE:
        return "check ANTHROPIC_BASE_URL, the network, its firewall, HTTPS_PROXY if there is a "
               "proxy, "
               "and UPSTREAM_CA_FILE if the certificate is private";
    case UPSTREAM_TIMED_OUT:
        return "something on the way swallows the request: check the firewall";
    case UPSTREAM_DISCONNECTED:
    case UPSTREAM_BAD_ANSWER:
        return "check that ANTHROPIC_BASE_URL speaks HTTP, with or without TLS as it says";
    case UPSTREAM_CLOSING:
        break;
    }
    return "try again";
}

/* "2 of 3: " where there is more than one key; `i` counts from 0. */
static const char *name_key(const struct check *c, size_t i, char to[KEY_NAME_BYTES])
{
    const size_t n = fetcher_keys(c->fetcher);
    to[0] = '\0';
    if (n > 1)
        snprintf(to, KEY_NAME_BYTES, "%zu of %zu: ", i + 1, n);
    return to;
}

static void judge_status(struct check *c, size_t key, int status)
{
    char name[KEY_NAME_BYTES], detail[64 + KEY_NAME_BYTES];
    snprintf(detail, sizeof(detail), "%sthe upstream answers %d", name_key(c, key, name), status);
    if (status == 401 || status == 403)
        say_failed(c, "key", detail,
                   "ANTHROPIC_API_KEY is not accepted: make one at "
                   "https://platform.claude.com/settings/keys; a gateway may want "
                   "ANTHROPIC_AUTH=bearer");
    else if (status == 404)
        say_doubt("key", "not tested: the upstream has no list of models, which is asked for that");
    else if (status == 429 || status >= 500)
        say_failed(c, "key", detail, "the upstream is busy or broken: try again later");
    else
        say_failed(c, "key", detail, "check the path in ANTHROPIC_BASE_URL");
}

/* Reads one page. False when it was the last, or of no use. */
static bool take_page(struct check *c, const struct fetch *f, char path[PATH_BYTES])
{
    struct str after;
    if (!tr_models_add_page(c->models, buf_str(&f->body), &after)) {
        say_doubt("models", "the upstream's list of models is not Anthropic's");
        c->has_list = false;
        return false;
    }
    c->has_list = true;
    int n = snprintf(path, PATH_BYTES, "/v1/models?limit=1000&after_id=%.*s", STR_ARG(after));
    return after.n > 0 && n < PATH_BYTES;
}

static void say_accepted(const struct check *c, size_t key)
{
    char name[KEY_NAME_BYTES], detail[16 + KEY_NAME_BYTES];
    snprintf(detail, sizeof(detail), "%saccepted", name_key(c, key, name));
    say_fine("key", detail);
}

/* The first one is known by now. */
static void check_other_keys(struct check *c)
{
    for (size_t i = 1; i < fetcher_keys(c->fetcher); i++) {
        struct fetch f;
        fetcher_get(c->fetcher, i, "/v1/models?limit=1", &f);
        if (f.has_answer && f.status == 200)
            say_accepted(c, i);
        else if (f.has_answer)
            judge_status(c, i, f.status);
        else
            say_failed(c, "upstream", f.detail, mend_connection(&f));
        fetch_done(&f);
    }
}

static void check_upstream(struct check *c)
{
    char path[PATH_BYTES] = "/v1/models?limit=1000";
    for (int page = 0; page < PAGES_MAX; page++) {
        struct fetch f;
        fetcher_get(c->fetcher, 0, path, &f);
        if (!f.has_answer) {
            say_failed(c, "upstream", f.detail, mend_connection(&f));
        } else if (page == 0) {
            say_fine("upstream", c->config->anthropic_base_url);
        }
        bool is_page = f.has_answer && f.status == 200;
        c->is_reached = is_page || (f.has_answer && f.status == 404);
        if (f.has_answer && !is_page)
            judge_status(c, 0, f.status);
        if (is_page && page == 0) {
            say_accepted(c, 0);
            c->models = tr_models_create();
        }
        bool has_more = is_page && c->models && take_page(c, &f, path);
        fetch_done(&f);
        if (!has_more)
            return;
    }
}

/* Whether more than the operator's word says that there is something for the name. */
static bool is_served_to_all(struct check *c, struct arena *arena)
{
    struct tr_policy policy = policy_of_config(c->config);
    struct str id;
    bool is_succeeded;
    policy.default_model = (struct str){0}; /* that one is sent whatever it is */
    return tr_model_resolve(arena, c->models, &policy, str_of(c->config->anthropic_model), &id,
                            &is_succeeded);
}

static void check_model(struct check *c)
{
    struct arena arena;
    struct str id;
    bool is_succeeded = false;
    char detail[1024];
    const char *name = c->config->anthropic_model;
    const struct tr_policy policy = policy_of_config(c->config);
    arena_init(&arena, ARENA_BYTES_MAX);
    const bool is_served =
        tr_model_resolve(&arena, c->models, &policy, str_of(name), &id, &is_succeeded);
    const bool is_known = is_served && model_known(c->models, id) != MODEL_UNKNOWN;
    if (!is_served || (!is_known && c->has_list && !is_served_to_all(c, &arena))) {
        snprintf(detail, sizeof(detail), "%s is not served", name);
        say_failed(c, "model", detail,
                   "set ANTHROPIC_MODEL to a model of the list at "
                   "https://platform.claude.com/docs/en/about-claude/models/overview");
    } else if (!is_known) {
        snprintf(detail, sizeof(detail), "%s is sent as %.*s, which the upstream does not list",
                 name, STR_ARG(id));
        say_doubt("model", detail);
    } else if (str_eq(id, str_of(name))) {
        say_fine("model", name);
    } else {
        snprintf(detail, sizeof(detail), "%s%s, served by %.*s", name,
                 is_succeeded ? " is retired" : "", STR_ARG(id));
        say_fine("model", detail);
    }
    arena_done(&arena);
}

static int run(const struct config *config)
{
    struct check c = {.config = config};
    char why[512] = "";
    say_fine("settings", "read");
    check_guard(&c);
    check_metrics(&c);
    check_certificate(&c);
    if (!config->anthropic_api_key[0]) {
        say_failed(&c, "key", "ANTHROPIC_API_KEY is not set",
                   "make one at https://platform.claude.com/settings/keys, put it into .env");
        return CLI_FAILED;
    }
    c.fetcher = fetcher_create(config, why, sizeof(why));
    if (!c.fetcher) {
        say_failed(&c, "upstream", why, "see docs/configuration.md");
        return CLI_FAILED;
    }
    check_upstream(&c);
    check_other_keys(&c);
    if (c.is_reached)
        check_model(&c);
    tr_models_destroy(c.models);
    fetcher_destroy(c.fetcher);
    return c.has_failed ? CLI_FAILED : CLI_OK;
}

int cli_check(int argc, char **argv)
{
    struct config config;
    int exit_code = CLI_USAGE;
    if (setup_config(&config, argc, argv, NULL, 0)) {
        setup_process();
        exit_code = run(&config);
    }
    config_done(&config);
    return exit_code;
}

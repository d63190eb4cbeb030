/*
 * Settings: documented defaults, precedence, every kind of value, and the one line that an
 * operator gets for a bad one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/option.h"

#define ARGS_MAX 16

/* One loading: what is given, and what came of it. */
struct load {
    const char *environment[ARGS_MAX];
    const char *flags[ARGS_MAX];
    const char *env_text; /* content of the .env; NULL = there is none */
    size_t env_bytes;     /* 0 = strlen */
    const char *env_path; /* instead of a file with env_text */
    const struct config_pair *defaults;
    size_t n_defaults;

    enum config_result result;
    struct config config;
    struct buf why, warnings;
    char path[64];
    char *argv[ARGS_MAX];
    int argc;
};

static void load(struct load *l)
{
    buf_init(&l->why, 4096);
    buf_init(&l->warnings, 4096);
    snprintf(l->path, sizeof(l->path), "/tmp/config-test-XXXXXX");
    int fd = mkstemp(l->path);
    assert_true(fd >= 0);
    if (l->env_text) {
        size_t n = l->env_bytes ? l->env_bytes : strlen(l->env_text);
        assert_int_equal(write(fd, l->env_text, n), (ssize_t)n);
    } else {
        unlink(l->path);
    }
    close(fd);
    for (l->argc = 0; l->flags[l->argc]; l->argc++) {
        l->argv[l->argc] = strdup(l->flags[l->argc]); /* secrets are overwritten in place */
        assert_non_null(l->argv[l->argc]);
    }
    const struct config_sources sources = {
        .argc = l->argc,
        .argv = l->argv,
        .environment = (char *const *)l->environment,
        .env_file = l->env_path ? l->env_path : l->path,
        .defaults = l->defaults,
        .n_defaults = l->n_defaults,
        .warnings = &l->warnings,
    };
    l->result = config_load(&l->config, &sources, &l->why);
    buf_append_char(&l->why, '\0');
    buf_append_char(&l->warnings, '\0');
}

static void unload(struct load *l)
{
    config_done(&l->config);
    buf_done(&l->why);
    buf_done(&l->warnings);
    for (int i = 0; i < l->argc; i++)
        free(l->argv[i]);
    unlink(l->path);
}

static void load_fine(struct load *l)
{
    load(l);
    assert_string_equal(l->why.data, "");
    assert_int_equal(l->result, CONFIG_OK);
}

/* Loads, expects CONFIG_BAD with exactly this line ("@" stands for the path of the .env). */
static void expect_bad(struct load *l, const char *expected)
{
    char line[512] = "";
    load(l);
    assert_int_equal(l->result, CONFIG_BAD);
    for (size_t n = 0; *expected; expected++) {
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%.*s", *expected == '@' ? 64 : 1,
                              *expected == '@' ? l->path : expected);
        assert_true(n < sizeof(line));
    }
    assert_string_equal(l->why.data, line);
    unload(l);
}

static void documented_defaults(void **state)
{
    (void)state;
    struct load l = {0};
    load_fine(&l);
    const struct config *c = &l.config;
    assert_string_equal(c->anthropic_api_key, "");
    assert_string_equal(c->proxy_api_key, "");
    assert_string_equal(c->anthropic_model, "claude-3-haiku-20240307");
    assert_int_equal(c->request_timeout_s, 60);
    assert_true(c->model_temperature == 0.1);
    assert_int_equal(c->tokens_per_minute, 10000);
    assert_int_equal(c->requests_per_minute, 60);
    assert_int_equal(c->max_tokens, 4096);
    assert_false(c->has_max_tokens);
    assert_string_equal(c->host, "0.0.0.0");
    assert_int_equal(c->port, 8000);
    assert_int_equal(c->log_level, LOG_INFO);
    assert_int_equal(c->log_format, LOG_AUTO);
    assert_string_equal(c->anthropic_base_url, "https://api.anthropic.com");
    assert_int_equal(c->anthropic_version, 0);
    assert_int_equal(c->anthropic_auth, 0);
    assert_true(c->model_succession);
    assert_true(c->thinking_reserve);
    assert_false(c->strict);
    assert_int_equal(c->reasoning_formats, 1 << 0 | 1 << 1);
    assert_false(c->anthropic_usage);
    assert_int_equal(c->thinking_min_tokens, 0);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->max_body_bytes, 32 * 1024 * 1024);
    unload(&l);
}

/* The .env that the original's documentation asks for, as it stands. */
static void documented_env_file(void **state)
{
    (void)state;
    struct load l = {.env_text = "ANTHROPIC_API_KEY=your_anthropic_api_key\n"
                                 "CLAUDE_PROXY_API_KEY=your_chosen_proxy_api_key\n"
                                 "ANTHROPIC_MODEL=claude-3-haiku-20240307\n"
                                 "REQUEST_TIMEOUT=60\n"
                                 "MODEL_TEMPERATURE=0.1\n"
                                 "TOKENS_PER_MINUTE=10000\n"
                                 "REQUESTS_PER_MINUTE=60\n"
                                 "MAX_TOKENS=4096\n"};
    load_fine(&l);
    assert_string_equal(l.config.anthropic_api_key, "your_anthropic_api_key");
    assert_string_equal(l.config.proxy_api_key, "your_chosen_proxy_api_key");
    assert_true(l.config.has_max_tokens);
    unload(&l);
}

static void precedence(void **state)
{
    (void)state;
    static const struct config_pair defaults[] = {
        {"PORT", "1"}, {"HOST", "h1"}, {"WORKERS", "1"}, {"MAX_TOKENS", "1"}};
    struct load l = {.env_text = "PORT=2\nHOST=h2\nWORKERS=2\nIDLE_TIMEOUT=2\n",
                     .environment = {"PORT=3", "HOST=h3", "PORT=33", "EMPTY=", "NOTHING"},
                     .flags = {"--port", "4", "--port", "5"},
                     .defaults = defaults,
                     .n_defaults = PX_ARRAY_LEN(defaults)};
    load_fine(&l);
    assert_int_equal(l.config.port, 5);
    assert_string_equal(l.config.host, "h3");
    assert_int_equal(l.config.workers, 2);
    assert_int_equal(l.config.max_tokens, 1);
    assert_false(l.config.has_max_tokens); /* no operator said so */
    assert_int_equal(l.config.idle_timeout_s, 2);
    unload(&l);

    struct load first = {.environment = {"PORT=3", "PORT=33"}};
    load_fine(&first);
    assert_int_equal(first.config.port, 3); /* as getenv has it */
    unload(&first);
}

/* A bad value that another overrules stops nobody. */
static void overruled_values_are_not_read(void **state)
{
    (void)state;
    struct load l = {.env_text = "PORT=x\n", .environment = {"PORT=y"}, .flags = {"--port=9"}};
    load_fine(&l);
    assert_int_equal(l.config.port, 9);
    unload(&l);
}

static void empty_values(void **state)
{
    (void)state;
    /* An empty number counts as not given: the next source decides. */
    struct load l = {.env_text = "PORT=81\nMAX_TOKENS=\nCORS_ORIGINS=*\nANTHROPIC_MODEL=\n"
                                 "CLAUDE_PROXY_API_KEY=old\nHOST=' '\n",
                     .environment = {"PORT=", "CORS_ORIGINS=", "CLAUDE_PROXY_API_KEY=", "HOST="}};
    load_fine(&l);
    assert_int_equal(l.config.port, 81);
    assert_false(l.config.has_max_tokens);
    assert_string_equal(l.config.anthropic_model, "claude-3-haiku-20240307");
    assert_string_equal(l.config.host, "0.0.0.0");
    /* An empty text whose default is empty is a value. */
    assert_string_equal(l.config.cors_origins, "");
    assert_string_equal(l.config.proxy_api_key, "");
    unload(&l);

    struct load flag = {.flags = {"--port", ""}};
    expect_bad(&flag, "--port \"\" (command line) must be a whole number from 0 to 65535");
}

static void max_tokens_of_the_operator(void **state)
{
    (void)state;
    struct load flag = {.flags = {"--max-tokens", "4096"}};
    load_fine(&flag);
    assert_true(flag.config.has_max_tokens);
    unload(&flag);
    struct load environment = {.environment = {"MAX_TOKENS=0"}};
    load_fine(&environment);
    assert_true(environment.config.has_max_tokens);
    assert_int_equal(environment.config.max_tokens, 0);
    unload(&environment);
}

static void flag_forms(void **state)
{
    (void)state;
    struct load l = {.flags = {"--request-timeout", "5", "--anthropic-model=a=b", "--strict",
                               "--model-succession", "off", "--thinking-reserve=no", "--log-level",
                               "DEBUG", "--model-temperature", "1"}};
    load_fine(&l);
    assert_int_equal(l.config.request_timeout_s, 5);
    assert_string_equal(l.config.anthropic_model, "a=b");
    assert_true(l.config.strict);
    assert_false(l.config.model_succession);
    assert_false(l.config.thinking_reserve);
    assert_int_equal(l.config.log_level, LOG_DEBUG);
    assert_true(l.config.model_temperature == 1.0);
    unload(&l);

    struct load last = {.flags = {"--port", "1", "--strict"}};
    load_fine(&last);
    assert_true(last.config.strict);
    unload(&last);
}

static void bad_flags(void **state)
{
    (void)state;
    struct load typo = {.flags = {"--prot", "80"}};
    expect_bad(&typo, "unknown flag --prot; did you mean --port?");
    struct load env = {.flags = {"--envfile=x"}};
    expect_bad(&env, "unknown flag --envfile; did you mean --env-file?");
    struct load far = {.flags = {"--colour=red"}};
    expect_bad(&far, "unknown flag --colour; `claude-proxy help options` lists all");
    struct load bare = {.flags = {"--port", "80", "sk-ant-secret"}};
    expect_bad(&bare, "argument 3 is no flag: settings are given as --name value");
    struct load dashes = {.flags = {"--"}};
    expect_bad(&dashes, "argument 1 is no flag: settings are given as --name value");
    struct load last = {.flags = {"--port"}};
    expect_bad(&last, "--port needs a value: a whole number from 0 to 65535");
    struct load flag = {.flags = {"--host", "--port", "80"}};
    expect_bad(&flag, "--host needs a value: a host name or an IP address");
    struct load file = {.flags = {"--env-file"}};
    expect_bad(&file, "--env-file needs a value: the path of a file");
}

static void bad_values_name_their_source(void **state)
{
    (void)state;
    struct load flag = {.flags = {"--port=65536"}, .environment = {"PORT=80"}};
    expect_bad(&flag, "--port \"65536\" (command line) must be a whole number from 0 to 65535");
    struct load environment = {.environment = {"REQUEST_TIMEOUT=1m"}};
    expect_bad(&environment, "REQUEST_TIMEOUT \"1m\" (environment) must be a whole number of "
                             "seconds from 1 to 86400");
    struct load file = {.env_text = "PORT=1\n\nLOG_LEVEL = loud\n"};
    expect_bad(&file, "LOG_LEVEL \"loud\" (@ line 3) must be one of trace, debug, info, warning, "
                      "error");
    struct load set = {.environment = {"REASONING_FORMATS=reasoning,all"}};
    expect_bad(&set, "REASONING_FORMATS \"reasoning,all\" (environment) must be a comma list of "
                     "reasoning_content, reasoning_details, reasoning, thinking_blocks, "
                     "content_blocks");
    struct load control = {.environment = {"ANTHROPIC_MODEL=a\r\nb\x1b[2J"}};
    expect_bad(&control, "ANTHROPIC_MODEL \"a??b?[2J\" (environment) must be the id of a model, "
                         "such as claude-haiku-4-5");
    struct load bytes = {.environment = {"HOST=\xff\xfe"}};
    expect_bad(&bytes, "HOST \"??\" (environment) must be a host name or an IP address");
    struct load huge = {.environment = {"PORT=1234567890123456789012345678901234567890"
                                        "1234567890123456789012345"}};
    expect_bad(&huge, "PORT \"123456789012345678901234567890123456789012345678901234567890...\" "
                      "(environment) must be a whole number from 0 to 65535");
}

static void secrets_are_never_shown(void **state)
{
    (void)state;
    struct load space = {.environment = {"ANTHROPIC_API_KEY=sk secret"}};
    expect_bad(&space, "ANTHROPIC_API_KEY (environment) must be at most 8192 visible ASCII "
                       "characters without blanks");
    struct load header = {.flags = {"--claude-proxy-api-key", "a\r\nx-evil: 1"}};
    expect_bad(&header, "--claude-proxy-api-key (command line) must be at most 8192 visible ASCII "
                        "characters without blanks");
    struct load line = {.env_text = "ANTHROPIC_API_KEY='sk-secret\n"};
    expect_bad(&line, "@ line 1: the single quote is never closed");

    struct load l = {.environment = {"ANTHROPIC_API_KEY=sk-secret"}};
    load_fine(&l);
    struct buf text;
    buf_init(&text, 65536);
    config_describe(&l.config, &text);
    assert_true(str_find(buf_str(&text), STR("sk-secret")) < 0);
    assert_true(str_starts(buf_str(&text), STR("ANTHROPIC_API_KEY=set\n"
                                               "CLAUDE_PROXY_API_KEY=not set\n")));
    buf_done(&text);
    unload(&l);
}

static void secret_flags_are_overwritten(void **state)
{
    (void)state;
    struct load l = {.flags = {"--anthropic-api-key", "sk-1", "--claude-proxy-api-key=sk-2",
                               "--port", "80", "--anthropic-api-key=sk-3"}};
    load_fine(&l);
    assert_string_equal(l.config.anthropic_api_key, "sk-3");
    assert_string_equal(l.config.proxy_api_key, "sk-2");
    assert_string_equal(l.argv[1], "");
    assert_string_equal(l.argv[2], "--claude-proxy-api-key=");
    assert_string_equal(l.argv[4], "80");
    assert_string_equal(l.argv[5], "--anthropic-api-key=");
    unload(&l);

    struct load bad = {.flags = {"--anthropic-api-key", "sk-1", "--nonsense"}};
    load(&bad);
    assert_int_equal(bad.result, CONFIG_BAD);
    assert_string_equal(bad.argv[1], ""); /* in spite of the error behind it */
    unload(&bad);
}

/* What other programs know in lower case, too. The setting's own name is stronger. */
static void proxies_of_the_environment(void **state)
{
    (void)state;
    struct load lower = {.env_text = "HTTPS_PROXY=http://file\nHTTP_PROXY=http://file\n",
                         .environment = {"https_proxy=http://lower:1", "no_proxy=.example",
                                         "Http_Proxy=http://mixed", "port=1", "https_proxy=x"}};
    load_fine(&lower);
    assert_string_equal(lower.config.https_proxy, "http://lower:1");
    assert_string_equal(lower.config.http_proxy, "http://file");
    assert_string_equal(lower.config.no_proxy, ".example");
    assert_int_equal(lower.config.port, 8000);
    unload(&lower);

    struct load both = {
        .environment = {"https_proxy=http://lower", "HTTPS_PROXY=http://upper",
                        "NO_PROXY=", "no_proxy=*", "HTTP_PROXY=http://a", "http_proxy=http://b"},
    };
    load_fine(&both);
    assert_string_equal(both.config.https_proxy, "http://upper");
    assert_string_equal(both.config.http_proxy, "http://a");
    assert_string_equal(both.config.no_proxy, "");
    unload(&both);

    struct load bad = {.environment = {"https_proxy=socks5://user:secret@proxy"}};
    expect_bad(&bad, "HTTPS_PROXY (environment) must be the URL of a proxy, such as "
                     "http://proxy.example:3128");
}

static void proxies_are_secret(void **state)
{
    (void)state;
    struct load l = {.flags = {"--https-proxy", "http://user:secret@proxy"}};
    load_fine(&l);
    assert_string_equal(l.argv[1], "");
    struct buf text;
    buf_init(&text, 65536);
    config_describe(&l.config, &text);
    assert_true(str_find(buf_str(&text), STR("secret")) < 0);
    assert_true(str_find(buf_str(&text), STR("\nHTTPS_PROXY=set\nHTTP_PROXY=not set\n")) > 0);
    buf_done(&text);
    unload(&l);
}

/* A key read from a file ends in a line end; so do values that containers pass on. */
static void blanks_around_values_do_not_count(void **state)
{
    (void)state;
    struct load l = {.environment = {"ANTHROPIC_API_KEY=sk-1\n", "PORT= 80 ", "STRICT=on\r\n"}};
    load_fine(&l);
    assert_string_equal(l.config.anthropic_api_key, "sk-1");
    assert_int_equal(l.config.port, 80);
    assert_true(l.config.strict);
    unload(&l);
}

static void env_file_flag(void **state)
{
    (void)state;
    char path[] = "/tmp/config-test-asked-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "PORT=77\n", 8), 8);
    close(fd);
    struct load l = {.env_text = "PORT=1\nHOST=other\n", .flags = {"--env-file", path}};
    load_fine(&l);
    assert_int_equal(l.config.port, 77); /* instead of the usual file, not beside it */
    assert_string_equal(l.config.host, "0.0.0.0");
    unload(&l);
    unlink(path);

    struct load missing = {.flags = {"--env-file=/nonexistent/.env"}};
    expect_bad(&missing, "cannot read /nonexistent/.env: No such file or directory");
    struct load directory = {.env_path = "/tmp"};
    expect_bad(&directory, "cannot read /tmp: Is a directory");
    struct load none = {.env_path = "/nonexistent/.env"};
    load_fine(&none);
    unload(&none);
    struct load device = {.flags = {"--env-file", "/dev/zero"}};
    expect_bad(&device, "/dev/zero line 1: the file is larger than 1 MB");
}

static void unknown_names_in_the_env_file(void **state)
{
    (void)state;
    struct load l = {.env_text = "DATABASE_URL=x\nPOST=1\nHOSTS=a\nANTHROPIC_API_KEYS=x\n"
                                 "export anthropic_model=x\nWORKER=3\nCLAUDE_PROXI_API_KEI=x\n",
                     .environment = {"ANTHROPIC_API_KEYX=x"}};
    char expected[1024];
    load_fine(&l);
    snprintf(expected, sizeof(expected),
             "%s line 4: ANTHROPIC_API_KEYS is no setting; did you mean ANTHROPIC_API_KEY?\n"
             "%s line 5: anthropic_model is no setting; did you mean ANTHROPIC_MODEL?\n"
             "%s line 6: WORKER is no setting; did you mean WORKERS?\n"
             "%s line 7: CLAUDE_PROXI_API_KEI is no setting; did you mean CLAUDE_PROXY_API_KEY?\n",
             l.path, l.path, l.path, l.path);
    assert_string_equal(l.warnings.data, expected);
    unload(&l);
}

struct value_case {
    const char *name, *value;
    bool is_fine;
};

static void values_of_each_kind(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"PORT", "0", true},
        {"PORT", "65535", true},
        {"PORT", "-1", false},
        {"PORT", "+1", false},
        {"PORT", "1.0", false},
        {"PORT", "0x10", false},
        {"PORT", "99999999999999999999", false},
        {"TOKENS_PER_MINUTE", "9007199254740992", true},
        {"TOKENS_PER_MINUTE", "9007199254740993", false},
        {"REQUEST_TIMEOUT", "0", false},
        {"MODEL_TEMPERATURE", "0", true},
        {"MODEL_TEMPERATURE", "1.0", true},
        {"MODEL_TEMPERATURE", "1e-1", true},
        {"MODEL_TEMPERATURE", "1.01", false},
        {"MODEL_TEMPERATURE", "-0.1", false},
        {"MODEL_TEMPERATURE", "nan", false},
        {"MODEL_TEMPERATURE", "inf", false},
        {"MODEL_TEMPERATURE", "0,1", false},
        {"STRICT", "yes", true},
        {"STRICT", "TRUE", true},
        {"STRICT", "2", false},
        {"STRICT", "enabled", false},
        {"LOG_LEVEL", "critical", true},
        {"LOG_LEVEL", "Warn", true},
        {"LOG_LEVEL", "error=critical", false},
        {"LOG_LEVEL", "info|debug", false},
        {"ANTHROPIC_VERSION", "2026-10-21", true},
        {"ANTHROPIC_VERSION", "2024-01-01", false},
        {"ANTHROPIC_MODEL", "vendor/model:tag", true},
        {"ANTHROPIC_MODEL", "two words", false},
        {"ANTHROPIC_MODEL", "", false},
        {"HOST", "127.0.0.1", true},
        {"HOST", "::", true},
        {"HOST", "fe80::1%eth0", true},
        {"HOST", "[::1]", true},
        {"HOST", "http://localhost", false},
        {"HOST", "a b", false},
        {"ANTHROPIC_BASE_URL", "http://127.0.0.1:9000", true},
        {"ANTHROPIC_BASE_URL", "https://gateway.example/anthropic/", true},
        {"ANTHROPIC_BASE_URL", "api.anthropic.com", false},
        {"ANTHROPIC_BASE_URL", "ftp://a", false},
        {"ANTHROPIC_BASE_URL", "https://", false},
        {"ANTHROPIC_BASE_URL", "https:///path", false},
        {"ANTHROPIC_BASE_URL", "https://user:pw@a", false},
        {"ANTHROPIC_BASE_URL", "https://a?x=1", false},
        {"ANTHROPIC_BASE_URL", "https://a\nb", false},
        {"MODEL_ALIASES", "gpt-4o=claude-opus-5-5, * = claude-haiku-5-5", true},
        {"MODEL_ALIASES", "", true},
        {"MODEL_ALIASES", "gpt-4o", false},
        {"MODEL_ALIASES", "gpt-4o=", false},
        {"MODEL_ALIASES", "=x", false},
        {"MODEL_ALIASES", "a=b,,c=d", false},
        {"REASONING_FORMATS", "reasoning", true},
        {"REASONING_FORMATS", "thinking_blocks, Reasoning_Content,reasoning", true},
        {"REASONING_FORMATS", "reasoning,,thinking_blocks", false},
        {"REASONING_FORMATS", "thoughts", false},
        {"MIN_MAX_TOKENS_WHEN_THINKING", "1024", true},
        {"CORS_ORIGINS", "*", true},
        {"CORS_ORIGINS", "https://a.example, http://localhost:3000", true},
        {"CORS_ORIGINS", "a.example", false},
        {"CORS_ORIGINS", "https://a.example/", false},
        {"CORS_ORIGINS", "https://a.example,*", false},
        {"UPSTREAM_CA_FILE", "/etc/ssl/my ca.pem", true},
        {"UPSTREAM_CA_FILE", "a\nb", false},
        {"HTTPS_PROXY", "", true},
        {"HTTPS_PROXY", "http://user:p%40ss@proxy.example:3128/", true},
        {"HTTPS_PROXY", "proxy:3128", true},
        {"HTTPS_PROXY", "https://proxy:3128", false},
        {"HTTPS_PROXY", "socks5://proxy:1080", false},
        {"HTTP_PROXY", "http://a b", false},
        {"NO_PROXY", "*", true},
        {"NO_PROXY", ".example, 10.0.0.0/8 [::1]:80", true},
        {"NO_PROXY", "a\nb", false},
        {"UPSTREAM_BIND_ADDRESS", "", true},
        {"UPSTREAM_BIND_ADDRESS", "192.0.2.1", true},
        {"UPSTREAM_BIND_ADDRESS", "[2001:db8::1]", true},
        {"UPSTREAM_BIND_ADDRESS", "eth0", false},
        {"METRICS_ADDRESS", "", true},
        {"METRICS_ADDRESS", "127.0.0.1:9090", true},
        {"METRICS_ADDRESS", "[::1]:0", true},
        {"METRICS_ADDRESS", "localhost:65535", true},
        {"METRICS_ADDRESS", "127.0.0.1", false},
        {"METRICS_ADDRESS", ":9090", false},
        {"METRICS_ADDRESS", "9090", false},
        {"METRICS_ADDRESS", "::1:9090", false},
        {"METRICS_ADDRESS", "[::1]", false},
        {"METRICS_ADDRESS", "[127.0.0.1]:9090", false},
        {"METRICS_ADDRESS", "localhost:65536", false},
        {"METRICS_ADDRESS", "localhost:-1", false},
        {"METRICS_ADDRESS", "localhost:", false},
        {"METRICS_ADDRESS", "http://localhost:9090", false},
        {"KEEP_ALIVE", "0", true},
        {"KEEP_ALIVE", "3601", false},
        {"NO_SUCH_SETTING", "1", false},
    };
    struct load l = {0};
    load_fine(&l);
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++)
        if (config_set(&l.config, cases[i].name, cases[i].value) != cases[i].is_fine)
            fail_msg("%s=%s should be %s", cases[i].name, cases[i].value,
                     cases[i].is_fine ? "taken" : "refused");
    unload(&l);
}

static void setting_one(void **state)
{
    (void)state;
    struct load l = {0};
    load_fine(&l);
    assert_true(config_set(&l.config, "ANTHROPIC_BASE_URL", "http://127.0.0.1:1"));
    assert_string_equal(l.config.anthropic_base_url, "http://127.0.0.1:1");
    assert_true(config_set(&l.config, "HOST", "[::1]"));
    assert_string_equal(l.config.host, "::1");
    assert_true(config_set(&l.config, "LOG_LEVEL", "critical"));
    assert_int_equal(l.config.log_level, LOG_ERROR);
    assert_true(config_set(&l.config, "ANTHROPIC_VERSION", "2026-10-21"));
    assert_int_equal(l.config.anthropic_version, 2);
    assert_true(config_set(&l.config, "MAX_TOKENS", "5"));
    assert_true(l.config.has_max_tokens);
    assert_false(config_set(&l.config, "HOST", ""));
    assert_string_equal(l.config.host, "::1"); /* a refused value changes nothing */
    unload(&l);
}

static void describing(void **state)
{
    (void)state;
    struct load l = {.flags = {"--prompt-cache", "off", "--strict", "--reasoning-formats",
                               "thinking_blocks,reasoning"}};
    load_fine(&l);
    struct buf text;
    buf_init(&text, 65536);
    config_describe(&l.config, &text);
    static const char *const lines[] = {"\nPROMPT_CACHE=off\n",
                                        "\nSTRICT=on\n",
                                        "\nLOG_LEVEL=info\n",
                                        "\nMODEL_TEMPERATURE=0.1\n",
                                        "\nREQUEST_TIMEOUT=60\n",
                                        "\nCORS_ORIGINS=\n",
                                        "\nREASONING_FORMATS=reasoning,thinking_blocks\n"};
    for (size_t i = 0; i < PX_ARRAY_LEN(lines); i++)
        assert_true(str_find(buf_str(&text), str_of(lines[i])) > 0);
    buf_done(&text);
    unload(&l);
}

static void done_accepts_nothing(void **state)
{
    (void)state;
    struct config c = {0};
    config_done(&c);
    config_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_defaults),
        cmocka_unit_test(documented_env_file),
        cmocka_unit_test(precedence),
        cmocka_unit_test(overruled_values_are_not_read),
        cmocka_unit_test(empty_values),
        cmocka_unit_test(max_tokens_of_the_operator),
        cmocka_unit_test(flag_forms),
        cmocka_unit_test(bad_flags),
        cmocka_unit_test(bad_values_name_their_source),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(secret_flags_are_overwritten),
        cmocka_unit_test(blanks_around_values_do_not_count),
        cmocka_unit_test(env_file_flag),
        cmocka_unit_test(unknown_names_in_the_env_file),
        cmocka_unit_test(proxies_of_the_environment),
        cmocka_unit_test(proxies_are_secret),
        cmocka_unit_test(values_of_each_kind),
        cmocka_unit_test(setting_one),
        cmocka_unit_test(describing),
        cmocka_unit_test(done_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Settings: defaults, then .env, then the environment, then flags. One table (options.def) feeds
 * the loader, --help, .env.example and docs/configuration.md.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"

/* One member for each row of the table; texts are NUL-terminated and owned by the config. */
struct config {
    char *anthropic_api_key;      /* ANTHROPIC_API_KEY (secret) */
    char *proxy_api_key;          /* CLAUDE_PROXY_API_KEY (secret); "" = no authentication */
    char *anthropic_model;        /* ANTHROPIC_MODEL */
    int64_t request_timeout_s;    /* REQUEST_TIMEOUT */
    double model_temperature;     /* MODEL_TEMPERATURE */
    int64_t tokens_per_minute;    /* TOKENS_PER_MINUTE; 0 = unlimited */
    int64_t requests_per_minute;  /* REQUESTS_PER_MINUTE; 0 = unlimited */
    int64_t max_concurrent;       /* MAX_CONCURRENT_REQUESTS; 0 = unlimited */
    int64_t rate_limit_wait_s;    /* RATE_LIMIT_WAIT; 0 = nobody waits */
    int64_t queue_max;            /* QUEUE_MAX */
    int64_t max_tokens;           /* MAX_TOKENS; 0 = the model's maximum */
    char *host;                   /* HOST, --host */
    int64_t port;                 /* PORT, --port; 0 = the kernel picks */
    bool take_over;               /* TAKE_OVER */
    char *tls_cert;               /* TLS_CERT; "" = plain HTTP */
    char *tls_key;                /* TLS_KEY */
    char *tls_client_ca;          /* TLS_CLIENT_CA; "" = no client certificates */
    char *metrics_key;            /* METRICS_KEY (secret) */
    char *metrics_address;        /* METRICS_ADDRESS; "" = GET /metrics is on PORT, if at all */
    int64_t log_level;            /* LOG_LEVEL: enum log_level */
    int64_t log_format;           /* LOG_FORMAT: enum log_format */
    char *anthropic_base_url;     /* ANTHROPIC_BASE_URL */
    int64_t anthropic_version;    /* ANTHROPIC_VERSION: auto, 2023-06-01, 2026-10-21 (index) */
    int64_t anthropic_auth;       /* ANTHROPIC_AUTH: x-api-key, bearer (index) */
    char *model_aliases;          /* MODEL_ALIASES */
    bool model_succession;        /* MODEL_SUCCESSION */
    bool thinking_reserve;        /* THINKING_RESERVE */
    int64_t memory_bytes;         /* THINKING_MEMORY_BYTES; 0 = off */
    int64_t memory_ttl_s;         /* THINKING_MEMORY_TTL */
    int64_t reasoning_formats;    /* REASONING_FORMATS: a set, bit i for the i-th */
    bool anthropic_usage;         /* ANTHROPIC_USAGE */
    int64_t thinking_min_tokens;  /* MIN_MAX_TOKENS_WHEN_THINKING; 0 = off */
    int64_t prompt_cache;         /* PROMPT_CACHE: auto, on, off (index) */
    bool eager_tool_input;        /* EAGER_TOOL_INPUT */
    bool verbosity_instruction;   /* VERBOSITY_INSTRUCTION */
    bool strict;                  /* STRICT */
    int64_t workers;              /* WORKERS; 0 = one a core */
    int64_t max_connections;      /* MAX_CONNECTIONS, all workers together */
    int64_t max_body_bytes;       /* MAX_BODY_BYTES */
    int64_t body_memory_bytes;    /* BODY_MEMORY_BYTES, all workers together; 0 = unlimited */
    int64_t head_timeout_s;       /* HEAD_TIMEOUT */
    int64_t body_timeout_s;       /* BODY_TIMEOUT: silence while a body is read */
    int64_t idle_timeout_s;       /* IDLE_TIMEOUT: keep-alive between requests */
    int64_t keep_alive_s;         /* KEEP_ALIVE; 0 = off */
    int64_t stall_timeout_s;      /* STALL_TIMEOUT: an answer of which the client takes nothing */
    int64_t retries;              /* RETRIES */
    int64_t retry_after_max_s;    /* RETRY_AFTER_MAX */
    char *fallback_models;        /* FALLBACK_MODELS: a comma list */
    bool circuit_breaker;         /* CIRCUIT_BREAKER */
    int64_t connect_timeout_s;    /* CONNECT_TIMEOUT */
    int64_t drain_timeout_s;      /* DRAIN_TIMEOUT */
    int64_t upstream_connections; /* UPSTREAM_CONNECTIONS, per worker */
    char *upstream_ca_file;       /* UPSTREAM_CA_FILE; "" = the system's */
    char *https_proxy;            /* HTTPS_PROXY (holds a secret); "" = none */
    char *http_proxy;             /* HTTP_PROXY (holds a secret); "" = none */
    char *no_proxy;               /* NO_PROXY */
    char *upstream_bind_address;  /* UPSTREAM_BIND_ADDRESS; "" = the kernel's choice */
    int64_t models_cache_s;       /* MODELS_CACHE_SECONDS */
    bool sandbox;                 /* SANDBOX */
    char *cors_origins;           /* CORS_ORIGINS: "" off, "*", or a comma list */
    bool has_max_tokens;          /* MAX_TOKENS was set by the operator */
};

enum config_result { CONFIG_OK, CONFIG_BAD /* one line in `why` */ };

struct config_pair {
    const char *name, *value;
};

struct config_sources {
    int argc; /* flags of a subcommand, without its name */
    /* Values of secret flags are overwritten once read: every user can see a command line. */
    char **argv;
    char *const *environment; /* NAME=value..., NULL-terminated; NULL = none */
    /* Path of the .env, NULL = none. It may be missing, unlike one that --env-file names. */
    const char *env_file;
    /* Where a subcommand's defaults differ from the table's. */
    const struct config_pair *defaults;
    size_t n_defaults;
    const struct config *before; /* a reload: has what wiped flags had given. NULL = a start */
    struct buf *warnings;        /* one line each; NULL = not wanted */
};

/*
 * Fills every member; done with config_done whatever the result. On CONFIG_BAD `why` holds one
 * line: what, where it came from, what is allowed.
 */
enum config_result config_load(struct config *c, const struct config_sources *s,
                               struct buf *why) PX_MUST_CHECK;
/* Sets one loaded setting by its NAME, as if an operator had. False when the value is refused. */
bool config_set(struct config *c, const char *name, const char *value) PX_MUST_CHECK;
/*
 * For a reload: gives settings that only a start reads the value from `before`, and calls `each`
 * for those that would have another. False without memory.
 */
bool config_keep(struct config *c, const struct config *before,
                 void (*each)(void *arg, const char *name), void *arg) PX_MUST_CHECK;
/* Calls `each` for every setting that differs, with its value now; a secret's is "set" or "not
 * set". Returns how many do. */
size_t config_compare(const struct config *before, const struct config *now,
                      void (*each)(void *arg, const char *name, struct str value), void *arg);
/* Wipes the secrets and frees. Accepts a zeroed config. */
void config_done(struct config *c);
/* "NAME=value" lines for the log at start; secrets only as "set" or "not set". */
void config_describe(const struct config *c, struct buf *out);

/* Lines of --help: the options of that name (NULL-terminated list), or with NULL all, by section.
 */
void config_write_help(struct buf *out, const char *const *names);
void config_write_env_example(struct buf *out); /* .env.example */
void config_write_markdown(struct buf *out);    /* docs/configuration.md */

#endif

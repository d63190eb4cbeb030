/*
 * The option table, built from options.def, and looking things up in it.
 */
#include "config/option.h"

/* A member of another type than its kind's would be written past its end. */
#define X(kind, type, must_be) typedef type option_type_##kind;
OPTION_KINDS(X)
#undef X
#define SECTION(title, introduction)
#define OPTION(kind, name, member, def, low, high, choices, summary, details)                      \
    _Static_assert(__builtin_types_compatible_p(option_type_##kind,                                \
                                                __typeof__(((struct config *)NULL)->member)),      \
                   #name " has a member of another type than its kind");
#include "config/options.def"
#undef OPTION

#define OPTION(kind, name, member, def, low, high, choices, summary, details)                      \
    {#name,   OPTION_##kind, offsetof(struct config, member), def, low, high, choices,             \
     summary, details},
const struct option option_table[OPTIONS] = {
#include "config/options.def"
};
#undef SECTION
#undef OPTION

const struct option *option_find(struct str name)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (str_eq(name, str_of(option_table[i].name)))
            return &option_table[i];
    return NULL;
}

void option_flag(const struct option *o, char *to, size_t size)
{
    size_t n = 0;
    for (; o->name[n] && n + 1 < size; n++) {
        char c = o->name[n];
        to[n] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    to[n] = '\0';
}

bool option_is_text(const struct option *o)
{
    switch (o->kind) {
    case OPTION_SECRET:
    case OPTION_MODEL:
    case OPTION_PAIRS:
    case OPTION_MODELS:
    case OPTION_HOST:
    case OPTION_ORIGINS:
    case OPTION_URL:
    case OPTION_PATH:
    case OPTION_PROXY:
    case OPTION_HOSTS:
    case OPTION_ADDRESS:
    case OPTION_LISTEN:
        return true;
    case OPTION_INTEGER:
    case OPTION_SECONDS:
    case OPTION_NUMBER:
    case OPTION_BOOLEAN:
    case OPTION_CHOICE:
    case OPTION_CHOICES:
        return false;
    }
    return false;
}

bool option_is_secret(const struct option *o)
{
    return o->kind == OPTION_SECRET || o->kind == OPTION_PROXY;
}

bool option_is_shared(const struct option *o)
{
    return o->kind == OPTION_PROXY || o->kind == OPTION_HOSTS;
}

/* Read from the current settings for each request or connection, or set anew in `reload_settings`.
 * All others are built into what the start makes: sockets, threads, pools, tables. */
static const enum option_id reloadable[] = {
    OPTION_IS_ANTHROPIC_API_KEY,
    OPTION_IS_CLAUDE_PROXY_API_KEY,
    OPTION_IS_ANTHROPIC_MODEL,
    OPTION_IS_MODEL_TEMPERATURE,
    OPTION_IS_MAX_TOKENS,
    OPTION_IS_THINKING_RESERVE,
    OPTION_IS_MIN_MAX_TOKENS_WHEN_THINKING,
    OPTION_IS_REASONING_FORMATS,
    OPTION_IS_ANTHROPIC_USAGE,
    OPTION_IS_MODEL_ALIASES,
    OPTION_IS_MODEL_SUCCESSION,
    OPTION_IS_PROMPT_CACHE,
    OPTION_IS_EAGER_TOOL_INPUT,
    OPTION_IS_VERBOSITY_INSTRUCTION,
    OPTION_IS_STRICT,
    OPTION_IS_REQUESTS_PER_MINUTE,
    OPTION_IS_TOKENS_PER_MINUTE,
    OPTION_IS_MAX_CONCURRENT_REQUESTS,
    OPTION_IS_RATE_LIMIT_WAIT,
    OPTION_IS_QUEUE_MAX,
    OPTION_IS_METRICS_KEY,
    OPTION_IS_LOG_LEVEL,
    OPTION_IS_MAX_CONNECTIONS,
    OPTION_IS_MAX_BODY_BYTES,
    OPTION_IS_BODY_MEMORY_BYTES,
    OPTION_IS_HEAD_TIMEOUT,
    OPTION_IS_BODY_TIMEOUT,
    OPTION_IS_IDLE_TIMEOUT,
    OPTION_IS_KEEP_ALIVE,
    OPTION_IS_STALL_TIMEOUT,
    OPTION_IS_DRAIN_TIMEOUT,
    OPTION_IS_CORS_ORIGINS,
    OPTION_IS_ANTHROPIC_VERSION,
    OPTION_IS_ANTHROPIC_AUTH,
    OPTION_IS_REQUEST_TIMEOUT,
    OPTION_IS_RETRIES,
    OPTION_IS_RETRY_AFTER_MAX,
    OPTION_IS_FALLBACK_MODELS,
    OPTION_IS_CIRCUIT_BREAKER,
    OPTION_IS_MODELS_CACHE_SECONDS,
};

bool option_is_reloadable(const struct option *o)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(reloadable); i++)
        if (o == &option_table[reloadable[i]])
            return true;
    return false;
}

bool option_may_be_empty(const struct option *o)
{
    return option_is_text(o) && o->by_default[0] == '\0';
}

bool option_choice(const struct option *o, size_t i, struct str *ret)
{
    struct str rest = str_of(o->choices), part;
    for (size_t k = 0; str_split(&rest, '|', &part); k++)
        if (k == i)
            return str_split(&part, '=', ret);
    return false;
}

/*
 * Anthropic's errors -> OpenAI's, by one table of statuses and a few messages that mean something
 * else than their status says.
 */
#include "translate/upstream_error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/error_param.h"
#include "json/json.h"

/* What Anthropic said, wherever it said it; borrows from the parsed body. */
struct said {
    int status;
    bool is_in_stream;              /* it has no status of its own */
    struct str type, message, code; /* empty where nothing was said */
};

struct verdict {
    int status;
    const char *type, *code;
    bool is_final;
};

#define INVALID         "invalid_request_error"
#define SERVER          "server_error"
#define MODEL_NOT_FOUND "model_not_found"
#define QUOTA           ((struct verdict){429, "insufficient_quota", "insufficient_quota", true})

static int status_of_type(struct str type)
{
    static const struct {
        const char *type;
        int status;
    } types[] = {
        {"invalid_request_error", 400}, {"authentication_error", 401}, {"billing_error", 402},
        {"permission_error", 403},      {"not_found_error", 404},      {"conflict_error", 409},
        {"request_too_large", 413},     {"rate_limit_error", 429},     {"api_error", 500},
        {"timeout_error", 504},         {"overloaded_error", 529},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(types); i++)
        if (str_eq(type, str_of(types[i].type)))
            return types[i].status;
    return 500;
}

static bool says(const struct said *s, const char *text)
{
    return str_find(s->message, str_of(text)) >= 0;
}

static struct verdict verdict_400(const struct said *s)
{
    static const char out_of_money[][32] = {"credit balance is too low", "usage limits",
                                            "spend limit"};
    for (size_t i = 0; i < PX_ARRAY_LEN(out_of_money); i++)
        if (says(s, out_of_money[i]))
            return QUOTA;
    if (str_starts(s->message, STR("prompt is too long")))
        return (struct verdict){400, INVALID, "context_length_exceeded", false};
    if (says(s, "blocked by content filtering policy"))
        return (struct verdict){400, INVALID, "content_filter", false};
    if (str_eq(s->code, STR("organization_on_hold")) || str_starts(s->code, STR("claude_code_")) ||
        str_starts(s->code, STR("cmek_")))
        return (struct verdict){403, INVALID, s->code.p, false};
    return (struct verdict){400, INVALID, NULL, false};
}

/* A wrong base URL is a 404 too, and nothing that the client could mend with another model. */
static struct verdict verdict_404(const struct said *s)
{
    bool is_model = says(s, "model") || says(s, "Model");
    return (struct verdict){404, INVALID, is_model ? MODEL_NOT_FOUND : NULL, false};
}

static struct verdict verdict_429(const struct said *s)
{
    if (str_eq(s->code, STR("enforced_spend_limit_reached")) ||
        str_eq(s->code, STR("contract_spend_limit_reached")))
        return QUOTA;
    const char *type = "rate_limit_error";
    if (says(s, "tokens per"))
        type = "tokens";
    else if (says(s, "requests per"))
        type = "requests";
    return (struct verdict){429, type, "rate_limit_exceeded", false};
}

/* Statuses that are in no table: those of proxies in between, and ones yet to come. */
static struct verdict verdict_other(int status)
{
    if (status == 502 || (status >= 520 && status < 529))
        return (struct verdict){502, SERVER, "upstream_unreachable", false};
    if (status >= 500)
        return (struct verdict){500, SERVER, NULL, false};
    if (status >= 400)
        return (struct verdict){status, INVALID, NULL, false};
    return (struct verdict){502, SERVER, "bad_upstream_response", false};
}

static struct verdict verdict_of(const struct said *s)
{
    bool is_cmek = str_starts(s->code, STR("cmek_"));
    switch (s->status) {
    case 400:
        return verdict_400(s);
    case 401:
        return (struct verdict){401, INVALID, "invalid_api_key", false};
    case 402:
        return QUOTA;
    case 403:
        return (struct verdict){403, INVALID, "permission_denied", false};
    case 404:
        return verdict_404(s);
    case 408:
        return (struct verdict){408, SERVER, "timeout", false};
    case 409:
        return (struct verdict){409, INVALID, "conflict", false};
    case 413:
        return (struct verdict){413, INVALID, "request_too_large", false};
    case 429:
        return verdict_429(s);
    case 500:
        return (struct verdict){500, SERVER, NULL, false};
    case 503:
        return (struct verdict){503, SERVER, is_cmek ? s->code.p : NULL, false};
    case 504:
    case 524: /* Cloudflare's "a timeout occurred" */
        return (struct verdict){504, SERVER, "timeout", false};
    case 529:
        return (struct verdict){503, SERVER, "overloaded", false};
    default:
        return verdict_other(s->status);
    }
}

/* Finds the message in the shapes that the API and gateways in front of it use. */
static void read_body(yyjson_val *root, struct said *s)
{
    yyjson_val *error = json_get(root, "error");
    s->type = json_str(json_get(error, "type"));
    s->message = json_str(json_get(error, "message"));
    s->code = json_str(json_get(json_get(error, "details"), "error_code"));
    if (yyjson_is_str(error))
        s->message = json_str(error);
    else if (!error)
        s->message = json_str(json_get(root, "message"));
}

/* OpenAI's words, where clients look for them in the message and not for the code; in front of
 * Anthropic's. */
static const char *words_of(const char *code)
{
    static const struct {
        const char *code, *words;
    } table[] = {
        {"context_length_exceeded", "This model's maximum context length is exceeded: "},
        {"invalid_api_key", "Incorrect API key provided to the upstream: "},
    };
    for (size_t i = 0; code && i < PX_ARRAY_LEN(table); i++)
        if (strcmp(code, table[i].code) == 0)
            return table[i].words;
    return "";
}

/* `code` of a verdict may be a text of the body, which ends with a NUL as yyjson's strings do. */
static void fill(const struct said *s, const struct client_names *names,
                 struct tr_upstream_error *ret)
{
    struct verdict v = verdict_of(s);
    char param[sizeof(ret->error.param)] = "";
    if (v.code && strcmp(v.code, MODEL_NOT_FOUND) == 0)
        snprintf(param, sizeof(param), "model");
    else if (v.code && strcmp(v.code, "context_length_exceeded") == 0)
        snprintf(param, sizeof(param), "messages");
    else if (v.status == 400 || v.status == 413 || v.status == 422)
        error_param(s->message, names, param, sizeof(param));
    ret->is_final = v.is_final;
    const char *words = words_of(v.code);
    const size_t room = sizeof(ret->error.message) - 1 - strlen(words);
    if (s->message.n)
        api_error_set(&ret->error, v.status, v.type, v.code, param, "%s%.*s", words,
                      STR_ARG(utf8_cut(s->message, room)));
    else if (s->is_in_stream)
        api_error_set(&ret->error, v.status, v.type, v.code, param,
                      "The upstream reported an error that cannot be read.");
    else
        api_error_set(&ret->error, v.status, v.type, v.code, param,
                      "The upstream answered with HTTP status %d and no readable error.",
                      s->status);
}

void tr_upstream_error(int status, struct str body, const struct client_names *names,
                       struct tr_upstream_error *ret)
{
    struct json_error json_error;
    yyjson_doc *doc = json_parse(body, &json_error);
    struct said s = {.status = status};
    if (doc)
        read_body(yyjson_doc_get_root(doc), &s);
    s.is_in_stream = status == 0;
    /* Overload is told by its type everywhere. */
    if (s.is_in_stream || str_eq(s.type, STR("overloaded_error")))
        s.status = status_of_type(s.type);
    fill(&s, names, ret);
    yyjson_doc_free(doc);
}

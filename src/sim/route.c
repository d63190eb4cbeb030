/*
 * The routes: who may ask, which version, what then. Everything is decided here, nothing is sent.
 */
#include "sim/route.h"

#include "base/id.h"
#include "base/utf8.h"
#include "sim/cache.h"
#include "sim/message.h"
#include "sim/prompt.h"
#include "sim/refuse.h"
#include "sim/sim_model.h"
#include "sim/validate.h"
#include "sim/worker.h"
#include "json/json.h"

struct routing {
    struct sim *sim;
    const struct exchange_request *q;
    struct arena *arena;
    struct routed *ret;
    struct sim_error err;
    struct str path, query; /* of the target */
    bool is_2026;
};

/* --- ways to end -------------------------------------------------------------------------------
 */

static void answer_error(struct routing *r)
{
    struct routed *ret = r->ret;
    ret->has_script = ret->is_stream = false;
    ret->status = r->err.status;
    ret->kind = REPLY_JSON;
    buf_reset(&ret->body);
    sim_error_write(&ret->body, &r->err, ret->d.no_request_id ? STR("") : ret->request_id);
}

static void answer_json(struct routing *r)
{
    r->ret->status = 200;
    r->ret->kind = REPLY_JSON;
}

/* Adds what the operator and the request's header ask for. False with r->err. */
static bool take_directives(struct routing *r, enum record_route route)
{
    struct directives *d = &r->ret->d;
    char set[RECORD_DIRECTIVES_BYTES];
    size_t n;
    if (route == ROUTE_MESSAGES &&
        !directives_parse(d, str_of(r->sim->directives), r->arena, &r->err))
        return false;
    if (record_get_directives(r->sim->record, route, set, &n)) {
        struct str kept = arena_strdup(r->arena, (struct str){set, n});
        if (!directives_parse(d, kept, r->arena, &r->err))
            return false;
    }
    return directives_parse(d, exchange_header(r->q, STR("x-sim")), r->arena, &r->err);
}

/* The error that the directives ask for instead of an answer; false when they ask for none. */
static bool answer_fault(struct routing *r)
{
    static const int by_type[] = {400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529};
    struct directives *d = &r->ret->d;
    int64_t status = d->status;
    if (!status && d->error.n && !r->ret->is_stream) { /* without a stream it is a plain error */
        status = 500;
        for (size_t i = 0; i < PX_ARRAY_LEN(by_type); i++)
            if (str_eq(d->error, sim_error_type(by_type[i])))
                status = by_type[i];
    }
    if (!status || (status >= 200 && status < 300 && d->body == BODY_JSON))
        return false;
    r->err = (struct sim_error){.status = (int)status,
                                .type = d->type.n    ? d->type
                                        : d->error.n ? d->error
                                                     : sim_error_type((int)status),
                                .message = d->message.n ? d->message : sim_error_text((int)status),
                                .details = d->details};
    answer_error(r);
    if (d->body == BODY_JSON)
        return true;
    buf_reset(&r->ret->body);
    if (d->body == BODY_HTML) {
        r->ret->kind = REPLY_HTML;
        buf_printf(&r->ret->body,
                   "<html>\r\n<head><title>%lld</title></head>\r\n<body>\r\n<center><h1>%lld "
                   "%s</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n",
                   (long long)status, (long long)status, "Error");
    } else if (d->body == BODY_GARBAGE) {
        static const char garbage[] = "{\"type\":\"err\xff\x00\xfe";
        buf_append(&r->ret->body, garbage, sizeof(garbage) - 1);
    }
    return true;
}

/* --- who may ask -------------------------------------------------------------------------------
 */

/* Keys that stand for accounts in trouble (docs/simulator.md). */
static const struct {
    const char *prefix;
    int status;
    const char *message; /* NULL = the status' own */
} special_keys[] = {
    {"sk-ant-invalid", 401, NULL},
    {"sk-ant-forbidden", 403, NULL},
    {"sk-ant-nocredit", 400,
     "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
     "upgrade or purchase credits."},
    {"sk-ant-limited", 429, NULL},
};

static bool check_key(struct routing *r)
{
    struct str key = exchange_header(r->q, STR("x-api-key"));
    struct str bearer = exchange_header(r->q, STR("authorization"));
    if (key.p && bearer.p)
        return sim_error_set(&r->err, r->arena, 401,
                             "x-api-key and authorization headers cannot both be set");
    if (bearer.p) {
        if (bearer.n < 7 || !str_eq_nocase((struct str){bearer.p, 7}, STR("Bearer ")))
            return sim_error_set(&r->err, r->arena, 401, "Invalid bearer token");
        key = str_trim((struct str){bearer.p + 7, bearer.n - 7});
    }
    if (!key.p || !key.n)
        return sim_error_set(&r->err, r->arena, 401, "x-api-key header is required");
    for (size_t i = 0; i < PX_ARRAY_LEN(special_keys); i++) {
        if (!str_starts(key, str_of(special_keys[i].prefix)))
            continue;
        struct str text = special_keys[i].message ? str_of(special_keys[i].message)
                                                  : sim_error_text(special_keys[i].status);
        if (bearer.p && special_keys[i].status == 401)
            text = STR("Invalid bearer token");
        return sim_error_set(&r->err, r->arena, special_keys[i].status, "%.*s", STR_ARG(text));
    }
    return true;
}

static bool check_version(struct routing *r)
{
    struct str v = exchange_header(r->q, STR("anthropic-version"));
    if (!v.p)
        return sim_error_bad(&r->err, r->arena, "anthropic-version: header is required");
    r->is_2026 = str_eq(v, STR("2026-10-21"));
    if (r->is_2026 || str_eq(v, STR("2023-06-01")))
        return true;
    return sim_error_bad(&r->err, r->arena, "anthropic-version: \"%.*s\" is not a valid version",
                         STR_ARG(utf8_cut(v, 64)));
}

/* --- /v1/messages ------------------------------------------------------------------------------
 */

static bool is_true(yyjson_val *root, const char *name)
{
    return yyjson_is_true(json_get(root, name));
}

/* The prefix of keys that stand for an account from before thinking blocks were bound. */
#define OLD_ACCOUNT "sk-ant-old"

/* What the request is charged to: a key of one of the two headers. */
static struct str account(const struct routing *r)
{
    struct str key = exchange_header(r->q, STR("x-api-key"));
    struct str bearer = exchange_header(r->q, STR("authorization"));
    if (key.p || bearer.n < 7)
        return str_trim(key);
    return str_trim((struct str){bearer.p + 7, bearer.n - 7});
}

/* The same request again may be asked to be answered in another way. */
static bool take_then(struct routing *r)
{
    struct directives *d = &r->ret->d;
    struct str then = d->then;
    if (!then.p || !record_is_repeat(r->sim->record, r->q))
        return true;
    directives_init(d);
    return directives_parse(d, then, r->arena, &r->err);
}

static bool build_answer(struct routing *r, struct check *c, yyjson_val *root)
{
    struct routed *ret = r->ret;
    struct prompt prompt;
    if (!prompt_read(&prompt, root, c->model->cls->token_percent, r->arena, &ret->d, &r->err) ||
        !take_then(r) || !refuse_check(c, ret->d.refuse))
        return false;
    if (c->is_count) {
        buf_printf(&ret->body, "{\"input_tokens\":%lld}", (long long)prompt.input_tokens);
        return true;
    }
    if (prompt.input_tokens > c->model->cls->max_input_tokens)
        return sim_error_bad(&r->err, r->arena, "prompt is too long: %lld tokens > %lld maximum",
                             (long long)prompt.input_tokens,
                             (long long)c->model->cls->max_input_tokens);
    ret->is_stream = is_true(root, "stream");
    cache_use(r->sim->cache, root, account(r), c->model, &prompt.cache);
    if (!script_build(&ret->script, &prompt, &ret->d, c->model, root, r->arena, &r->err))
        return false;
    ret->has_script = true;
    ret->kind = ret->is_stream ? REPLY_STREAM : REPLY_JSON;
    if (!ret->is_stream)
        message_write(&ret->body, &ret->script);
    return true;
}

static bool parse_body(struct routing *r, yyjson_doc **ret_doc)
{
    struct json_error e;
    if (r->q->is_too_large)
        return sim_error_set(&r->err, r->arena, 413, "%s", "Request exceeds the maximum size");
    *ret_doc = json_parse(r->q->body, &e);
    if (*ret_doc)
        return true;
    return sim_error_bad(&r->err, r->arena,
                         "The request body is not valid JSON: %s: line 1 column %zu (char %zu)",
                         e.message, e.offset + 1, e.offset);
}

static bool serve_messages(struct routing *r, bool is_count)
{
    struct str beta = exchange_header(r->q, STR("anthropic-beta"));
    struct check c = {
        .arena = r->arena,
        .err = &r->err,
        .is_2026 = r->is_2026,
        .beta = beta,
        .is_old_account = str_starts(account(r), STR(OLD_ACCOUNT)),
        .is_count = is_count,
    };
    yyjson_doc *doc = NULL;
    if (!parse_body(r, &doc))
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    answer_json(r);
    bool ok = validate_request(&c, root) && build_answer(r, &c, root);
    yyjson_doc_free(doc);
    return ok;
}

/* --- /v1/models --------------------------------------------------------------------------------
 */

static bool serve_models(struct routing *r, struct str id)
{
    answer_json(r);
    if (!id.p)
        return sim_model_write_page(&r->ret->body, r->query, r->arena, &r->err);
    const struct sim_model *m = sim_model_find(id);
    if (!m)
        return sim_error_set(&r->err, r->arena, 404, "model: %.*s", STR_ARG(utf8_cut(id, 128)));
    sim_model_write(&r->ret->body, m);
    return true;
}

/* --- the API -----------------------------------------------------------------------------------
 */

struct endpoint {
    const char *path; /* behind "/v1/"; a final slash takes an id */
    const char *method;
    enum record_route route;
};
static const struct endpoint endpoints[] = {
    {"messages", "POST", ROUTE_MESSAGES},
    {"messages/count_tokens", "POST", ROUTE_COUNT_TOKENS},
    {"models", "GET", ROUTE_MODELS},
    {"models/", "GET", ROUTE_MODELS},
};

static const struct endpoint *find_endpoint(struct str path, struct str *ret_id)
{
    /* A gateway may serve the API below a prefix: "/anthropic/v1/messages". */
    ptrdiff_t at = str_find(path, STR("/v1/"));
    if (at < 0)
        return NULL;
    struct str rest = {path.p + at + 4, path.n - (size_t)at - 4};
    *ret_id = (struct str){0};
    for (size_t i = 0; i < PX_ARRAY_LEN(endpoints); i++) {
        struct str p = str_of(endpoints[i].path);
        if (str_eq(rest, p) && !str_ends(p, STR("/")))
            return &endpoints[i];
        if (str_ends(p, STR("/")) && str_starts(rest, p) && rest.n > p.n) {
            *ret_id = (struct str){rest.p + p.n, rest.n - p.n};
            return &endpoints[i];
        }
    }
    return NULL;
}

static bool serve_api(struct routing *r)
{
    struct str id;
    const struct endpoint *e = find_endpoint(r->path, &id);
    char request_id[32];
    id_random(request_id, 29, "req_");
    request_id[4] = '0';
    request_id[5] = '1';
    r->ret->request_id = arena_strdup(r->arena, str_of(request_id));
    if (!e)
        return sim_error_set(&r->err, r->arena, 404, "%s", "Not Found");
    bool is_method = str_eq(r->q->method, str_of(e->method)) ||
                     (str_eq(r->q->method, STR("HEAD")) && e->route == ROUTE_MODELS);
    if (!is_method) {
        sim_error_set(&r->err, r->arena, 405, "%s", "Method Not Allowed");
        return false;
    }
    r->ret->counts_requests = e->route == ROUTE_MESSAGES;
    if (!check_key(r) || !check_version(r) || !take_directives(r, e->route))
        return false;
    bool ok = e->route == ROUTE_MODELS ? serve_models(r, id)
                                       : serve_messages(r, e->route == ROUTE_COUNT_TOKENS);
    if (!ok)
        return false;
    answer_fault(r); /* only a valid request gets the fault that it asks for */
    return true;
}

/* --- the simulator's own routes ----------------------------------------------------------------
 */

static bool serve_directives(struct routing *r)
{
    static const char *const names[ROUTE_COUNT] = {"messages", "count_tokens", "models"};
    struct directives probe;
    directives_init(&probe);
    if (!directives_parse(&probe, r->q->body, r->arena, &r->err))
        return false;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct str rest = r->query, name;
        if (r->query.n == 0 && i > 0)
            break; /* without a query: messages */
        if (r->query.n && (!str_split(&rest, '=', &name) || !str_eq(rest, str_of(names[i]))))
            continue;
        if (!record_set_directives(r->sim->record, (enum record_route)i, r->q->body))
            return sim_error_set(&r->err, r->arena, 413, "sim: too many directives");
        buf_append_z(&r->ret->body, "{}");
        return true;
    }
    return sim_error_bad(&r->err, r->arena,
                         "sim: route must be one of messages, count_tokens, models");
}

static bool serve_own(struct routing *r)
{
    answer_json(r);
    bool is_get = str_eq(r->q->method, STR("GET"));
    if (!r->q->is_loopback)
        return sim_error_set(&r->err, r->arena, 403, "sim: only from this machine");
    if (is_get && str_eq(r->path, STR("/__sim/stats"))) {
        record_write(r->sim->record, &r->ret->body);
        return true;
    }
    if (!is_get && str_eq(r->path, STR("/__sim/reset"))) {
        record_reset(r->sim->record);
        cache_forget(r->sim->cache);
        buf_append_z(&r->ret->body, "{}");
        return true;
    }
    if (!is_get && str_eq(r->path, STR("/__sim/directives")))
        return serve_directives(r);
    return sim_error_set(&r->err, r->arena, 404, "%s", "Not Found");
}

void route_request(struct sim *sim, const struct exchange_request *q, struct arena *a,
                   struct routed *ret)
{
    struct routing r = {.sim = sim, .q = q, .arena = a, .ret = ret};
    *ret = (struct routed){.status = 200, .kind = REPLY_JSON, .request_id = STR("")};
    directives_init(&ret->d);
    buf_init(&ret->body, ROUTE_BODY_BYTES_MAX);
    r.query = q->target;
    if (!str_split(&r.query, '?', &r.path))
        r.path = STR("/");
    bool ok = str_starts(r.path, STR("/__sim/")) ? serve_own(&r) : serve_api(&r);
    if (!ok)
        answer_error(&r);
    if (ret->body.failed) {
        sim_error_set(&r.err, a, 500, "%s", "Internal server error");
        answer_error(&r);
    }
}

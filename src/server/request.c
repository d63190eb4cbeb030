/*
 * START HERE. The way of a request, as a table of steps with a short driver.
 *
 * The connection makes a request when its head is read. The driver runs one step after the other;
 * a step that has to wait says so, and whoever sees the awaited thing happen (the connection: the
 * body is in; relay.c: the upstream sent something; waiting.c: it is its turn; models_cache.c: the
 * list is there) drives on. request_set_step is the only place that changes the step, request_end
 * the only one that ends a request, for a reason from end_reasons.def.
 */
#include "server/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "observe/count.h"
#include "observe/record.h"
#include "server/answer.h"
#include "server/attempt.h"
#include "server/auth.h"
#include "server/connection.h"
#include "server/keep_alive.h"
#include "server/outcome.h"
#include "server/relay.h"
#include "server/waiting.h"
#include "server/worker.h"

#define ARENA_BYTES_MAX (16u << 20)
/* Of what a head promises, new memory that is taken with the first byte of the body. For the rest
 * it is when so much has come. */
#define PROMISED_BYTES_MAX (1 << 20)

static enum go step_route(struct request *r);
static enum go step_authenticate(struct request *r);
static enum go step_read(struct request *r);
static enum go step_relay(struct request *r);
static enum go step_finish(struct request *r);
static enum go step_record(struct request *r);

static enum go (*const steps[])(struct request *r) = {
    [STEP_ROUTE] = step_route,               /* which URL is it? 404, 405, preflight */
    [STEP_AUTHENTICATE] = step_authenticate, /* 401 */
    [STEP_READ] = step_read,                 /* the body; 413 */
    [STEP_ANSWER] = step_answer,             /* answer.c: what needs no upstream call */
    [STEP_ADMIT] = step_admit,               /* waiting.c: requests per minute; 429 */
    [STEP_TRANSLATE] = step_translate, /* attempt.c: OpenAI's request -> Anthropic's; 400, 404 */
    [STEP_RESERVE] = step_reserve,     /* waiting.c: all limits, or its turn; 429 */
    [STEP_SEND] = step_send,           /* attempt.c: off to the upstream, once a choice */
    [STEP_RELAY] = step_relay,         /* relay.c: its answer -> the client's; retry.c: the call
                                        * again, or STEP_SEND without what was refused */
    [STEP_FINISH] = step_finish,       /* settle the limits, let the connection go */
    [STEP_RECORD] = step_record,       /* the access log, the metrics */
};

static void request_set_step(struct request *r, enum request_step step)
{
    r->step = step;
}

void request_drive(struct request *r)
{
    while (r->step != STEP_OVER) {
        switch (steps[r->step](r)) {
        case GO_ON:
            request_set_step(r, r->step + 1);
            break;
        case GO_AGAIN:
            break;
        case GO_WAIT:
            return;
        }
    }
}

void request_send_again(struct request *r)
{
    request_set_step(r, STEP_SEND);
}

enum go request_end(struct request *r, enum end_reason why, const struct api_error *error)
{
    if (r->end != END_NONE)
        return GO_AGAIN;
    r->end = why;
    request_set_step(r, STEP_FINISH);
    const struct end_info *info = end_info(why);
    if (r->status != 0 || !r->connection || (!error && info->status == 0))
        return GO_AGAIN;
    struct api_error own;
    if (!error) {
        api_error_set(&own, info->status, info->type, info->code, NULL, "%s", info->message);
        error = &own;
    }
    answer_error(r, error);
    return GO_AGAIN;
}

/* Like request_end, with a message of its own. */
static enum go end_saying(struct request *r, enum end_reason why, const char *message)
{
    const struct end_info *info = end_info(why);
    struct api_error e;
    api_error_set(&e, info->status, info->type, info->code, NULL, "%s", message);
    return request_end(r, why, &e);
}

/* Birth ----------------------------------------------------------------------------------- */

struct str request_id(struct request *r)
{
    if (!r->id[0])
        id_random(r->id, sizeof(r->id), "req_");
    return str_of(r->id);
}

void request_free_body(struct request *r)
{
    body_budget_give(&r->worker->shared->bodies, (int64_t)r->body.len);
    if (r->body.cap > PROMISED_BYTES_MAX)
        worker_keep_spare(r->worker, &r->body);
    else
        buf_done(&r->body);
}

static void free_request(void *arg)
{
    struct request *r = arg;
    struct worker *w = r->worker;
    count_add(&w->metrics.in_flight, (uint64_t)-1);
    waiting_release(r); /* by now its last words to the upstream are out: a stream's reset */
    arena_done(&r->arena);
    request_free_body(r);
    buf_done(&r->upstream_headers);
    settings_drop(r->settings);
    free(r);
    worker_may_stop(w);
}

static struct request *create(struct connection *c, struct worker *w)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->worker = w;
    r->connection = c;
    r->settings = settings_hold(w->settings.current);
    r->tls_version = connection_tls_version(c);
    list_init(&r->node);
    arena_init(&r->arena, ARENA_BYTES_MAX);
    buf_init(&r->body, (size_t)r->settings->config.max_body_bytes);
    buf_init(&r->upstream_headers, UPSTREAM_HEADER_BYTES_MAX);
    keep_alive_init(r);
    r->free_job = (struct loop_job){.run = free_request, .arg = r};
    r->started_us = loop_now_us(w->loop);
    count_add(&w->metrics.in_flight, 1);
    return r;
}

static struct str keep_header(struct request *r, const struct h1_head *head, struct str name)
{
    struct str value = h1_find(head, name);
    return value.n ? arena_strdup(&r->arena, value) : value;
}

static bool keep_head(struct request *r, const struct h1_head *head)
{
    r->head = (struct request_head){
        .method = arena_strdup(&r->arena, head->method),
        .target = arena_strdup(&r->arena, head->target),
        .origin = keep_header(r, head, STR("origin")),
        .asked_cors_headers = keep_header(r, head, STR("access-control-request-headers")),
        .workspace_id = keep_header(r, head, STR("anthropic-workspace-id")),
        .content_length = head->content_length,
        .is_http_1_0 = head->is_http_1_0,
        .is_chunked = head->is_chunked,
        .expects_continue = head->expects_continue,
    };
    return !r->arena.failed; /* a header that is left out may change who pays */
}

struct request *request_begin(struct connection *c, struct worker *w, const struct h1_head *head)
{
    struct request *r = create(c, w);
    if (!r)
        return NULL;
    if (!keep_head(r, head)) {
        free_request(r);
        return NULL;
    }
    if (head->content_length >= 0 && (uint64_t)head->content_length < r->body.max)
        r->body.max = (size_t)head->content_length;
    r->sent_head = head;
    return r;
}

void request_refuse(struct connection *c, struct worker *w, enum end_reason why,
                    const char *message)
{
    struct request *r = create(c, w);
    if (!r) {
        connection_drop(c);
        return;
    }
    end_saying(r, why, message ? message : end_info(why)->message);
    request_drive(r);
}

/* The steps ------------------------------------------------------------------------------- */

/* Metrics are where the settings have them; where they have an address of their own, little else.
 */
static bool is_served(const struct request *r, enum route_id id)
{
    const struct config *config = &r->settings->config;
    if (connection_is_for_metrics(r->connection))
        return id == ROUTE_METRICS || id == ROUTE_HEALTH;
    return id != ROUTE_METRICS || (config->metrics_key[0] && !config->metrics_address[0]);
}

static enum go step_route(struct request *r)
{
    struct route_match match;
    enum route_result result = route_find(r->head.method, r->head.target, &match);
    if (match.route && !is_served(r, match.route->id)) {
        match.route = NULL;
        result = ROUTE_UNKNOWN;
    }
    r->route = match.route;
    r->path = match.path;
    r->model_name = match.name;
    char message[512];
    switch (result) {
    case ROUTE_FOUND:
        return GO_ON;
    case ROUTE_OPTIONS:
        return answer_options(r);
    case ROUTE_WRONG_METHOD:
        snprintf(message, sizeof(message), "Not allowed to %.*s on %.*s. Allowed: %s.",
                 STR_ARG(r->head.method), STR_ARG(r->path), match.allow);
        return end_saying(r, END_METHOD_NOT_ALLOWED, message);
    case ROUTE_UNKNOWN:
        break;
    }
    snprintf(message, sizeof(message), "Invalid URL (%.*s %.*s)", STR_ARG(r->head.method),
             (int)(r->path.n > 300 ? 300 : r->path.n), r->path.p);
    return end_saying(r, END_UNKNOWN_URL, message);
}

static enum go step_authenticate(struct request *r)
{
    enum auth_result result = AUTH_OK;
    const bool is_for_metrics = r->route->id == ROUTE_METRICS;
    if (r->route->needs_key)
        result = auth_check(is_for_metrics ? str_of(r->settings->config.metrics_key)
                                           : r->settings->proxy_key,
                            r->sent_head);
    if (r->worker->shared->memory && r->route->id == ROUTE_CHAT)
        r->tenant = thinking_memory_tenant(r->worker->shared->memory, auth_key(r->sent_head));
    r->client = waiting_key(&r->worker->shared->waiting, auth_key(r->sent_head));
    r->sent_head = NULL; /* the parser forgets it soon */
    switch (result) {
    case AUTH_OK:
        r->is_authenticated = r->route->needs_key && !is_for_metrics;
        return GO_ON;
    case AUTH_NO_KEY:
        return request_end(r, END_NO_KEY, NULL);
    case AUTH_WRONG_KEY:
        if (is_for_metrics)
            return end_saying(r, END_WRONG_KEY,
                              "Incorrect API key provided: metrics have one of their own.");
        return request_end(r, END_WRONG_KEY, NULL);
    case AUTH_TWO_KEYS:
        break;
    }
    return request_end(r, END_TWO_KEYS, NULL);
}

static enum go end_too_large(struct request *r)
{
    char message[128];
    snprintf(message, sizeof(message), "The request's body is larger than %lld bytes.",
             (long long)r->settings->config.max_body_bytes);
    return end_saying(r, END_BODY_TOO_LARGE, message);
}

static enum go step_read(struct request *r)
{
    if (r->is_body_read || r->route->id != ROUTE_CHAT)
        return GO_ON; /* a body that nobody asked for is the connection's to throw away */
    if (r->head.content_length > r->settings->config.max_body_bytes)
        return end_too_large(r);
    if (!body_budget_has(&r->worker->shared->bodies, r->settings->config.body_memory_bytes,
                         r->head.content_length))
        return request_end(r, END_BODY_MEMORY, NULL); /* before it is sent */
    if (r->head.expects_continue && (r->head.is_chunked || r->head.content_length > 0))
        connection_write(r->connection, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    return GO_WAIT;
}

static enum go step_relay(struct request *r)
{
    (void)r;
    return GO_WAIT; /* the upstream's callbacks in relay.c end it */
}

/* An answer that was cut off must not look whole: the connection breaks. */
static enum connection_rest rest_of(const struct request *r)
{
    if (!r->is_answer_complete)
        return CONNECTION_BREAKS;
    return r->keeps_alive ? CONNECTION_STAYS : CONNECTION_CLOSES;
}

static enum go step_finish(struct request *r)
{
    struct worker *w = r->worker;
    if (r->ended_us == 0) {
        r->ended_us = loop_now_us(w->loop);
        waiting_settle(r, outcome_used_tokens(r));
    }
    if (r->is_stream_open)
        count_add(&w->metrics.streams, (uint64_t)-1);
    r->is_stream_open = false;
    list_remove(&r->node); /* it may have waited for the models, or for the upstream's end */
    relay_release(r);
    if (r->connection)
        connection_request_over(r->connection, rest_of(r));
    r->connection = NULL;
    if (relay_is_open(r)) {
        worker_keep_tail(w, &r->node);
        return GO_WAIT;
    }
    return GO_ON;
}

static int64_t ms_since(const struct request *r, int64_t at_us)
{
    return at_us == 0 ? -1 : (at_us - r->started_us) / 1000;
}

static void count_request(const struct request *r, const struct request_record *record,
                          const struct tr_usage *usage)
{
    const struct str model = r->has_translated ? r->translated.model : (struct str){0};
    metrics_count(
        &r->worker->metrics,
        &(struct metrics_request){
            .record = record,
            .route = r->route,
            .end = r->end,
            .model = model,
            .is_known_model = model_known(models_current(r->worker), model) != MODEL_UNKNOWN,
            .usage = *usage,
            .total_us = r->ended_us - r->started_us,
            .first_token_us = r->content_us == 0 ? -1 : r->content_us - r->started_us,
        });
}

static enum go step_record(struct request *r)
{
    struct request_record record = {
        .id = request_id(r),
        .method = r->head.method,
        .path = r->path,
        .status = r->status,
        .end = end_info(r->end)->word,
        .tls_version = str_of(r->tls_version),
        .detail = r->detail,
        .is_completion = r->has_translated,
        .waited_ms = r->waited_us / 1000,
        .sent_ms = ms_since(r, r->sent_us),
        .content_ms = ms_since(r, r->content_us),
        .first_ms = ms_since(r, r->first_us),
        .total_ms = ms_since(r, r->ended_us),
    };
    if (r->has_translated) {
        record.asked_model = r->translated.asked_model;
        record.sent_model = r->translated.model;
        record.is_stream = r->translated.is_stream;
        record.choices = r->translated.n_choices;
        record.recalled = r->translated.recalled;
        record.unremembered = r->translated.unremembered;
        record.evicted = (int64_t)r->evicted;
        record.ignored = r->translated.ignored;
        record.modified = r->translated.modified;
    }
    const struct tr_usage usage = outcome_usage(r);
    record.served_model = outcome_model(r);
    record.input_tokens = usage.input + usage.cache_read + usage.cache_write;
    record.cache_read_tokens = usage.cache_read;
    record.cache_write_tokens = usage.cache_write;
    record.reasoning_tokens = usage.thinking;
    record.upstream_key = (int64_t)outcome_key(r);
    record.output_tokens = usage.output;
    struct buf *refused = worker_out_buf(r->worker), *learned = worker_head_buf(r->worker);
    tr_amend_write(r->amend, refused);
    tr_amend_write(r->lessons, learned);
    record.refused = buf_str(refused);
    record.learned = buf_str(learned);
    record.attempts = r->attempts + r->retries;
    record.retries = r->retries;
    record.retry_wait_ms = r->retry_wait_ms;
    record.continuations = r->continuations;
    record.repeats = r->repeats;
    record_log(&record);
    count_request(r, &record, &usage);
    relay_free(r);
    loop_defer(r->worker->loop, &r->free_job);
    return GO_ON;
}

/* What happens to it ---------------------------------------------------------------------- */

/* Room for most bodies at once, and for others in two steps, so that they hardly ever move. */
static bool keep_body(struct request *r, const char *p, size_t n)
{
    size_t room = r->head.content_length > 0 ? r->body.max - r->body.len : n;
    if (!r->body.data && room > PROMISED_BYTES_MAX) {
        worker_take_spare(r->worker, &r->body, room);
        room = PROMISED_BYTES_MAX;
    }
    if (!buf_has_room(&r->body, n) && !buf_reserve(&r->body, room))
        return false;
    return buf_append(&r->body, p, n);
}

void request_body(struct request *r, const char *p, size_t n)
{
    if (r->step != STEP_READ)
        return;
    struct body_budget *budget = &r->worker->shared->bodies;
    if (n > r->body.max - r->body.len) {
        end_too_large(r);
    } else if (!body_budget_take(budget, r->settings->config.body_memory_bytes, (int64_t)n)) {
        request_end(r, END_BODY_MEMORY, NULL);
    } else if (!keep_body(r, p, n)) {
        body_budget_give(budget, (int64_t)n);
        request_end(r, END_OUT_OF_MEMORY, NULL);
    } else {
        return;
    }
    request_drive(r);
}

void request_body_end(struct request *r)
{
    r->is_body_read = true;
    if (r->step == STEP_READ)
        request_drive(r);
}

void request_end_from_outside(struct request *r, enum end_reason why, const char *message)
{
    const char *text = message ? message : end_info(why)->message;
    if (r->step == STEP_RELAY)
        relay_fail(r, why, text);
    else
        end_saying(r, why, text);
    request_drive(r);
}

void request_client_left(struct request *r, enum end_reason why)
{
    r->connection = NULL;
    request_end(r, why, NULL);
    request_drive(r);
}

void request_drop_tail(struct request *r)
{
    relay_cancel(r);
    request_drive(r);
}

void request_models_arrived(struct worker *w)
{
    while (!list_is_empty(&w->models_waiters)) {
        struct request *r = request_of_node(w->models_waiters.next);
        list_remove(&r->node);
        request_drive(r);
    }
}

struct request *request_of_node(struct list *node)
{
    return LIST_OF(node, struct request, node);
}

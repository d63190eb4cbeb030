/*
 * Answers that the proxy gives itself, and the heads of all answers.
 */
#include "server/answer.h"

#include "base/clock.h"
#include "observe/count.h"
#include "observe/exposition.h"
#include "server/connection.h"
#include "server/cors.h"
#include "server/outcome.h"
#include "server/response.h"
#include "server/worker.h"
#include "translate/upstream_error.h"

/* A body up to this size is sent with its head in one write. */
#define JOINED_BODY_BYTES_MAX 65536
#define UNMET_BYTES_MAX       512
/* What OpenAI's API says of itself; clients only log it. */
#define OPENAI_VERSION "2020-10-01"

/* Headers --------------------------------------------------------------------------------- */

static void write_limits(struct request *r, struct buf *b)
{
    if (r->is_authenticated)
        admit_write_levels(&r->worker->shared->admit, loop_now_us(r->worker->loop), b);
    if (r->wait_ms > 0)
        admit_write_wait(r->wait_ms, b);
    if (r->end == END_SHUTDOWN || r->end == END_TOO_MANY_CONNECTIONS || r->end == END_BODY_MEMORY)
        admit_write_wait(1000, b);
}

/* The answer is not the JSON that was asked for. */
static void write_unmet(const struct request *r, struct buf *b)
{
    struct buf unmet;
    buf_init(&unmet, UNMET_BYTES_MAX);
    if (outcome_write_unmet(r, &unmet))
        response_header(b, "x-response-format-unmet", buf_str(&unmet));
    buf_done(&unmet);
}

static void write_translation(const struct request *r, struct buf *b)
{
    const struct tr_request *t = &r->translated;
    if (t->ignored.n)
        response_header(b, "x-ignored-params", t->ignored);
    if (t->modified.n)
        response_header(b, "x-modified-params", t->modified);
    if (t->is_best_effort_format)
        buf_append_z(b, "x-response-format: best-effort\r\n");
    write_unmet(r, b);
    /* A stream's header goes out before anybody can know. */
    if (t->is_tool_choice_emulated && !t->is_stream && outcome_has_finish(r, STR("stop")))
        buf_append_z(b, "x-tool-choice-unmet: 1\r\n");
}

static void write_refusal(const struct request *r, struct buf *b)
{
    if (r->end == END_METHOD_NOT_ALLOWED)
        buf_printf(b, "allow: %s\r\n", r->route->allow);
    if (r->end == END_NO_KEY || r->end == END_WRONG_KEY || r->end == END_TWO_KEYS)
        buf_append_z(b, "www-authenticate: Bearer\r\n");
}

/* The head of an answer up to its last line; all answers go through here. */
static struct buf *begin(struct request *r, struct response_head *h)
{
    struct worker *w = r->worker;
    struct buf *b = worker_head_buf(w);
    r->keeps_alive = h->framing != FRAME_UNTIL_CLOSE && connection_keeps_alive(r->connection);
    r->status = h->status;
    r->first_us = loop_now_us(w->loop);
    h->keeps_alive = r->keeps_alive;
    h->is_http_1_0 = r->head.is_http_1_0;
    response_begin(b, h, worker_date(w));
    if (!r->has_upstream_id)
        response_header(b, "x-request-id", request_id(r));
    buf_append_z(b, "openai-processing-ms: ");
    buf_append_i64(b, (clock_mono_us() - r->started_us) / 1000);
    buf_append_z(b, "\r\nopenai-version: " OPENAI_VERSION "\r\n");
    write_limits(r, b);
    if (r->is_final) /* whatever the upstream said of it */
        tr_response_header(h->status, STR("x-should-retry"), STR("false"), 0, &r->upstream_headers);
    buf_append_str(b, buf_str(&r->upstream_headers));
    if (r->has_translated)
        write_translation(r, b);
    write_refusal(r, b);
    if (w->shared->is_demo)
        buf_append_z(b, "x-claude-proxy-demo: 1\r\n");
    return b;
}

/* Whole answers --------------------------------------------------------------------------- */

static void answer_whole(struct request *r, int status, const char *type, struct str body)
{
    struct response_head h = {
        .status = status,
        .content_type = type,
        .framing = FRAME_SIZED,
        .content_length = body.n,
    };
    struct buf *b = begin(r, &h);
    cors_write(r->settings->cors_origins, r->head.origin, b);
    response_end(b);
    if (b->failed) { /* nothing sensible can be said any more: the connection breaks */
        request_end(r, END_OUT_OF_MEMORY, NULL);
        return;
    }
    r->is_answer_complete = true;
    if (str_eq(r->head.method, STR("HEAD")))
        body.n = 0;
    if (body.n <= JOINED_BODY_BYTES_MAX && buf_append_str(b, body))
        body.n = 0;
    connection_write(r->connection, buf_str(b));
    connection_write(r->connection, body);
    buf_done(&r->upstream_headers);
}

void answer_json(struct request *r, int status, struct str body)
{
    answer_whole(r, status, "application/json", body);
}

void answer_error(struct request *r, const struct api_error *error)
{
    struct buf *body = worker_out_buf(r->worker);
    if (api_error_write(error, body)) /* else the connection breaks: half an error is none */
        answer_json(r, error->status, buf_str(body));
}

enum go answer_options(struct request *r)
{
    struct response_head h = {.status = 204, .framing = FRAME_EMPTY};
    struct buf *b = begin(r, &h);
    buf_printf(b, "allow: %s\r\n", r->route ? r->route->allow : "GET, HEAD, POST, OPTIONS");
    cors_write_preflight(r->settings->cors_origins, r->head.origin, r->head.asked_cors_headers, b);
    response_end(b);
    if (b->failed)
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    r->is_answer_complete = true;
    connection_write(r->connection, buf_str(b));
    return request_end(r, END_DONE, NULL);
}

/* Streams --------------------------------------------------------------------------------- */

bool answer_begin_stream(struct request *r, struct str first)
{
    struct response_head h = {
        .status = 200,
        .content_type = "text/event-stream; charset=utf-8",
        .framing = r->is_chunked ? FRAME_CHUNKED : FRAME_UNTIL_CLOSE,
    };
    struct buf *b = begin(r, &h);
    r->is_stream_open = true;
    count_add(&r->worker->metrics.streams, 1);
    buf_append_z(b, "cache-control: no-cache\r\nx-accel-buffering: no\r\n");
    cors_write(r->settings->cors_origins, r->head.origin, b);
    response_end(b);
    const bool is_whole = !b->failed;
    if (is_whole && first.n <= JOINED_BODY_BYTES_MAX && buf_append_str(b, first))
        first.n = 0;
    if (is_whole) {
        connection_write(r->connection, buf_str(b));
        connection_write(r->connection, first);
    }
    buf_done(&r->upstream_headers);
    return is_whole;
}

/* STEP_ANSWER ----------------------------------------------------------------------------- */

static enum go answer_metrics(struct request *r)
{
    struct buf *body = worker_out_buf(r->worker);
    if (!metrics_write(r->worker->shared, &r->settings->keys, loop_now_us(r->worker->loop), body))
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    answer_whole(r, 200, EXPOSITION_CONTENT_TYPE, buf_str(body));
    return request_end(r, END_DONE, NULL);
}

static enum go answer_health(struct request *r)
{
    struct shared *shared = r->worker->shared;
    const bool is_draining = atomic_load(&shared->is_draining);
    struct buf *body = worker_out_buf(r->worker);
    health_write(&shared->health, loop_now_us(r->worker->loop), is_draining, body);
    if (body->failed)
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    answer_json(r, is_draining ? 503 : 200, buf_str(body));
    return request_end(r, END_DONE, NULL);
}

/* Before the first fetch has ended an answer would come from the built-in table: wait for it. */
static bool must_wait_for_models(struct request *r)
{
    struct worker *w = r->worker;
    if (atomic_load(&w->shared->is_draining))
        return false; /* nobody fetches any more */
    models_refresh(w);
    return !w->models.was_attempted && (atomic_load(&w->shared->models.is_fetching) ||
                                        atomic_load(&w->models.incoming) != NULL);
}

static enum go answer_models(struct request *r)
{
    struct buf *body = worker_out_buf(r->worker);
    if (!tr_models_write_list(models_current(r->worker), body))
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    answer_json(r, 200, buf_str(body));
    return request_end(r, END_DONE, NULL);
}

static enum go answer_model(struct request *r)
{
    struct worker *w = r->worker;
    const struct tr_policy *policy = &r->settings->policy;
    struct str name = route_decode(&r->arena, r->model_name);
    struct buf *body = worker_out_buf(w);
    if (name.n && tr_models_write_one(models_current(w), policy, name, body)) {
        answer_json(r, 200, buf_str(body));
        return request_end(r, END_DONE, NULL);
    }
    struct api_error e;
    const struct end_info *info = end_info(END_MODEL_NOT_FOUND);
    api_error_set(&e, info->status, info->type, info->code, "model",
                  "The model '%.*s' does not exist or you do not have access to it.",
                  (int)(name.n > 200 ? 200 : name.n), name.p ? name.p : "");
    return request_end(r, END_MODEL_NOT_FOUND, &e);
}

enum go step_answer(struct request *r)
{
    switch (r->route->id) {
    case ROUTE_HEALTH:
        return answer_health(r);
    case ROUTE_METRICS:
        return answer_metrics(r);
    case ROUTE_MODELS:
    case ROUTE_MODEL:
        if (must_wait_for_models(r)) {
            if (list_is_empty(&r->node))
                list_append(&r->worker->models_waiters, &r->node);
            return GO_WAIT;
        }
        return r->route->id == ROUTE_MODEL ? answer_model(r) : answer_models(r);
    case ROUTE_CHAT:
    case ROUTES:
        break;
    }
    return GO_ON;
}

/*
 * Sends the translated request, feeds what comes back through the translator, writes what that
 * gives to the client. The client's status line is held until the translator has something for
 * it, so that a failure before that is a real HTTP error.
 */
#include "server/relay.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "server/answer.h"
#include "server/connection.h"
#include "server/response.h"
#include "server/upstream_headers.h"
#include "server/worker.h"
#include "translate/upstream_error.h"

/* A client with more than this waiting pauses its upstream. */
#define CLIENT_WAITING_MAX 262144
#define MESSAGE_BYTES_MAX  (16u << 20)
#define ERROR_BYTES_MAX    65536
/* With a new output format the upstream may be silent while it compiles a grammar. */
#define GRAMMAR_TIMEOUT_MS 200000

/* To the client --------------------------------------------------------------------------- */

static void send_piece(struct request *r, struct buf *out, bool is_last)
{
    struct str piece;
    if (r->status == 0)
        r->is_chunked = !r->head.is_http_1_0;
    if (r->is_chunked)
        piece = response_frame_chunk(out, is_last);
    else
        piece = response_content(out);
    if (r->status == 0)
        answer_begin_stream(r, piece);
    else
        connection_write(r->connection, piece);
    if (is_last)
        r->is_answer_complete = true;
    if (r->call && !r->is_paused && connection_waiting(r->connection) > CLIENT_WAITING_MAX) {
        r->is_paused = true;
        upstream_pause(r->call);
    }
}

void relay_client_drained(struct request *r)
{
    if (!r->is_paused || !r->call)
        return;
    r->is_paused = false;
    upstream_resume(r->call);
}

/* The translator has taken what came; `out` holds what it gave. `why`: what a failure is called. */
static void deliver(struct request *r, enum tr_state state, struct buf *out, enum end_reason why)
{
    const bool is_stream = r->translated.is_stream;
    if (out->failed) {
        request_end(r, END_OUT_OF_MEMORY, NULL);
        return;
    }
    switch (state) {
    case TR_WAITING:
        return;
    case TR_FLOWING:
        if (is_stream && out->len > RESPONSE_CHUNK_ROOM)
            send_piece(r, out, false);
        return;
    case TR_DONE:
        if (is_stream)
            send_piece(r, out, true);
        else
            answer_json(r, 200, response_content(out));
        request_end(r, END_DONE, NULL);
        return;
    case TR_FAILED:
        break;
    }
    const struct api_error *error = tr_stream_error(r->stream);
    r->is_final = tr_stream_is_final(r->stream);
    snprintf(r->detail, sizeof(r->detail), "%s", error->code[0] ? error->code : error->type);
    if (r->status != 0)
        send_piece(r, out, true);
    request_end(r, why, error);
}

/* Room for the translator's output, behind room for the chunk's size. NULL: ended. */
static struct buf *begin_output(struct request *r)
{
    struct buf *out = worker_out_buf(r->worker);
    if (response_reserve_chunk(out))
        return out;
    request_end(r, END_OUT_OF_MEMORY, NULL);
    return NULL;
}

void relay_fail(struct request *r, enum end_reason why, const char *message)
{
    const struct end_info *info = end_info(why);
    struct api_error error;
    api_error_set(&error, info->status, info->type, info->code, NULL, "%s", message);
    struct buf *out = r->stream ? begin_output(r) : NULL;
    if (out)
        deliver(r, tr_stream_fail(r->stream, &error, out), out, why);
    else
        request_end(r, why, &error);
}

/* From the upstream ----------------------------------------------------------------------- */

static bool is_ours(const struct shared *shared, struct str name)
{
    if (shared->config->requests_per_minute > 0 &&
        str_starts(name, STR("anthropic-ratelimit-requests-")))
        return true;
    return shared->config->tokens_per_minute > 0 &&
           (str_starts(name, STR("anthropic-ratelimit-tokens-")) ||
            str_starts(name, STR("anthropic-ratelimit-input-tokens-")));
}

static void take_headers(struct request *r, int status, const struct upstream_header *headers,
                         size_t n)
{
    const int64_t now_ms = clock_unix_ms();
    for (size_t i = 0; i < n; i++) {
        struct str name = headers[i].name, value = headers[i].value;
        if (str_eq(name, STR("request-id")) && value.n)
            snprintf(r->id, sizeof(r->id), "%.*s", (int)(value.n < 63 ? value.n : 63), value.p);
        if (!is_ours(r->worker->shared, name))
            tr_response_header(status, name, value, now_ms, &r->upstream_headers);
    }
    r->has_upstream_id = str_find(buf_str(&r->upstream_headers), STR("x-request-id: ")) >= 0;
}

static enum upstream_content content_of(int status, const struct upstream_header *headers, size_t n)
{
    if (status != 200)
        return CONTENT_ERROR;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(headers[i].name, STR("content-type")))
            continue;
        struct str rest = headers[i].value, type;
        if (!str_split(&rest, ';', &type))
            continue;
        type = str_trim(type);
        if (str_eq_nocase(type, STR("text/event-stream")))
            return CONTENT_EVENTS;
        if (str_eq_nocase(type, STR("application/json")))
            return CONTENT_MESSAGE;
    }
    return CONTENT_NONE;
}

static void begin_translation(struct request *r)
{
    const struct tr_request *t = &r->translated;
    r->stream_params = (struct tr_stream_params){
        .is_stream = t->is_stream,
        .include_usage = t->include_usage,
        .is_json_object = t->is_json_object,
        .is_structured = t->is_structured,
        .carries_content = t->carries_content,
        .created_unix_s = clock_unix_ms() / 1000,
        .metadata = t->metadata,
        .names = t->names,
        .tool_names = t->tool_names,
        .is_function_call = t->is_function_call,
    };
    r->stream = tr_stream_create(&r->stream_params);
    if (!r->stream)
        request_end(r, END_OUT_OF_MEMORY, NULL);
}

static void on_head(void *arg, int status, const struct upstream_header *headers, size_t n)
{
    struct request *r = arg;
    health_saw_status(&r->worker->shared->health, loop_now_us(r->worker->loop), status);
    r->upstream_status = status;
    buf_done(&r->translated.body); /* not sent again any more */
    take_headers(r, status, headers, n);
    r->content = content_of(status, headers, n);
    switch (r->content) {
    case CONTENT_NONE:
        relay_fail(r, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is not a message.");
        break;
    case CONTENT_ERROR:
        buf_init(&r->collected, ERROR_BYTES_MAX);
        break;
    case CONTENT_MESSAGE:
        buf_init(&r->collected, MESSAGE_BYTES_MAX);
        begin_translation(r);
        break;
    case CONTENT_EVENTS:
        begin_translation(r);
        break;
    }
    request_drive(r);
}

/* Its first bytes: a grammar is compiled by now, which was the one reason to be silent longer. */
static void take_first_data(struct request *r)
{
    r->has_data = true;
    upstream_set_idle_timeout(r->call, r->worker->shared->config->request_timeout_s * 1000);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct request *r = arg;
    if (r->end != END_NONE)
        return; /* behind the end of the answer nothing matters */
    struct buf *out;
    if (!r->has_data)
        take_first_data(r);
    switch (r->content) {
    case CONTENT_EVENTS:
        out = begin_output(r);
        if (out)
            deliver(r, tr_stream_feed(r->stream, (struct str){p, n}, out), out, END_UPSTREAM_ERROR);
        break;
    case CONTENT_MESSAGE:
        if (!buf_append(&r->collected, p, n))
            relay_fail(r, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is too large.");
        break;
    case CONTENT_ERROR:
        if (n > r->collected.max - r->collected.len)
            n = r->collected.max - r->collected.len; /* its beginning says enough */
        buf_append(&r->collected, p, n);
        break;
    case CONTENT_NONE:
        break;
    }
    request_drive(r);
}

static void end_with_upstream_error(struct request *r)
{
    struct tr_upstream_error e;
    tr_upstream_error(r->upstream_status, buf_str(&r->collected), r->translated.names, &e);
    r->is_final = e.is_final;
    snprintf(r->detail, sizeof(r->detail), "upstream status %d%s%s", r->upstream_status,
             e.error.code[0] ? " " : "", e.error.code);
    if (e.error.status != r->upstream_status)
        buf_printf(&r->upstream_headers, "x-anthropic-status: %d\r\n", r->upstream_status);
    request_end(r, END_UPSTREAM_ERROR, &e.error);
}

static void end_translation(struct request *r)
{
    struct buf *out = begin_output(r);
    if (!out)
        return;
    enum tr_state state = r->content == CONTENT_MESSAGE
                              ? tr_stream_feed_message(r->stream, buf_str(&r->collected), out)
                              : tr_stream_end(r->stream, out);
    deliver(r, state, out, END_UPSTREAM_DISCONNECTED);
    if (r->end == END_NONE)
        relay_fail(r, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is not whole.");
}

static void on_end(void *arg)
{
    struct request *r = arg;
    r->call = NULL;
    if (r->end == END_NONE) {
        if (r->stream)
            end_translation(r);
        else
            end_with_upstream_error(r);
    }
    request_drive(r);
}

static enum end_reason reason_of(enum upstream_failure why)
{
    switch (why) {
    case UPSTREAM_UNREACHABLE:
        return END_UPSTREAM_UNREACHABLE;
    case UPSTREAM_DISCONNECTED:
        return END_UPSTREAM_DISCONNECTED;
    case UPSTREAM_TIMED_OUT:
        return END_UPSTREAM_TIMEOUT;
    case UPSTREAM_BAD_ANSWER:
        return END_UPSTREAM_BAD_ANSWER;
    case UPSTREAM_CLOSING:
        break;
    }
    return END_SHUTDOWN;
}

static void on_fail(void *arg, enum upstream_failure why, const char *detail)
{
    struct request *r = arg;
    r->call = NULL;
    if (r->end == END_NONE) {
        if (why != UPSTREAM_CLOSING)
            health_saw_failure(&r->worker->shared->health, loop_now_us(r->worker->loop), why);
        const enum end_reason reason = reason_of(why);
        relay_fail(r, reason, end_info(reason)->message);
        snprintf(r->detail, sizeof(r->detail), "%s", detail ? detail : "");
    }
    request_drive(r);
}

/* STEP_SEND ------------------------------------------------------------------------------- */

enum go step_send(struct request *r)
{
    static const struct upstream_callbacks callbacks = {on_head, on_data, on_end, on_fail};
    const struct shared *shared = r->worker->shared;
    const struct tr_request *t = &r->translated;
    /* Borrowed by the call for as long as it may be sent again. */
    struct upstream_request *request = arena_alloc(&r->arena, sizeof(*request));
    struct upstream_header *headers =
        arena_alloc(&r->arena, UPSTREAM_HEADERS_MAX * sizeof(*headers));
    if (!request || !headers)
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    size_t n = upstream_headers_common(shared, headers);
    headers[n++] = (struct upstream_header){STR("accept"), STR("text/event-stream")};
    headers[n++] = (struct upstream_header){STR("content-type"), STR("application/json")};
    headers[n++] = (struct upstream_header){STR("anthropic-version"), str_of(t->version)};
    if (t->beta.n)
        headers[n++] = (struct upstream_header){STR("anthropic-beta"), t->beta};
    if (r->head.workspace_id.n)
        headers[n++] =
            (struct upstream_header){STR("anthropic-workspace-id"), r->head.workspace_id};
    int64_t timeout_ms = shared->config->request_timeout_s * 1000;
    if ((t->is_structured || t->has_strict_tools) && timeout_ms < GRAMMAR_TIMEOUT_MS)
        timeout_ms = GRAMMAR_TIMEOUT_MS;
    *request = (struct upstream_request){
        .method = STR("POST"),
        .path = STR("/v1/messages"),
        .headers = headers,
        .n_headers = n,
        .body = buf_str(&t->body),
        .idle_timeout_ms = timeout_ms,
    };
    r->call = upstream_start(r->worker->upstream, request, &callbacks, r);
    r->was_sent = r->call != NULL;
    return r->call ? GO_ON : request_end(r, END_OVERLOADED, NULL);
}

/* Letting go ------------------------------------------------------------------------------ */

void relay_cancel(struct request *r)
{
    if (r->call)
        upstream_cancel(r->call);
    r->call = NULL;
}

void relay_release(struct request *r)
{
    /* After the last event only the end of the body is missing: cancelling there would cost an
     * HTTP/1.1 upstream its connection. */
    const bool only_end_is_missing = r->end == END_DONE && r->content == CONTENT_EVENTS;
    if (!only_end_is_missing || atomic_load(&r->worker->shared->is_draining))
        relay_cancel(r);
    else
        relay_client_drained(r); /* a paused call would never end */
}

void relay_free(struct request *r)
{
    tr_stream_destroy(r->stream);
    r->stream = NULL;
    buf_done(&r->translated.body);
    buf_done(&r->collected);
}

int64_t relay_used_tokens(const struct request *r)
{
    int64_t used = 0;
    if (r->stream) {
        const struct tr_usage *u = tr_stream_usage(r->stream);
        used = u->input + u->cache_write + u->cache_read + u->output;
    }
    if (used > 0)
        return used;
    /* Nothing was counted. A call that was refused or never arrived cost nothing; one that was
     * cut off before the first count has cost its input, as far as we can tell. */
    const bool cost_nothing = !r->was_sent || r->upstream_status >= 400 ||
                              r->end == END_UPSTREAM_UNREACHABLE || r->end == END_OUT_OF_MEMORY;
    return cost_nothing ? 0 : r->ticket.tokens;
}

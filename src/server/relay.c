/*
 * Feeds what comes back from the upstream through the translators, one for each choice, and writes
 * what they give to the client. The client's status line is held until a translator has something
 * for it, so that a failure before that is a real HTTP error, or can be mended unseen.
 */
#include "server/relay.h"

#include "base/clock.h"
#include "server/answer.h"
#include "server/attempt.h"
#include "server/connection.h"
#include "server/keep_alive.h"
#include "server/outcome.h"
#include "server/response.h"
#include "server/retry.h"
#include "server/secrets.h"
#include "server/worker.h"
#include "translate/upstream_error.h"

/* A client with more than this waiting pauses its upstream. */
#define CLIENT_WAITING_MAX 262144
#define MESSAGE_BYTES_MAX  (16u << 20)
#define ERROR_BYTES_MAX    65536

#define EACH_OPEN_LEG(r, leg) EACH_LEG(r, leg) if (leg->call)

/* To the client --------------------------------------------------------------------------- */

static void send_bytes(struct request *r, struct buf *out, bool is_last)
{
    struct str piece;
    const bool has_head = r->status != 0;
    if (!has_head)
        r->is_chunked = !r->head.is_http_1_0;
    if (r->is_chunked)
        piece = response_frame_chunk(out, is_last);
    else
        piece = response_content(out);
    if (out->failed || (!has_head && !answer_begin_stream(r, piece))) {
        request_end(r, END_OUT_OF_MEMORY, NULL); /* what is missing must be seen to be missing */
        return;
    }
    if (has_head)
        connection_write(r->connection, piece);
    if (is_last)
        r->is_answer_complete = true;
    if (!r->is_paused && connection_waiting(r->connection) > CLIENT_WAITING_MAX) {
        r->is_paused = true;
        EACH_OPEN_LEG(r, leg)
        upstream_pause(leg->call);
    }
    keep_alive_restart(r);
}

/* A piece of the answer: from now on it cannot become another. */
static void send_piece(struct request *r, struct buf *out, bool is_last)
{
    r->has_begun = true;
    send_bytes(r, out, is_last);
}

void relay_client_drained(struct request *r)
{
    if (!r->is_paused)
        return;
    r->is_paused = false;
    EACH_OPEN_LEG(r, leg)
    upstream_resume(leg->call);
}

/* One choice is complete; with the last one the answer is. */
static void take_done(struct leg *leg, struct buf *out)
{
    struct request *r = leg->request;
    struct tr_stream *streams[TR_CHOICES_MAX];
    attempt_settle(leg);
    leg->is_done = true;
    attempt_remember(leg); /* the next request may come as soon as this answer is out */
    const bool is_last = ++r->n_done == r->n_legs;
    if (is_last && r->choices) {
        for (size_t i = 0; i < r->n_legs; i++)
            streams[i] = r->legs[i].stream;
        if (!tr_choices_write_end(streams, r->n_legs, out)) {
            request_end(r, END_OUT_OF_MEMORY, NULL);
            return;
        }
    }
    if (r->translated.is_stream)
        send_piece(r, out, is_last);
    else if (is_last)
        answer_json(r, 200, response_content(out));
    if (is_last)
        request_end(r, END_DONE, NULL);
}

static void write_error(const struct request *r, const struct api_error *error, struct buf *out)
{
    const struct tr_usage used = outcome_usage(r);
    tr_stream_write_error(error, &used, out);
}

/* The translator has taken what came; `out` holds what it gave. `why`: what a failure is called. */
static void deliver(struct leg *leg, enum tr_state state, struct buf *out, enum end_reason why)
{
    struct request *r = leg->request;
    if (out->failed) {
        request_end(r, END_OUT_OF_MEMORY, NULL);
        return;
    }
    switch (state) {
    case TR_WAITING:
        return;
    case TR_PAUSED: /* on_end goes on with it */
    case TR_FLOWING:
        if (r->translated.is_stream && out->len > RESPONSE_CHUNK_ROOM)
            send_piece(r, out, false);
        return;
    case TR_DONE:
        leg->is_to_repeat = attempt_may_repeat(leg); /* on_end does */
        if (!leg->is_to_repeat)
            take_done(leg, out);
        return;
    case TR_FAILED:
        break;
    }
    if (leg->spare) {
        take_done(leg, out);
        return;
    }
    const struct api_error *error = tr_stream_error(leg->stream);
    r->is_final = tr_stream_is_final(leg->stream);
    if (retry_call(leg, &(struct setback){error->status, r->is_final}))
        return;
    r->detail = arena_printf(&r->arena, "%s", error->code[0] ? error->code : error->type);
    if (r->status != 0) {
        /* One choice does not know of the others, nor of an answer that is comments so far. */
        if (r->choices || out->len == RESPONSE_CHUNK_ROOM)
            write_error(r, error, out);
        send_piece(r, out, true);
    }
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

/* Ends the request with an error in the form that its answer has by now. */
static void end_with(struct request *r, enum end_reason why, const struct api_error *error)
{
    struct buf *out = r->status != 0 ? begin_output(r) : NULL;
    if (r->end != END_NONE)
        return;
    if (out) {
        write_error(r, error, out);
        send_piece(r, out, true);
    }
    request_end(r, why, error);
}

void relay_fail(struct request *r, enum end_reason why, const char *message)
{
    const struct end_info *info = end_info(why);
    struct api_error error;
    api_error_set(&error, info->status, info->type, info->code, NULL, "%s", message);
    end_with(r, why, &error);
}

void relay_comment(struct request *r)
{
    struct buf *out = begin_output(r);
    if (!out)
        return;
    tr_stream_write_comment(out);
    send_bytes(r, out, false);
}

/* A call came to nothing. A whole answer from before it is better than an error. */
static bool take_earlier(struct leg *leg)
{
    if (!leg->spare && !leg->is_to_repeat)
        return false;
    struct buf *out = begin_output(leg->request);
    if (out)
        take_done(leg, out);
    return true;
}

static void fail_call(struct leg *leg, enum end_reason why, const char *message)
{
    if (!take_earlier(leg))
        relay_fail(leg->request, why, message);
}

static void cancel(struct leg *leg)
{
    upstream_cancel(leg->call);
    leg->call = NULL;
}

/* From the upstream ----------------------------------------------------------------------- */

static bool is_ours(const struct config *config, struct str name)
{
    if (config->requests_per_minute > 0 && str_starts(name, STR("anthropic-ratelimit-requests-")))
        return true;
    return config->tokens_per_minute > 0 &&
           (str_starts(name, STR("anthropic-ratelimit-tokens-")) ||
            str_starts(name, STR("anthropic-ratelimit-input-tokens-")));
}

/* As much of it as there is room for. */
static void keep_id(struct request *r, struct str id)
{
    size_t n = id.n < sizeof(r->id) - 1 ? id.n : sizeof(r->id) - 1;
    memcpy(r->id, id.p, n);
    r->id[n] = '\0';
}

static void take_headers(struct request *r, int status, const struct upstream_header *headers,
                         size_t n)
{
    const int64_t now_ms = clock_unix_ms();
    buf_reset(&r->upstream_headers);
    r->has_upstream_id = false;
    for (size_t i = 0; i < n; i++) {
        struct str name = headers[i].name, value = headers[i].value;
        const bool is_id = str_eq(name, STR("request-id"));
        const size_t len = r->upstream_headers.len;
        if (is_id && value.n)
            keep_id(r, value);
        if (!is_ours(&r->settings->config, name))
            tr_response_header(status, name, value, now_ms, &r->upstream_headers);
        r->has_upstream_id |= is_id && r->upstream_headers.len > len;
    }
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

static void begin_translation(struct leg *leg)
{
    struct request *r = leg->request;
    if (leg->stream)
        return; /* the answer goes on after a pause */
    const struct tr_request *t = &r->translated;
    leg->params = (struct tr_stream_params){
        .is_stream = t->is_stream,
        .include_usage = t->include_usage,
        .is_json_object = t->is_json_object,
        .is_structured = t->is_structured,
        .wanted = t->wanted,
        .carries_content = t->carries_content,
        .reasoning_forms = t->reasoning_forms,
        .anthropic_usage = t->anthropic_usage,
        .may_pause = t->may_pause,
        .created_unix_s = r->created_unix_s,
        .metadata = t->metadata,
        .choice = (unsigned)(leg - r->legs),
        .choices = r->choices,
        .names = t->names,
        .hide = secrets_hide_from_client,
        .hide_arg = r,
        .tool_names = t->tool_names,
        .is_function_call = t->is_function_call,
    };
    leg->stream = tr_stream_create(&leg->params);
    if (!leg->stream)
        request_end(r, END_OUT_OF_MEMORY, NULL);
}

/* For what decides about retries: the keys, the breaker, the leg itself. */
static void take_signs(struct leg *leg, int status, const struct upstream_header *headers, size_t n)
{
    struct request *r = leg->request;
    struct shared *shared = r->worker->shared;
    const int64_t now_us = loop_now_us(r->worker->loop);
    leg->status = status;
    leg->says_retry = upstream_says_retry(headers, n);
    /* Some 200s have one too, which is not about an overload that comes in their stream. */
    leg->retry_after_ms = status == 200 ? 0 : upstream_retry_after_ms(headers, n);
    health_saw_status(&shared->health, now_us, status);
    retry_saw_key(leg, status);
    metrics_saw_answer(&r->worker->metrics, status, NULL);
    retry_tell(r, status >= 500);
}

static void on_head(void *arg, int status, const struct upstream_header *headers, size_t n)
{
    struct leg *leg = arg;
    struct request *r = leg->request;
    take_signs(leg, status, headers, n);
    if (r->created_unix_s == 0)
        r->created_unix_s = clock_unix_ms() / 1000;
    if (status == 200) {
        attempt_accepted(r);
        keep_alive_begin(r);
    }
    /* An answer has the headers of the first of its choices, an error those that came with it. */
    if (r->status == 0 && !leg->spare && (status != 200 || r->upstream_headers.len == 0))
        take_headers(r, status, headers, n);
    leg->content = content_of(status, headers, n);
    switch (leg->content) {
    case CONTENT_NONE:
        fail_call(leg, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is not a message.");
        break;
    case CONTENT_ERROR:
        buf_init(&leg->collected, ERROR_BYTES_MAX);
        break;
    case CONTENT_MESSAGE:
        buf_init(&leg->collected, MESSAGE_BYTES_MAX);
        begin_translation(leg);
        break;
    case CONTENT_EVENTS:
        begin_translation(leg);
        break;
    }
    request_drive(r);
}

/* Its first bytes: a grammar is compiled by now, which was the one reason to be silent longer. */
static void take_first_data(struct leg *leg)
{
    const struct config *config = &leg->request->settings->config;
    leg->has_data = true;
    upstream_set_idle_timeout(leg->call, config->request_timeout_s * 1000);
}

static void take_events(struct leg *leg, struct str bytes)
{
    struct buf *out = begin_output(leg->request);
    if (!out)
        return;
    const enum tr_state state = tr_stream_feed(leg->stream, bytes, out);
    if (!leg->has_content && tr_stream_has_content(leg->stream))
        attempt_has_content(leg);
    deliver(leg, state, out, END_UPSTREAM_ERROR);
}

static void end_with_upstream_error(struct leg *leg)
{
    struct request *r = leg->request;
    if (take_earlier(leg))
        return;
    struct tr_upstream_error e;
    tr_upstream_error(leg->status, buf_str(&leg->collected), r->translated.names, &e);
    secrets_hide_from_client(r, &e.error);
    if (retry_call(leg, &(struct setback){e.error.status, e.is_final}))
        return;
    r->is_final = e.is_final;
    r->detail = arena_printf(&r->arena, "upstream status %d%s%s", leg->status,
                             e.error.code[0] ? " " : "", e.error.code);
    if (r->status == 0 && e.error.status != leg->status)
        buf_printf(&r->upstream_headers, "x-anthropic-status: %d\r\n", leg->status);
    end_with(r, END_UPSTREAM_ERROR, &e.error);
}

/* An answer that is an error, as much of it as there is: passes unseen, or ends the request. */
static void take_refusal(struct leg *leg)
{
    if (!attempt_again(leg->request, leg))
        end_with_upstream_error(leg);
}

/* Its beginning says enough: it may have no end. */
static void collect_refusal(struct leg *leg, const char *p, size_t n)
{
    const size_t room = leg->collected.max - leg->collected.len;
    if (buf_append(&leg->collected, p, n < room ? n : room) && n < room)
        return;
    cancel(leg);
    take_refusal(leg);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct leg *leg = arg;
    struct request *r = leg->request;
    if (r->end != END_NONE || leg->is_done || leg->is_to_repeat)
        return; /* behind the end of the answer nothing matters */
    if (!leg->has_data)
        take_first_data(leg);
    switch (leg->content) {
    case CONTENT_EVENTS:
        take_events(leg, (struct str){p, n});
        break;
    case CONTENT_MESSAGE:
        if (!buf_append(&leg->collected, p, n))
            fail_call(leg, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is too large.");
        break;
    case CONTENT_ERROR:
        collect_refusal(leg, p, n);
        break;
    case CONTENT_NONE:
        break;
    }
    request_drive(r);
}

static bool is_turn_paused(const struct leg *leg)
{
    return leg->stream && tr_stream_state(leg->stream) == TR_PAUSED;
}

static void end_translation(struct leg *leg)
{
    struct request *r = leg->request;
    struct buf *out = begin_output(r);
    if (!out)
        return;
    enum tr_state state = leg->content == CONTENT_MESSAGE
                              ? tr_stream_feed_message(leg->stream, buf_str(&leg->collected), out)
                              : tr_stream_end(leg->stream, out);
    deliver(leg, state, out, END_UPSTREAM_DISCONNECTED);
    const bool goes_on = leg->is_to_repeat || is_turn_paused(leg) || !leg->stream; /* a retry */
    if (r->end == END_NONE && !leg->is_done && !goes_on)
        fail_call(leg, END_UPSTREAM_BAD_ANSWER, "The upstream's answer is not whole.");
}

static void repeat(struct leg *leg)
{
    if (!attempt_repeat(leg))
        fail_call(leg, END_OVERLOADED, end_info(END_OVERLOADED)->message);
}

static void on_end(void *arg)
{
    struct leg *leg = arg;
    struct request *r = leg->request;
    leg->call = NULL;
    if (r->end == END_NONE && !leg->is_done && !leg->is_to_repeat) {
        if (leg->content != CONTENT_ERROR)
            end_translation(leg);
        else
            take_refusal(leg);
    }
    if (r->end == END_NONE && leg->is_to_repeat)
        repeat(leg);
    else if (r->end == END_NONE && is_turn_paused(leg))
        attempt_continue(leg);
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

/* The call came to nothing, and nothing says that the next one would. */
static void end_failed(struct leg *leg, enum upstream_failure why, const char *detail)
{
    struct request *r = leg->request;
    const enum end_reason reason = reason_of(why);
    if (why != UPSTREAM_CLOSING) {
        health_saw_failure(&r->worker->shared->health, loop_now_us(r->worker->loop), why);
        retry_tell(r, true);
    }
    const int status = leg->status >= 400 ? leg->status : end_info(reason)->status;
    const bool may_pass = why == UPSTREAM_UNREACHABLE || why == UPSTREAM_DISCONNECTED;
    if (may_pass && retry_call(leg, &(struct setback){status, false}))
        return;
    fail_call(leg, reason, end_info(reason)->message);
    r->detail = arena_printf(&r->arena, "%s", detail ? detail : "");
}

static void on_fail(void *arg, enum upstream_failure why, const char *detail)
{
    struct leg *leg = arg;
    struct request *r = leg->request;
    leg->call = NULL;
    metrics_saw_answer(&r->worker->metrics, 0, health_failure_word(why));
    if (r->end == END_NONE && is_turn_paused(leg) && why != UPSTREAM_CLOSING) {
        attempt_continue(leg); /* nothing of the answer is missing */
    } else if (r->end == END_NONE && leg->is_to_repeat && why != UPSTREAM_CLOSING) {
        repeat(leg); /* the same */
    } else if (r->end == END_NONE && leg->content == CONTENT_ERROR && why != UPSTREAM_CLOSING) {
        take_refusal(leg); /* its status has said what it is */
    } else if (r->end == END_NONE && !leg->is_done) {
        end_failed(leg, why, detail);
    }
    request_drive(r);
}

const struct upstream_callbacks relay_callbacks = {on_head, on_data, on_end, on_fail};

/* Letting go ------------------------------------------------------------------------------ */

void relay_cancel(struct request *r)
{
    EACH_OPEN_LEG(r, leg)
    cancel(leg);
}

void relay_release(struct request *r)
{
    /* After the last event only the end of the body is missing: cancelling there would cost an
     * HTTP/1.1 upstream its connection. */
    const bool may_wait = r->end == END_DONE && !atomic_load(&r->worker->shared->is_draining);
    EACH_OPEN_LEG(r, leg)
    if (!may_wait || leg->content != CONTENT_EVENTS)
        cancel(leg);
    EACH_LEG(r, leg)
    retry_forget(leg);
    keep_alive_end(r);
    relay_client_drained(r); /* a paused call would never end */
}

bool relay_is_open(const struct request *r)
{
    EACH_OPEN_LEG(r, leg)
    return true;
    return false;
}

void relay_free(struct request *r)
{
    EACH_LEG(r, leg)
    leg_reset(leg);
    retry_forget_try(r);
    buf_done(&r->translated.body);
}

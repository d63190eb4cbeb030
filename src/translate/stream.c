/*
 * Anthropic's events -> the answer: reads the event stream (or one whole message), keeps usage and
 * stop reason, and decides when the answer begins, ends or fails. What is said in between is
 * answer.c's.
 */
#include "translate/stream.h"

#include <stdlib.h>
#include <string.h>

#include "translate/answer.h"
#include "translate/resume.h"
#include "translate/sse.h"
#include "translate/upstream_error.h"
#include "translate/usage.h"

/* Of a refusal's explanation and category. */
#define REFUSAL_BYTES_MAX (64u << 10)
/* Chunks of a message that begins with content, before anything may go out. */
#define EARLY_BYTES_MAX (64u << 20)

/* More often than this an answer is not continued. */
#define PAUSES_MAX 10

struct tr_stream {
    enum tr_state state;
    enum tr_state paused_from; /* the state in front of TR_PAUSED */
    unsigned pauses;
    bool is_begun;      /* message_start was seen */
    bool has_bytes;     /* anything was seen */
    bool has_content;   /* an event behind message_start was seen */
    bool is_final;      /* trying again does not mend the error */
    const char *finish; /* finish_reason, once known */
    struct sse sse;
    struct answer answer;
    struct buf early;       /* chunks made before the answer may begin */
    struct tr_usage before; /* of upstream messages that ended, when one answer has several */
    struct tr_usage now;    /* of the current one */
    struct tr_usage total;
    struct raw_usage raw; /* the same, as the upstream says it */
    enum stop_reason stop;
    const char *service_tier;
    struct buf explanation, category; /* of a refusal */
    char *model;                      /* NULL until it is known */
    struct api_error *error;          /* owned; NULL in TR_FAILED when there was no memory for it */
};

enum event_kind {
    EVENT_UNNAMED,
    EVENT_PING,
    EVENT_MESSAGE_START,
    EVENT_BLOCK_START,
    EVENT_BLOCK_DELTA,
    EVENT_BLOCK_STOP,
    EVENT_MESSAGE_DELTA,
    EVENT_MESSAGE_STOP,
    EVENT_ERROR,
    EVENT_UNKNOWN /* to be ignored: new ones may come at any time */
};

static const struct api_error no_memory_error = {
    .status = 500, .type = "server_error", .message = "The server is out of memory."};

struct tr_stream *tr_stream_create(const struct tr_stream_params *params)
{
    struct tr_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    sse_init(&s->sse);
    buf_init(&s->early, EARLY_BYTES_MAX);
    buf_init(&s->explanation, REFUSAL_BYTES_MAX);
    buf_init(&s->category, REFUSAL_BYTES_MAX);
    raw_usage_init(&s->raw, params->anthropic_usage);
    if (!answer_init(&s->answer, params)) {
        tr_stream_destroy(s);
        return NULL;
    }
    return s;
}

void tr_stream_destroy(struct tr_stream *s)
{
    if (!s)
        return;
    sse_done(&s->sse);
    answer_done(&s->answer);
    buf_done(&s->early);
    buf_done(&s->explanation);
    buf_done(&s->category);
    raw_usage_done(&s->raw);
    free(s->model);
    free(s->error);
    free(s);
}

static bool is_over(const struct tr_stream *s)
{
    return s->state == TR_DONE || s->state == TR_FAILED;
}

static bool is_flowing(const struct tr_stream *s)
{
    return s->state == TR_FLOWING || (s->state == TR_PAUSED && s->paused_from == TR_FLOWING);
}

enum tr_state tr_stream_fail(struct tr_stream *s, const struct api_error *why, struct buf *out)
{
    if (is_over(s))
        return s->state;
    s->error = malloc(sizeof(*s->error));
    if (s->error)
        *s->error = *why;
    size_t at = out->len;
    if (is_flowing(s) && !s->answer.params->choices)
        chunk_write_error(why, &s->total, out);
    if (out->failed)
        out->len = at; /* half an event is worse than none */
    s->state = TR_FAILED;
    return s->state;
}

static void fail_with(struct tr_stream *s, const char *code, const char *message, struct buf *out)
{
    struct api_error e;
    api_error_set(&e, 502, "server_error", code, NULL, "%s", message);
    tr_stream_fail(s, &e, out);
}

static void fail_malformed(struct tr_stream *s, struct buf *out)
{
    fail_with(s, "bad_upstream_response", "The upstream's answer could not be read.", out);
}

/* Fails the stream if `err` says so. */
static void check(struct tr_stream *s, enum answer_err err, struct buf *out)
{
    switch (err) {
    case ANSWER_OK:
        return;
    case ANSWER_MALFORMED:
        fail_malformed(s, out);
        return;
    case ANSWER_TOO_LARGE:
        fail_with(s, "bad_upstream_response", "The upstream's answer is too large.", out);
        return;
    }
}

/*
 * The choices begin in the order of their indexes, whichever is first to have something to say:
 * OpenAI's Python SDK appends a choice when it first hears of it, and then finds it by its index.
 */
static void write_roles(struct tr_stream *s, struct buf *out)
{
    struct tr_choices *choices = s->answer.params->choices;
    const unsigned choice = s->answer.params->choice;
    if (!choices) {
        chunk_write_role(&s->answer.chunk, choice, out);
        return;
    }
    while (choices->n_begun <= choice)
        chunk_write_role(&s->answer.chunk, choices->n_begun++, out);
}

/*
 * The role chunk, and with it the status line, waits for the second event of the upstream: until
 * then an error can still be answered as what it is, or the request be tried again.
 */
static void begin_flow(struct tr_stream *s, struct buf *out)
{
    if (!s->is_begun)
        return;
    s->has_content = true;
    if (s->state != TR_WAITING || s->answer.whole)
        return;
    write_roles(s, out);
    buf_append_str(out, buf_str(&s->early));
    out->failed |= s->early.failed;
    buf_done(&s->early);
    s->state = TR_FLOWING;
}

/* Where chunks go now. */
static struct buf *sink(struct tr_stream *s, struct buf *out)
{
    return s->state == TR_WAITING ? &s->early : out;
}

static void read_usage(struct tr_stream *s, yyjson_val *usage)
{
    usage_read(&s->now, usage);
    raw_usage_read(&s->raw, usage);
    s->total = usage_sum(&s->before, &s->now);
    struct str tier = json_str(json_get(usage, "service_tier"));
    if (str_eq(tier, STR("priority")) || str_eq(json_str(json_get(usage, "speed")), STR("fast")))
        s->service_tier = "priority";
    else if (str_eq(tier, STR("standard")) || str_eq(tier, STR("batch")))
        s->service_tier = "default";
}

static void keep(struct buf *to, struct str text)
{
    buf_reset(to);
    if (text.n <= to->max) /* or it is left out: the default text stands in */
        buf_append_str(to, text);
}

/* `obj` says why the message ended, if it did: a message, or the delta of one. */
static void read_stop(struct tr_stream *s, yyjson_val *obj)
{
    struct str reason = json_str(json_get(obj, "stop_reason"));
    if (reason.n)
        s->stop = finish_read(reason);
    yyjson_val *details = json_get(obj, "stop_details");
    if (details) {
        keep(&s->explanation, json_str(json_get(details, "explanation")));
        keep(&s->category, json_str(json_get(details, "category")));
    }
}

static enum answer_err begin_message(struct tr_stream *s, yyjson_val *message, struct buf *out)
{
    if (s->is_begun) { /* the answer goes on in another message: same id, no new role */
        s->before = s->total;
        s->now = (struct tr_usage){0};
        raw_usage_next(&s->raw);
        s->stop = STOP_NONE;
        return answer_block_end(&s->answer, sink(s, out));
    }
    struct str id = json_str(json_get(message, "id"));
    struct str model = json_str(json_get(message, "model"));
    if (id.n > TR_NAME_BYTES_MAX || model.n > TR_NAME_BYTES_MAX)
        return ANSWER_MALFORMED;
    s->is_begun = true;
    s->model = malloc(model.n + 1);
    if (!s->model)
        return ANSWER_TOO_LARGE;
    if (model.n)
        memcpy(s->model, model.p, model.n);
    s->model[model.n] = '\0';
    return answer_begin(&s->answer, id, model);
}

/* A message at its start, or a whole one: some are complete from the start. */
static enum answer_err take_message(struct tr_stream *s, yyjson_val *message, struct buf *out)
{
    if (!yyjson_is_obj(message))
        return ANSWER_MALFORMED;
    enum answer_err err = begin_message(s, message, out);
    if (err)
        return err;
    read_usage(s, json_get(message, "usage"));
    read_stop(s, message);
    yyjson_val *content = json_get(message, "content"), *block;
    size_t i, n;
    yyjson_arr_foreach(content, i, n, block)
    {
        err = answer_block(&s->answer, (int64_t)i, block, sink(s, out));
        if (!err)
            err = answer_block_end(&s->answer, sink(s, out));
        if (err)
            return err;
    }
    return ANSWER_OK;
}

static bool pause(struct tr_stream *s)
{
    if (s->pauses == PAUSES_MAX || answer_paused(&s->answer, s->stop).n == 0)
        return false;
    s->pauses++;
    s->paused_from = s->state;
    s->state = TR_PAUSED;
    return true;
}

bool tr_stream_continue(struct tr_stream *s, struct str body, struct buf *ret)
{
    if (!resume_write(body, answer_paused(&s->answer, s->stop), ret))
        return false;
    sse_done(&s->sse);
    sse_init(&s->sse);
    s->state = s->paused_from;
    return true;
}

static void finish(struct tr_stream *s, struct buf *out)
{
    if (pause(s))
        return;
    begin_flow(s, out);
    const struct usage_report usage = {s->total, raw_usage_sum(&s->raw)};
    struct answer_end end = {.reason = s->stop,
                             .service_tier = s->service_tier,
                             .explanation = buf_str(&s->explanation),
                             .category = buf_str(&s->category),
                             .usage = &usage};
    enum answer_err err = answer_finish(&s->answer, &end, out, &s->finish);
    out->failed |= s->raw.has_no_memory;
    if (out->failed)
        return; /* settle() sees to it */
    check(s, err, out);
    if (!err)
        s->state = TR_DONE;
}

static enum event_kind kind_of(struct str name)
{
    static const struct {
        struct str name;
        enum event_kind kind;
    } kinds[] = {
#define KIND(name, kind) {{name, sizeof(name) - 1}, kind}
        KIND("content_block_delta", EVENT_BLOCK_DELTA),
        KIND("content_block_start", EVENT_BLOCK_START),
        KIND("content_block_stop", EVENT_BLOCK_STOP),
        KIND("ping", EVENT_PING),
        KIND("message_start", EVENT_MESSAGE_START),
        KIND("message_delta", EVENT_MESSAGE_DELTA),
        KIND("message_stop", EVENT_MESSAGE_STOP),
        KIND("error", EVENT_ERROR),
#undef KIND
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(kinds); i++)
        if (str_eq(name, kinds[i].name))
            return kinds[i].kind;
    return name.n ? EVENT_UNKNOWN : EVENT_UNNAMED;
}

static void take_error(struct tr_stream *s, struct str json, struct buf *out)
{
    struct tr_upstream_error e;
    const struct tr_stream_params *params = s->answer.params;
    tr_upstream_error(0, json, params->names, &e);
    if (params->hide)
        params->hide(params->hide_arg, &e.error);
    s->is_final = e.is_final;
    tr_stream_fail(s, &e.error, out);
}

static enum answer_err take_block_start(struct tr_stream *s, yyjson_val *event, struct buf *out)
{
    int64_t index = -1;
    json_to_int(json_get(event, "index"), &index);
    return answer_block(&s->answer, index, json_get(event, "content_block"), out);
}

static enum answer_err take_delta(struct tr_stream *s, yyjson_val *event, struct buf *out)
{
    struct delta delta;
    if (!delta_read(event, &delta))
        return ANSWER_MALFORMED;
    return answer_delta(&s->answer, &delta, out);
}

/* An event of a message that has begun. */
static enum answer_err take_content(struct tr_stream *s, enum event_kind kind, yyjson_val *event,
                                    struct buf *out)
{
    switch (kind) {
    case EVENT_BLOCK_START:
        return take_block_start(s, event, out);
    case EVENT_BLOCK_DELTA:
        return take_delta(s, event, out);
    case EVENT_BLOCK_STOP:
        return answer_block_end(&s->answer, out);
    case EVENT_MESSAGE_DELTA:
        read_usage(s, json_get(event, "usage"));
        read_stop(s, json_get(event, "delta"));
        return ANSWER_OK;
    case EVENT_MESSAGE_STOP:
        finish(s, out);
        return ANSWER_OK;
    case EVENT_UNNAMED:
    case EVENT_PING:
    case EVENT_MESSAGE_START:
    case EVENT_ERROR:
    case EVENT_UNKNOWN:
        break;
    }
    return ANSWER_OK;
}

/* An event whose JSON is parsed; `kind` is what its name says. */
static void take_parsed(struct tr_stream *s, enum event_kind kind, yyjson_val *event,
                        struct buf *out)
{
    struct str type = json_str(json_get(event, "type"));
    if (type.n && kind != EVENT_ERROR)
        kind = kind_of(type);
    if (kind == EVENT_PING)
        return;
    if (kind == EVENT_MESSAGE_START) {
        check(s, take_message(s, json_get(event, "message"), out), out);
        return;
    }
    begin_flow(s, out);
    if (s->is_begun)
        check(s, take_content(s, kind, event, out), out);
    else if (kind != EVENT_UNNAMED && kind != EVENT_UNKNOWN)
        fail_malformed(s, out); /* a piece of nothing: without it the answer would not be whole */
}

/* The events that need no tree; false = this one does. */
static bool take_unparsed(struct tr_stream *s, enum event_kind kind, struct str data,
                          struct buf *out)
{
    struct delta delta;
    switch (kind) {
    case EVENT_PING:
        if (s->state == TR_FLOWING)
            chunk_write_ping(out);
        return true;
    case EVENT_UNKNOWN:
        begin_flow(s, out);
        return true;
    case EVENT_ERROR:
        take_error(s, data, out);
        return true;
    case EVENT_UNNAMED:
    case EVENT_BLOCK_DELTA:
        if (!s->is_begun || s->answer.params->is_json_object || !delta_scan(data, &delta))
            return false;
        begin_flow(s, out);
        check(s, answer_delta(&s->answer, &delta, out), out);
        return true;
    case EVENT_MESSAGE_START:
    case EVENT_BLOCK_START:
    case EVENT_BLOCK_STOP:
    case EVENT_MESSAGE_DELTA:
    case EVENT_MESSAGE_STOP:
        break;
    }
    return false;
}

static void fail_unread(struct tr_stream *s, const struct json_error *why, struct buf *out)
{
    if (why->is_memory)
        tr_stream_fail(s, &no_memory_error, out);
    else
        fail_malformed(s, out);
}

static void take_event(struct tr_stream *s, const struct sse_event *event, struct buf *out)
{
    enum event_kind kind = kind_of(event->name);
    if (take_unparsed(s, kind, event->data, out))
        return;
    struct json_error json_error;
    yyjson_doc *doc = json_parse(event->data, &json_error);
    if (!doc) {
        fail_unread(s, &json_error, out);
        return;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool is_error = str_eq(json_str(json_get(root, "type")), STR("error")) ||
                    (kind == EVENT_UNNAMED && yyjson_is_obj(json_get(root, "error")));
    if (is_error)
        take_error(s, event->data, out);
    else
        take_parsed(s, kind, root, out);
    yyjson_doc_free(doc);
}

/*
 * Ends a call that began with `from` bytes in `out`. What the caller cannot be given whole must not
 * look like success: without memory all that this call wrote is taken back, and the stream fails.
 */
static enum tr_state settle(struct tr_stream *s, enum tr_state before, size_t from, struct buf *out)
{
    if (!out->failed && !s->early.failed && !s->explanation.failed && !s->category.failed)
        return s->state;
    out->len = from;
    out->failed = false;
    free(s->error); /* of another failure in the same call, whose chunk was taken back */
    s->error = NULL;
    s->is_final = false;
    s->state = before;
    return tr_stream_fail(s, &no_memory_error, out);
}

enum tr_state tr_stream_feed(struct tr_stream *s, struct str bytes, struct buf *out)
{
    if (is_over(s) || s->state == TR_PAUSED)
        return s->state;
    struct sse_event event;
    enum tr_state before = s->state;
    size_t from = out->len;
    s->has_bytes |= bytes.n > 0;
    while (!is_over(s) && s->state != TR_PAUSED) {
        enum sse_result result = sse_next(&s->sse, &bytes, &event);
        if (result == SSE_MORE)
            break;
        if (result == SSE_EVENT)
            take_event(s, &event, out);
        else
            fail_with(s, "bad_upstream_response", "An event of the upstream is too large.", out);
    }
    return settle(s, before, from, out);
}

static void take_whole(struct tr_stream *s, struct str json, yyjson_val *root, struct buf *out)
{
    struct str type = json_str(json_get(root, "type"));
    if (str_eq(type, STR("error")) || json_get(root, "error")) {
        take_error(s, json, out);
        return;
    }
    if (!str_eq(type, STR("message"))) {
        fail_malformed(s, out);
        return;
    }
    check(s, take_message(s, root, out), out);
    if (!is_over(s))
        finish(s, out);
}

enum tr_state tr_stream_feed_message(struct tr_stream *s, struct str json, struct buf *out)
{
    if (is_over(s))
        return s->state;
    enum tr_state before = s->state;
    size_t from = out->len;
    struct json_error json_error;
    yyjson_doc *doc = json_parse(json, &json_error);
    if (doc)
        take_whole(s, json, yyjson_doc_get_root(doc), out);
    else
        fail_unread(s, &json_error, out);
    yyjson_doc_free(doc);
    return settle(s, before, from, out);
}

enum tr_state tr_stream_end(struct tr_stream *s, struct buf *out)
{
    if (is_over(s) || s->state == TR_PAUSED)
        return s->state;
    enum tr_state before = s->state;
    size_t from = out->len;
    if (s->is_begun && s->stop != STOP_NONE)
        finish(s, out);
    else if (!s->is_begun && s->has_bytes)
        fail_malformed(s, out);
    else
        fail_with(s, "upstream_disconnected",
                  "The upstream closed the connection before the answer was complete.", out);
    return settle(s, before, from, out);
}

bool tr_choices_write_end(struct tr_stream *const streams[], size_t n, struct buf *out)
{
    const struct completion *whole[TR_CHOICES_MAX] = {streams[0]->answer.whole};
    struct usage_report usage = {.counts = streams[0]->total};
    for (size_t i = 1; i < n; i++) {
        whole[i] = streams[i]->answer.whole;
        usage.counts = usage_sum(&usage.counts, &streams[i]->total);
        raw_usage_add(&streams[0]->raw, &streams[i]->raw);
    }
    usage.upstream = raw_usage_sum(&streams[0]->raw);
    if (streams[0]->raw.has_no_memory)
        return false;
    if (whole[0])
        return completion_write(whole, n, &usage, out);
    chunk_write_end(&streams[0]->answer.chunk, &usage, out);
    return !out->failed;
}

void tr_stream_write_error(const struct api_error *error, const struct tr_usage *used,
                           struct buf *out)
{
    chunk_write_error(error, used, out);
}

void tr_stream_write_comment(struct buf *out)
{
    chunk_write_ping(out);
}

enum tr_state tr_stream_state(const struct tr_stream *s)
{
    return s->state;
}

const struct api_error *tr_stream_error(const struct tr_stream *s)
{
    return s->error ? s->error : &no_memory_error;
}

bool tr_stream_has_content(const struct tr_stream *s)
{
    return s->has_content;
}

bool tr_stream_is_final(const struct tr_stream *s)
{
    return s->is_final;
}

bool tr_stream_memo(struct tr_stream *s, const struct tr_place *place, struct digest *ret_key,
                    struct str *ret_content)
{
    return s->state == TR_DONE && s->stop != STOP_REFUSAL &&
           answer_memo(&s->answer, place, ret_key, ret_content);
}

const struct tr_usage *tr_stream_usage(const struct tr_stream *s)
{
    return &s->total;
}

struct str tr_stream_model(const struct tr_stream *s)
{
    return str_of(s->model);
}

struct str tr_stream_unmet(const struct tr_stream *s)
{
    return buf_str(&s->answer.unmet);
}

void tr_stream_add_usage(struct tr_stream *s, const struct tr_usage *usage)
{
    s->before = usage_sum(&s->before, usage);
    s->total = usage_sum(&s->total, usage);
}

struct str tr_stream_finish_reason(const struct tr_stream *s)
{
    return str_of(s->finish);
}

/*
 * STEP_TRANSLATE, STEP_SEND, and the way back from an error that can be mended.
 */
#include "server/attempt.h"

#include "observe/count.h"
#include "server/relay.h"
#include "server/retry.h"
#include "server/upstream_headers.h"
#include "server/worker.h"

/* Refusals that are mended for one request. */
#define AMENDMENTS_MAX 2
/* With a new output format the upstream may be silent while it compiles a grammar. */
#define GRAMMAR_TIMEOUT_MS 200000

/* Translation ----------------------------------------------------------------------------- */

/* Copies `s` into the arena when it points into the client's body, which does not stay. */
static void own(struct request *r, struct str *s)
{
    const char *start = r->body.data;
    if (s->n && start && s->p >= start && s->p < start + r->body.len)
        *s = arena_strdup(&r->arena, *s);
}

static bool recall(void *arg, struct digest key, struct buf *ret)
{
    const struct request *r = arg;
    return thinking_memory_recall(r->worker->shared->memory, loop_now_us(r->worker->loop),
                                  r->tenant, key, ret);
}

static bool translate(struct request *r, struct tr_request *ret, struct api_error *error)
{
    const struct tr_memory memory = {.key = r->tenant, .recall = recall, .arg = r};
    struct tr_policy policy = r->settings->policy;
    policy.amend = r->amend;
    policy.fallback_model = r->fallback;
    if (r->worker->shared->memory)
        policy.memory = &memory;
    if (!tr_request(&r->arena, &policy, models_current(r->worker), buf_str(&r->body), ret, error))
        return false;
    own(r, &ret->asked_model);
    own(r, &ret->model);
    own(r, &ret->beta);
    own(r, &ret->metadata);
    own(r, &ret->ignored);
    own(r, &ret->modified);
    return true;
}

static enum go end_refused(struct request *r, const struct api_error *error)
{
    const bool is_model = error->status == 404;
    return request_end(r, is_model ? END_MODEL_NOT_FOUND : END_INVALID_REQUEST, error);
}

/* Translates, and once more where others have learned something of the model that serves. */
static bool translate_as_learned(struct request *r, struct tr_request *ret, struct api_error *error)
{
    if (!translate(r, ret, error))
        return false;
    /* Only now the model is known. */
    const struct tr_amend known =
        learned_of(&r->worker->shared->learned, loop_now_us(r->worker->loop), ret->model);
    if (!tr_amend_add(&r->amend, known))
        return true;
    buf_done(&ret->body);
    return translate(r, ret, error);
}

enum go step_translate(struct request *r)
{
    struct api_error error;
    if (!translate_as_learned(r, &r->translated, &error))
        return end_refused(r, &error);
    r->has_translated = true;
    if (r->translated.is_succeeded) {
        struct shared *shared = r->worker->shared;
        struct str asked = r->translated.asked_model;
        succession_log(&shared->succession, asked.n ? asked : r->settings->policy.default_model,
                       r->translated.model);
    }
    return GO_ON;
}

/* Sending --------------------------------------------------------------------------------- */

static bool make_legs(struct request *r)
{
    const size_t n = (size_t)r->translated.n_choices;
    r->legs = arena_alloc(&r->arena, n * sizeof(*r->legs));
    /* With them an answer is not written before it is known which. */
    const bool has_choices = n > 1 || r->translated.wanted.may_repeat;
    if (has_choices)
        r->choices = arena_alloc(&r->arena, sizeof(*r->choices));
    if (!r->legs || (has_choices && !r->choices))
        return false;
    for (size_t i = 0; i < n; i++) {
        r->legs[i].request = r;
        r->legs[i].params = (struct tr_stream_params){.choice = (unsigned)i};
    }
    r->n_legs = n;
    return true;
}

static size_t write_headers(const struct leg *leg, struct upstream_header headers[])
{
    const struct request *r = leg->request;
    const struct tr_request *t = &r->translated;
    size_t n = upstream_headers_common(&r->settings->keys, leg->key, headers);
    headers[n++] = (struct upstream_header){STR("accept"), STR("text/event-stream")};
    headers[n++] = (struct upstream_header){STR("content-type"), STR("application/json")};
    headers[n++] = (struct upstream_header){STR("anthropic-version"), str_of(t->version)};
    if (t->beta.n)
        headers[n++] = (struct upstream_header){STR("anthropic-beta"), t->beta};
    if (r->head.workspace_id.n)
        headers[n++] =
            (struct upstream_header){STR("anthropic-workspace-id"), r->head.workspace_id};
    return n;
}

/* What the call borrows for as long as it may be sent again is in the arena. */
static bool make_request(struct leg *leg, struct str body, struct upstream_request *ret)
{
    struct request *r = leg->request;
    const struct tr_request *t = &r->translated;
    struct upstream_header headers[UPSTREAM_HEADERS_MAX];
    const size_t n = write_headers(leg, headers);
    struct upstream_header *kept = arena_alloc(&r->arena, n * sizeof(*kept));
    if (!kept)
        return false;
    memcpy(kept, headers, n * sizeof(*kept));
    int64_t timeout_ms = r->settings->config.request_timeout_s * 1000;
    if ((t->is_structured || t->has_strict_tools) && timeout_ms < GRAMMAR_TIMEOUT_MS)
        timeout_ms = GRAMMAR_TIMEOUT_MS;
    *ret = (struct upstream_request){
        .method = STR("POST"),
        .path = STR("/v1/messages"),
        .headers = kept,
        .n_headers = n,
        .body = body,
        .idle_timeout_ms = timeout_ms,
    };
    return true;
}

static void choose_key(struct leg *leg)
{
    const struct request *r = leg->request;
    const struct upstream_keys *keys = &r->settings->keys;
    leg->key = upstream_keys_choose(keys, loop_now_us(r->worker->loop), r->translated.conversation,
                                    leg->tried_keys);
    if (leg->key < UPSTREAM_KEYS_MAX)
        leg->tried_keys |= UINT64_C(1) << leg->key;
}

static bool start(struct leg *leg, struct str body)
{
    struct upstream_request request;
    if (!make_request(leg, body, &request))
        return false;
    leg->call = upstream_start(leg->request->worker->upstream, &request, &relay_callbacks, leg);
    leg->was_sent = leg->call != NULL;
    if (leg->call && leg->request->sent_us == 0)
        leg->request->sent_us = loop_now_us(leg->request->worker->loop);
    count_add(&leg->request->worker->metrics.attempts, leg->was_sent);
    leg->has_data = false;
    return leg->call != NULL;
}

enum go step_send(struct request *r)
{
    if (!r->legs && !make_legs(r))
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    if (!retry_is_upstream_up(r))
        return request_end(r, END_UPSTREAM_DOWN, NULL);
    if (r->attempts++ == 0)
        retry_budget_earn(&r->worker->shared->retry_budget);
    for (size_t i = 0; i < r->n_legs; i++) {
        choose_key(&r->legs[i]);
        if (!start(&r->legs[i], buf_str(&r->translated.body)))
            return request_end(r, END_OVERLOADED, NULL);
    }
    return GO_ON;
}

void attempt_retry(void *arg)
{
    struct leg *leg = arg;
    struct request *r = leg->request;
    choose_key(leg);
    if (!retry_is_upstream_up(r))
        relay_fail(r, END_UPSTREAM_DOWN, end_info(END_UPSTREAM_DOWN)->message);
    else if (!start(leg, buf_str(&r->translated.body)))
        relay_fail(r, END_OVERLOADED, end_info(END_OVERLOADED)->message);
    request_drive(r);
}

/* Another call for a leg whose last one is over. */
static bool start_another(struct leg *leg, struct str body)
{
    struct request *r = leg->request;
    buf_done(&leg->collected);
    leg->status = 0;
    leg->content = CONTENT_NONE;
    if (!start(leg, body))
        return false;
    if (r->is_paused)
        upstream_pause(leg->call);
    return true;
}

void attempt_continue(struct leg *leg)
{
    struct request *r = leg->request;
    struct buf body;
    buf_init(&body, TR_BODY_MAX);
    const bool is_written = tr_stream_continue(leg->stream, buf_str(&r->translated.body), &body);
    buf_done(&leg->body);
    leg->body = body;
    r->continuations++;
    if (!is_written)
        relay_fail(r, END_OUT_OF_MEMORY, end_info(END_OUT_OF_MEMORY)->message);
    else if (!start_another(leg, buf_str(&leg->body)))
        relay_fail(r, END_OVERLOADED, end_info(END_OVERLOADED)->message);
}

/* Another answer -------------------------------------------------------------------------- */

bool attempt_may_repeat(const struct leg *leg)
{
    return leg->request->translated.wanted.may_repeat && !leg->was_repeated &&
           tr_stream_unmet(leg->stream).n > 0;
}

bool attempt_repeat(struct leg *leg)
{
    struct request *r = leg->request;
    leg->is_to_repeat = false;
    leg->was_repeated = true;
    leg->spare = leg->stream;
    leg->stream = NULL;
    buf_done(&leg->body);
    r->repeats++;
    return start_another(leg, buf_str(&r->translated.body));
}

/* Whether an answer says nothing that the one before it did not say better. */
static bool is_worse(const struct tr_stream *s)
{
    if (!s || tr_stream_state(s) != TR_DONE)
        return true;
    struct str reason = tr_stream_finish_reason(s);
    return str_eq(reason, STR("length")) || str_eq(reason, STR("content_filter"));
}

void attempt_settle(struct leg *leg)
{
    leg->is_to_repeat = false;
    leg->was_repeated = true;
    if (!leg->spare)
        return;
    struct tr_stream *dropped = leg->spare;
    if (is_worse(leg->stream)) {
        dropped = leg->stream;
        leg->stream = leg->spare;
    }
    leg->spare = NULL;
    if (dropped)
        tr_stream_add_usage(leg->stream, tr_stream_usage(dropped));
    tr_stream_destroy(dropped);
}

/* Once more ------------------------------------------------------------------------------- */

void leg_reset(struct leg *leg)
{
    if (leg->call)
        upstream_cancel(leg->call);
    leg->call = NULL;
    leg->was_sent = leg->has_content = false;
    leg->status = 0;
    leg->content = CONTENT_NONE;
    buf_done(&leg->body);
    buf_done(&leg->collected);
    tr_stream_destroy(leg->stream);
    tr_stream_destroy(leg->spare);
    leg->stream = leg->spare = NULL;
}

static bool is_same(const struct tr_request *a, const struct tr_request *b)
{
    return str_eq(buf_str(&a->body), buf_str(&b->body)) &&
           str_eq(str_of(a->version), str_of(b->version)) && str_eq(a->beta, b->beta);
}

bool attempt_is_accepted(const struct request *r)
{
    for (size_t i = 0; i < r->n_legs; i++)
        if (r->legs[i].status == 200)
            return true;
    return false;
}

/* All calls are over; the request goes on with STEP_SEND, as `again` has it. */
static void send_instead(struct request *r, const struct tr_request *again)
{
    for (size_t i = 0; i < r->n_legs; i++) {
        leg_reset(&r->legs[i]);
        retry_forget(&r->legs[i]);
        r->legs[i].tried_keys = 0; /* it stays with its key */
    }
    buf_done(&r->translated.body);
    r->translated = *again;
    buf_reset(&r->upstream_headers);
    r->has_upstream_id = false;
    request_send_again(r);
}

bool attempt_again(struct request *r, const struct leg *leg)
{
    struct tr_amend lesson;
    struct tr_request again;
    struct api_error error;
    if (r->status != 0 || r->amendments >= AMENDMENTS_MAX || r->continuations > 0 ||
        r->repeats > 0 || attempt_is_accepted(r) ||
        !tr_amend_from_error(leg->status, buf_str(&leg->collected), &lesson) ||
        !tr_amend_add(&r->amend, lesson) || !translate(r, &again, &error))
        return false;
    if (is_same(&again, &r->translated)) {
        buf_done(&again.body); /* it would be refused again */
        return false;
    }
    tr_amend_add(&r->lessons, lesson);
    r->amendments++;
    metrics_saw_retry(&r->worker->metrics, "amendment", leg->status, 0);
    send_instead(r, &again);
    return true;
}

/* The next of FALLBACK_MODELS that is not what was just tried. */
static bool next_fallback(struct request *r)
{
    struct str rest = str_of(r->settings->config.fallback_models), model;
    for (size_t i = 0; str_split(&rest, ',', &model); i++) {
        if (i < r->n_fallbacks)
            continue;
        r->n_fallbacks++;
        r->fallback = str_trim(model);
        if (r->fallback.n && !str_eq(r->fallback, r->translated.model))
            return true;
    }
    return false;
}

static bool has_begun(const struct request *r)
{
    for (size_t i = 0; i < r->n_legs; i++)
        if (r->legs[i].has_content || r->legs[i].is_done)
            return true;
    return false;
}

bool attempt_fall_back(struct request *r)
{
    struct tr_request again;
    struct api_error error;
    if (r->status != 0 || has_begun(r) || r->body.len == 0)
        return false;
    while (next_fallback(r)) {
        r->amend.refuses &= TR_REFUSALS_OF_REQUEST | TR_REFUSALS_OF_UPSTREAM;
        if (!translate_as_learned(r, &again, &error))
            continue; /* not every model can do everything */
        send_instead(r, &again);
        return true;
    }
    return false;
}

void attempt_accepted(struct request *r)
{
    if (r->amendments > 0)
        learned_add(&r->worker->shared->learned, loop_now_us(r->worker->loop), r->translated.model,
                    r->amend);
}

void attempt_has_content(struct leg *leg)
{
    struct request *r = leg->request;
    leg->has_content = true;
    if (r->content_us == 0)
        r->content_us = loop_now_us(r->worker->loop);
    for (size_t i = 0; i < r->n_legs; i++)
        if (!r->legs[i].has_content)
            return;
    request_free_body(r);
    if (!r->translated.may_pause && !r->translated.wanted.may_repeat)
        buf_done(&r->translated.body);
}

void attempt_remember(struct leg *leg)
{
    struct request *r = leg->request;
    struct digest key;
    struct str content;
    if (!r->translated.place.is_kept ||
        !tr_stream_memo(leg->stream, &r->translated.place, &key, &content))
        return;
    r->evicted += thinking_memory_keep(r->worker->shared->memory, loop_now_us(r->worker->loop),
                                       r->tenant, key, content);
}

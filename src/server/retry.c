/*
 * Whether, when and how a failed call is made again.
 */
#include "server/retry.h"

#include "base/id.h"
#include "base/log.h"
#include "observe/count.h"
#include "server/attempt.h"
#include "server/relay.h"
#include "server/worker.h"

static bool is_passing(int status)
{
    return status == 408 || status == 409 || status == 429 || status >= 500;
}

static bool is_of_key(const struct setback *why)
{
    return why->status == 401 || why->status == 403 || why->status == 429;
}

/* What says that the model, not the upstream as a whole, has no room. */
static bool is_overload(const struct setback *why)
{
    return why->status == 429 || why->status == 503 || why->status == 529;
}

void retry_saw_key(struct leg *leg, int status)
{
    struct worker *w = leg->request->worker;
    if (upstream_keys_saw(&leg->request->settings->keys, leg->key, loop_now_us(w->loop), status,
                          leg->retry_after_ms))
        count_add(&w->metrics.cooldowns[leg->key], 1);
}

/* Nothing of the answer has come or gone, and somebody still wants it. */
static bool may_try(const struct leg *leg)
{
    const struct request *r = leg->request;
    return r->end == END_NONE && r->connection && !r->has_begun && !leg->has_content &&
           !leg->spare && leg->body.len == 0 && !atomic_load(&r->worker->shared->is_draining);
}

/* Few calls fail: most legs never have one. */
static bool has_timer(struct leg *leg)
{
    struct request *r = leg->request;
    if (leg->retry_timer)
        return true;
    leg->retry_timer = arena_alloc(&r->arena, sizeof(*leg->retry_timer));
    if (leg->retry_timer)
        timer_init(leg->retry_timer, r->worker->loop, attempt_retry, leg);
    return leg->retry_timer != NULL;
}

static void wait(struct leg *leg, const char *how, const struct setback *why, int64_t delay_ms)
{
    struct request *r = leg->request;
    metrics_saw_retry(&r->worker->metrics, how, why->status, delay_ms);
    r->retry_wait_ms += delay_ms;
    leg_reset(leg);
    buf_reset(&r->upstream_headers); /* those of the failure */
    r->has_upstream_id = false;
    r->retries++;
    timer_start(leg->retry_timer, delay_ms);
}

/* With a key that has not been tried and is well: at once, for nothing has to pass. */
static bool with_another_key(struct leg *leg, const struct setback *why)
{
    const int64_t now_us = loop_now_us(leg->request->worker->loop);
    if (why->is_final && is_of_key(why)) /* out of credit is not told by the status alone */
        retry_saw_key(leg, 403);
    if (!is_of_key(why) ||
        !upstream_keys_has_another(&leg->request->settings->keys, now_us, leg->tried_keys))
        return false;
    wait(leg, "another_key", why, 0);
    return true;
}

/* How long to pause; -1: longer than the client should wait. */
static int64_t pause_ms(const struct leg *leg)
{
    const struct request *r = leg->request;
    const struct config *config = &r->settings->config;
    const int64_t waited_ms = (loop_now_us(r->worker->loop) - r->started_us - r->waited_us) / 1000;
    int64_t pause = retry_backoff_ms(leg->pauses + 1, id_chance());
    if (leg->retry_after_ms > config->retry_after_max_s * 1000)
        return -1;
    if (pause < leg->retry_after_ms)
        pause = leg->retry_after_ms + pause / 8; /* who was told the same comes back spread */
    return waited_ms + pause > config->request_timeout_s * 1000 ? -1 : pause;
}

static bool after_a_pause(struct leg *leg, const struct setback *why)
{
    struct shared *shared = leg->request->worker->shared;
    const bool may_pass = leg->says_retry != SAYS_NO && !why->is_final &&
                          (is_passing(why->status) || leg->says_retry == SAYS_YES);
    const int64_t pause = pause_ms(leg);
    if (!may_pass || pause < 0 || leg->pauses >= (unsigned)leg->request->settings->config.retries ||
        !retry_budget_spend(&shared->retry_budget))
        return false;
    leg->pauses++;
    leg->tried_keys = 0; /* each may be tried again by then */
    wait(leg, "pause", why, pause);
    return true;
}

bool retry_call(struct leg *leg, const struct setback *why)
{
    if (!may_try(leg) || !has_timer(leg))
        return false;
    if (with_another_key(leg, why) || after_a_pause(leg, why))
        return true;
    if (!is_overload(why) || !attempt_fall_back(leg->request))
        return false;
    metrics_saw_retry(&leg->request->worker->metrics, "fallback", why->status, 0);
    return true;
}

void retry_forget(struct leg *leg)
{
    if (leg->retry_timer)
        timer_done(leg->retry_timer);
}

/* The breaker ----------------------------------------------------------------------------- */

bool retry_is_upstream_up(struct request *r)
{
    struct shared *shared = r->worker->shared;
    if (!r->settings->config.circuit_breaker)
        return true;
    switch (breaker_ask(&shared->breaker, loop_now_us(r->worker->loop), &r->wait_ms)) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_TRY:
        r->is_breaker_try = true;
        return true;
    case BREAKER_OPEN:
        break;
    }
    return false;
}

void retry_tell(struct request *r, bool failed)
{
    struct shared *shared = r->worker->shared;
    const bool was_try = r->is_breaker_try;
    r->is_breaker_try = false;
    if (failed && !r->settings->config.circuit_breaker)
        return; /* a success is told: it closes one that was open before a reload */
    if (!breaker_tell(&shared->breaker, loop_now_us(r->worker->loop), failed, was_try))
        return;
    count_add(&r->worker->metrics.breaker_opened, failed);
    log_line(LOG_WARNING,
             failed ? "the upstream is down: requests are refused" : "the upstream is back",
             LOG_Z("upstream", shared->upstream.origin.authority));
}

void retry_forget_try(struct request *r)
{
    if (r->is_breaker_try)
        breaker_forget(&r->worker->shared->breaker, loop_now_us(r->worker->loop));
    r->is_breaker_try = false;
}

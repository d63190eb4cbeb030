/*
 * STEP_ADMIT and STEP_RESERVE. Whoever gives something back, or sees the time come, serves those
 * who wait (under the lock) and calls the workers whose requests they are; each goes on with its
 * own. The worker of who is next watches the clock for all.
 */
#include "server/waiting.h"

#include <stdio.h>
#include <unistd.h>

#include "observe/count.h"
#include "server/worker.h"

/* When to come back, where nobody knows: how long answers will take, or those who are in front. */
#define UNKNOWN_WAIT_MS 1000

/* What a request takes from the limits. */
struct want {
    int64_t slots, requests, tokens;
};

enum waiter_state { WAITS, SERVED, DISPLACED };

/* A request that waits. In its arena. */
struct waiter {
    struct queue_place place;
    struct request *request;
    struct list called; /* in its worker's room */
    struct timer timer; /* until it has waited long enough */
    struct want want;
    struct admit_ticket ticket; /* when it is served */
    enum waiter_state state;    /* guarded by the lock */
    int64_t since_us;
};

static const struct {
    const char *what, *per, *setting;
    enum end_reason end;
} lacks[] = {
    [LACKS_SLOTS] = {"requests", "at once", "MAX_CONCURRENT_REQUESTS", END_CONCURRENCY_LIMIT},
    [LACKS_REQUESTS] = {"requests", "per minute", "REQUESTS_PER_MINUTE", END_REQUEST_LIMIT},
    [LACKS_TOKENS] = {"tokens", "per minute", "TOKENS_PER_MINUTE", END_TOKEN_LIMIT},
};

static struct waiter *of_place(struct queue_place *p)
{
    return LIST_OF(p, struct waiter, place);
}

static struct waiting *waiting_of(const struct request *r)
{
    return &r->worker->shared->waiting;
}

static int64_t now_of(const struct request *r)
{
    return loop_now_us(r->worker->loop);
}

/* Taking ---------------------------------------------------------------------------------- */

static struct shortage shortage_of(enum lack lack, enum admit_result result, int64_t wait_ms)
{
    return (struct shortage){lack, result == ADMIT_TOO_LARGE ? -1 : wait_ms};
}

static bool has_slots(const struct waiting *w, int64_t n)
{
    const int64_t max = atomic_load(&w->slots_max);
    return n == 0 || max == 0 || n <= max - w->slots_used;
}

static struct shortage slot_shortage(const struct waiting *w, int64_t n)
{
    return (struct shortage){LACKS_SLOTS, n > atomic_load(&w->slots_max) ? -1 : UNKNOWN_WAIT_MS};
}

static bool is_beyond(const _Atomic int64_t *limit, int64_t n)
{
    const int64_t max = atomic_load(limit);
    return max > 0 && n > max;
}

/* What it wants more of than there ever is. */
static enum lack never_enough(const struct shared *shared, const struct want *want)
{
    if (is_beyond(&shared->waiting.slots_max, want->slots))
        return LACKS_SLOTS;
    if (is_beyond(&shared->admit.requests.per_minute, want->requests))
        return LACKS_REQUESTS;
    return is_beyond(&shared->admit.tokens.per_minute, want->tokens) ? LACKS_TOKENS : LACKS_NOTHING;
}

/* All of it or, given back what the ticket had, nothing. Under the lock where slots are wanted. */
static struct shortage take(struct shared *shared, int64_t now_us, const struct want *want,
                            struct admit_ticket *ticket)
{
    struct waiting *w = &shared->waiting;
    struct admit *a = &shared->admit;
    int64_t wait_ms = 0;
    if (!has_slots(w, want->slots)) {
        admit_undo(a, now_us, ticket);
        return slot_shortage(w, want->slots);
    }
    const int64_t more = want->requests - ticket->requests; /* STEP_ADMIT may have taken one */
    enum admit_result result = ADMIT_OK;
    if (more > 0)
        result = admit_requests(a, now_us, more, ticket, &wait_ms);
    if (result != ADMIT_OK)
        return shortage_of(LACKS_REQUESTS, result, wait_ms);
    result = admit_tokens(a, now_us, want->tokens, ticket, &wait_ms);
    if (result != ADMIT_OK)
        return shortage_of(LACKS_TOKENS, result, wait_ms);
    if (want->slots > 0)
        w->slots_used += want->slots;
    return (struct shortage){LACKS_NOTHING, 0};
}

/* The same without taking. */
static struct shortage shortage_now(struct shared *shared, int64_t now_us, const struct want *want)
{
    const struct admit *a = &shared->admit;
    if (!has_slots(&shared->waiting, want->slots))
        return slot_shortage(&shared->waiting, want->slots);
    int64_t wait_ms = bucket_wait_ms(&a->requests, now_us, want->requests);
    if (wait_ms != 0)
        return (struct shortage){LACKS_REQUESTS, wait_ms};
    wait_ms = bucket_wait_ms(&a->tokens, now_us, want->tokens);
    return (struct shortage){wait_ms != 0 ? LACKS_TOKENS : LACKS_NOTHING, wait_ms};
}

/* Why it has to wait, or has in vain: if not for itself, then for those in front of it. Under the
 * lock. */
static struct shortage why_wait(struct shared *shared, int64_t now_us, const struct want *want)
{
    struct shortage s = shortage_now(shared, now_us, want);
    if (s.lack != LACKS_NOTHING)
        return s;
    s = shared->waiting.held_up;
    if (s.lack == LACKS_NOTHING) /* they have all gone in between */
        s.lack = want->slots > 0 ? LACKS_SLOTS : LACKS_REQUESTS;
    return (struct shortage){s.lack, s.wait_ms > 0 ? s.wait_ms : UNKNOWN_WAIT_MS};
}

/* The queue ------------------------------------------------------------------------------- */

struct look {
    struct shared *shared;
    int64_t now_us;
    struct shortage last; /* of the one asked last */
};

static int64_t ask(void *arg, struct queue_place *p)
{
    struct look *look = arg;
    struct waiter *waiter = of_place(p);
    const struct shortage s = take(look->shared, look->now_us, &waiter->want, &waiter->ticket);
    look->last = s;
    if (s.lack == LACKS_NOTHING)
        return QUEUE_TAKEN;
    if (s.wait_ms < 0)
        return QUEUE_NEVER;
    return s.lack == LACKS_SLOTS ? QUEUE_BLOCKED : s.wait_ms;
}

/* Under the lock. */
static void call_worker(struct worker *w)
{
    if (!w->waiting.is_called)
        loop_post(w->loop, &w->waiting.job);
    w->waiting.is_called = true;
}

static void call(struct waiter *waiter, enum waiter_state state)
{
    struct worker *w = waiter->request->worker;
    waiter->state = state;
    list_append(&w->waiting.called, &waiter->called);
    call_worker(w);
}

/* Serves all who can be served, and sees to it that somebody looks again. Under the lock. */
static void look(struct shared *shared, int64_t now_us)
{
    struct waiting *w = &shared->waiting;
    struct look arg = {.shared = shared, .now_us = now_us};
    struct queue_place *served, *next;
    int64_t wait_ms;
    atomic_store(&w->n, w->queue.n);
    if (w->is_closed)
        return;
    while ((served = queue_serve(&w->queue, now_us, ask, &arg, &next, &wait_ms)))
        call(of_place(served), SERVED);
    atomic_store(&w->n, w->queue.n);
    w->held_up = arg.last;
    if (!next || wait_ms == QUEUE_BLOCKED)
        return;
    struct worker *worker = of_place(next)->request->worker;
    const int64_t at_us = now_us + wait_ms * 1000;
    if (worker->waiting.look_at_us != 0 && worker->waiting.look_at_us <= at_us)
        return;
    worker->waiting.look_at_us = at_us;
    call_worker(worker);
}

void waiting_resize(struct shared *shared, int64_t now_us, int64_t slots_max)
{
    struct waiting *w = &shared->waiting;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->slots_max, slots_max);
    look(shared, now_us);
    pthread_mutex_unlock(&w->lock);
}

/* Something was given back. */
static void look_if_any(struct worker *worker)
{
    struct waiting *w = &worker->shared->waiting;
    if (atomic_load(&w->n) == 0)
        return;
    pthread_mutex_lock(&w->lock);
    look(worker->shared, loop_now_us(worker->loop));
    pthread_mutex_unlock(&w->lock);
}

/* A worker -------------------------------------------------------------------------------- */

static void on_time(void *arg)
{
    struct worker *worker = arg;
    struct waiting *w = &worker->shared->waiting;
    pthread_mutex_lock(&w->lock);
    worker->waiting.look_at_us = 0;
    look(worker->shared, loop_now_us(worker->loop));
    pthread_mutex_unlock(&w->lock);
}

/* NULL: there is none left. */
static struct waiter *next_called(struct worker *worker)
{
    struct list *called = &worker->waiting.called;
    struct waiter *waiter = NULL;
    pthread_mutex_lock(&worker->shared->waiting.lock);
    if (!list_is_empty(called)) {
        waiter = LIST_OF(called->next, struct waiter, called);
        list_remove(&waiter->called);
    }
    pthread_mutex_unlock(&worker->shared->waiting.lock);
    return waiter;
}

static void on_called(void *arg)
{
    struct worker *worker = arg;
    struct waiting *w = &worker->shared->waiting;
    pthread_mutex_lock(&w->lock);
    worker->waiting.is_called = false;
    if (w->queue.n == 0)
        worker->waiting.look_at_us = 0;
    const int64_t at_us = worker->waiting.look_at_us;
    pthread_mutex_unlock(&w->lock);
    if (at_us != 0) {
        const int64_t left_us = at_us - loop_now_us(worker->loop);
        timer_start(&worker->waiting.timer, left_us > 0 ? (left_us + 999) / 1000 : 0);
    }
    struct waiter *waiter;
    while ((waiter = next_called(worker)))
        request_drive(waiter->request);
}

void waiting_room_init(struct worker *w)
{
    list_init(&w->waiting.called);
    w->waiting.job = (struct loop_job){.run = on_called, .arg = w};
    timer_init(&w->waiting.timer, w->loop, on_time, w);
}

void waiting_room_done(struct worker *w)
{
    timer_done(&w->waiting.timer);
}

/* What is shared -------------------------------------------------------------------------- */

bool waiting_init(struct waiting *w, int64_t slots_max)
{
    atomic_init(&w->slots_max, slots_max);
    atomic_init(&w->n, 0);
    pthread_mutex_init(&w->lock, NULL);
    queue_init(&w->queue);
    return getentropy(&w->secret, sizeof(w->secret)) == 0;
}

/* Ending one request would else begin another, on a worker that has not come to it yet. */
void waiting_close(struct waiting *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_closed = true;
    pthread_mutex_unlock(&w->lock);
}

void waiting_done(struct waiting *w)
{
    pthread_mutex_destroy(&w->lock);
}

uint64_t waiting_key(const struct waiting *w, struct str client_key)
{
    struct siphash hash = siphash_begin(w->secret);
    siphash_add(&hash, client_key);
    return siphash_end(&hash).a;
}

int64_t waiting_slots_used(struct waiting *w)
{
    pthread_mutex_lock(&w->lock);
    const int64_t n = w->slots_used;
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* A request ------------------------------------------------------------------------------- */

static int64_t limit_of(const struct request *r, enum lack lack)
{
    const struct shared *shared = r->worker->shared;
    switch (lack) {
    case LACKS_SLOTS:
        return atomic_load(&shared->waiting.slots_max);
    case LACKS_TOKENS:
        return shared->admit.tokens.per_minute;
    case LACKS_NOTHING:
    case LACKS_REQUESTS:
        break;
    }
    return shared->admit.requests.per_minute;
}

static int64_t wanted(const struct want *want, enum lack lack)
{
    return lack == LACKS_SLOTS ? want->slots : lack == LACKS_TOKENS ? want->tokens : want->requests;
}

/* `lack` has the type of the error, whatever the reason. */
static enum go end_saying(struct request *r, enum end_reason why, enum lack lack,
                          const char *message)
{
    const struct end_info *info = end_info(lacks[lack].end);
    struct api_error e;
    api_error_set(&e, info->status, info->type, info->code, NULL, "%s", message);
    return request_end(r, why, &e);
}

static enum go refuse_as_too_large(struct request *r, enum lack lack, int64_t asked)
{
    char message[256];
    r->is_final = true;
    snprintf(message, sizeof(message),
             "Request too large: about %lld %s, and this proxy allows %lld %s (%s). "
             "The request must be made smaller or the setting larger.",
             (long long)asked, lacks[lack].what, (long long)limit_of(r, lack), lacks[lack].per,
             lacks[lack].setting);
    return end_saying(r, END_LARGER_THAN_LIMIT, lack, message);
}

/* Of a shortage; `why` END_NONE: the reason is that shortage itself. */
static enum go refuse(struct request *r, const struct want *want, struct shortage s,
                      enum end_reason why, const char *addition)
{
    char message[384];
    if (s.wait_ms < 0)
        return refuse_as_too_large(r, s.lack, wanted(want, s.lack));
    r->wait_ms = s.wait_ms;
    snprintf(message, sizeof(message),
             "Rate limit reached for %s %s: Limit %lld (%s), Requested %lld. "
             "Please try again in %lld.%03llds.%s",
             lacks[s.lack].what, lacks[s.lack].per, (long long)limit_of(r, s.lack),
             lacks[s.lack].setting, (long long)wanted(want, s.lack), (long long)(s.wait_ms / 1000),
             (long long)(s.wait_ms % 1000), addition);
    return end_saying(r, why != END_NONE ? why : lacks[s.lack].end, s.lack, message);
}

static enum go refuse_as_full(struct request *r, const struct want *want)
{
    pthread_mutex_lock(&waiting_of(r)->lock);
    const struct shortage s = why_wait(r->worker->shared, now_of(r), want);
    pthread_mutex_unlock(&waiting_of(r)->lock);
    metrics_saw_wait(&r->worker->metrics, "full", -1);
    return refuse(r, want, s, END_QUEUE_FULL,
                  " Too many requests are waiting for it already (QUEUE_MAX).");
}

static int64_t longest_wait_us(const struct request *r)
{
    return r->settings->config.rate_limit_wait_s * 1000000;
}

static size_t queue_max(const struct request *r)
{
    return (size_t)r->settings->config.queue_max;
}

/* It waits no longer; `outcome` as the metrics have it. The lock is not held. */
static void end_wait(struct request *r, const char *outcome)
{
    struct metrics *m = &r->worker->metrics;
    timer_done(&r->waiter->timer);
    r->waited_us = now_of(r) - r->waiter->since_us;
    r->waiter = NULL;
    count_add(&m->waiting, (uint64_t)-1);
    metrics_saw_wait(m, outcome, r->waited_us);
}

static void on_waited_long_enough(void *arg)
{
    struct waiter *waiter = arg;
    struct request *r = waiter->request;
    struct shared *shared = r->worker->shared;
    const struct want want = waiter->want;
    char addition[64];
    pthread_mutex_lock(&shared->waiting.lock);
    look(shared, now_of(r)); /* it may be served at the last moment */
    const bool is_called = waiter->state != WAITS;
    if (!is_called)
        queue_leave(&shared->waiting.queue, &waiter->place);
    const struct shortage s = why_wait(shared, now_of(r), &want);
    look(shared, now_of(r)); /* those behind it */
    pthread_mutex_unlock(&shared->waiting.lock);
    if (is_called)
        return;
    end_wait(r, "timed_out");
    snprintf(addition, sizeof(addition), " It has waited for %lld.%03llds.",
             (long long)(r->waited_us / 1000000), (long long)(r->waited_us / 1000 % 1000));
    refuse(r, &want, s, END_NONE, addition);
    request_drive(r);
}

/* Under the lock. False: there is no room. */
static bool join(struct request *r, struct waiter *waiter)
{
    struct waiting *w = waiting_of(r);
    struct queue_place *displaced;
    if (!queue_join(&w->queue, &waiter->place, r->client, now_of(r) + longest_wait_us(r),
                    queue_max(r), &displaced))
        return false;
    if (displaced)
        call(of_place(displaced), DISPLACED);
    look(r->worker->shared, now_of(r));
    return true;
}

static struct waiter *make_waiter(struct request *r, const struct want *want)
{
    struct waiter *waiter = arena_alloc(&r->arena, sizeof(*waiter));
    if (!waiter)
        return NULL;
    *waiter = (struct waiter){.request = r, .want = *want, .since_us = now_of(r)};
    list_init(&waiter->called);
    timer_init(&waiter->timer, r->worker->loop, on_waited_long_enough, waiter);
    return waiter;
}

static enum go wait(struct request *r, const struct want *want)
{
    struct waiter *waiter = make_waiter(r, want);
    if (!waiter)
        return request_end(r, END_OUT_OF_MEMORY, NULL);
    r->waiter = waiter;
    pthread_mutex_lock(&waiting_of(r)->lock);
    const bool has_joined = join(r, waiter);
    pthread_mutex_unlock(&waiting_of(r)->lock);
    if (!has_joined) {
        r->waiter = NULL;
        timer_done(&waiter->timer);
        return refuse_as_full(r, want);
    }
    timer_start(&waiter->timer, longest_wait_us(r) / 1000);
    count_add(&r->worker->metrics.waiting, 1);
    return GO_WAIT;
}

static enum go go_on_waiting(struct request *r)
{
    struct waiter *waiter = r->waiter;
    const struct want want = waiter->want;
    pthread_mutex_lock(&waiting_of(r)->lock);
    const enum waiter_state state = waiter->state;
    pthread_mutex_unlock(&waiting_of(r)->lock);
    switch (state) {
    case WAITS:
        return GO_WAIT;
    case SERVED:
        r->ticket = waiter->ticket;
        r->slots = want.slots;
        end_wait(r, "served");
        return GO_ON;
    case DISPLACED:
        break;
    }
    end_wait(r, "displaced");
    return refuse_as_full(r, &want);
}

/* Takes one, so that what is over the limit need not be translated; nothing where it may wait, or
 * others do. */
enum go step_admit(struct request *r)
{
    struct waiting *w = waiting_of(r);
    const struct want want = {.requests = 1};
    if (atomic_load(&w->n) == 0) {
        const struct shortage s = take(r->worker->shared, now_of(r), &want, &r->ticket);
        if (s.lack == LACKS_NOTHING || longest_wait_us(r) > 0)
            return GO_ON;
        return refuse(r, &want, s, END_NONE, "");
    }
    pthread_mutex_lock(&w->lock);
    const bool has_room = queue_has_room(&w->queue, r->client, queue_max(r));
    pthread_mutex_unlock(&w->lock);
    return has_room ? GO_ON : refuse_as_full(r, &want);
}

/* Nobody overtakes those who wait. False, and what is missing: it has taken nothing. */
static bool take_in_turn(struct request *r, const struct want *want, struct shortage *ret)
{
    struct shared *shared = r->worker->shared;
    const bool is_turn = shared->waiting.queue.n == 0;
    if (is_turn)
        *ret = take(shared, now_of(r), want, &r->ticket);
    else
        *ret = why_wait(shared, now_of(r), want);
    if (is_turn && ret->lack == LACKS_NOTHING) {
        r->slots = want->slots;
        return true;
    }
    admit_undo(&shared->admit, now_of(r), &r->ticket);
    return false;
}

enum go step_reserve(struct request *r)
{
    if (r->waiter)
        return go_on_waiting(r);
    struct waiting *w = waiting_of(r);
    const int64_t n = r->translated.n_choices;
    const struct want want = {
        .slots = atomic_load(&w->slots_max) > 0 ? n : 0,
        .requests = n,
        .tokens = r->translated.input_estimate * n,
    };
    const enum lack never = never_enough(r->worker->shared, &want);
    if (never != LACKS_NOTHING) {
        admit_undo(&r->worker->shared->admit, now_of(r), &r->ticket);
        return refuse_as_too_large(r, never, wanted(&want, never));
    }
    struct shortage s;
    bool has_taken;
    if (want.slots == 0 && longest_wait_us(r) == 0) {
        s = take(r->worker->shared, now_of(r), &want, &r->ticket);
        has_taken = s.lack == LACKS_NOTHING;
    } else {
        pthread_mutex_lock(&w->lock);
        has_taken = take_in_turn(r, &want, &s);
        pthread_mutex_unlock(&w->lock);
    }
    if (has_taken)
        return GO_ON;
    if (s.wait_ms < 0 || longest_wait_us(r) == 0)
        return refuse(r, &want, s, END_NONE, "");
    return wait(r, &want);
}

/* Gives up its place, or what it has been given and has not heard of yet. */
static void leave(struct request *r)
{
    struct waiter *waiter = r->waiter;
    struct waiting *w = waiting_of(r);
    pthread_mutex_lock(&w->lock);
    queue_leave(&w->queue, &waiter->place);
    list_remove(&waiter->called);
    if (waiter->state == SERVED) {
        admit_undo(&r->worker->shared->admit, now_of(r), &waiter->ticket);
        w->slots_used -= waiter->want.slots;
    }
    look(r->worker->shared, now_of(r));
    pthread_mutex_unlock(&w->lock);
    end_wait(r, "left");
}

void waiting_settle(struct request *r, int64_t used_tokens)
{
    if (r->waiter)
        leave(r);
    admit_settle(&r->worker->shared->admit, now_of(r), &r->ticket, used_tokens);
    look_if_any(r->worker);
}

void waiting_release(struct request *r)
{
    struct waiting *w = waiting_of(r);
    if (r->slots == 0)
        return;
    pthread_mutex_lock(&w->lock);
    w->slots_used -= r->slots;
    look(r->worker->shared, now_of(r));
    pthread_mutex_unlock(&w->lock);
    r->slots = 0;
}

/*
 * Speaks an answer: waits as long as the directives say, sends the head, then events (or the
 * message) as far as the client takes them, and does the harm that it was asked to do.
 */
#include "sim/exchange.h"

#include <stdlib.h>

#include "base/clock.h"
#include "sim/event.h"
#include "sim/route.h"
#include "sim/worker.h"

#define ARENA_BYTES_MAX (160u * 1024 * 1024) /* a script of a million words, and room beside it */
#define WAITING_MAX     65536  /* bytes that a client is behind before its answer rests */
#define TURN_BYTES      262144 /* of one answer before others get their turn */
#define WRITE_BYTES     16384  /* events that are due together go out together up to this size */

enum phase {
    PHASE_HEAD,   /* the head is to be sent when its time comes */
    PHASE_STREAM, /* events are to be sent */
    PHASE_BODY,   /* a body that is ready is to be sent */
    PHASE_STALLED,
    PHASE_OVER,
};

struct exchange {
    struct sim_worker *w;
    const struct exchange_io *io;
    void *arg;
    enum phase phase;
    struct timer timer;
    struct loop_job free_job;
    struct arena arena;
    struct routed routed;
    struct event_cursor cursor;
    uint64_t record;                     /* number; 0 = not recorded */
    int64_t next_delta_us, next_ping_us; /* monotonic; ping 0 = none */
    size_t body_sent;
    bool is_resting;  /* the client is behind: exchange_drained goes on */
    bool has_stalled; /* a stall happens once */
    bool has_lulled;
};

struct str exchange_header(const struct exchange_request *q, struct str name)
{
    for (size_t i = 0; i < q->n_headers; i++)
        if (str_eq(q->headers[i].name, name))
            return q->headers[i].value;
    return (struct str){0};
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void free_exchange(void *arg)
{
    struct exchange *e = arg;
    timer_done(&e->timer);
    buf_done(&e->routed.body);
    arena_done(&e->arena);
    free(e);
}

/* Nothing is called any more; the memory goes at the end of the turn, for callers are above us. */
static void finish(struct exchange *e, enum record_end how)
{
    e->phase = PHASE_OVER;
    timer_stop(&e->timer);
    if (e->record)
        record_end(e->w->sim->record, e->record, how, e->cursor.n_deltas);
    e->free_job = (struct loop_job){.run = free_exchange, .arg = e};
    loop_defer(e->w->loop, &e->free_job);
}

static void end(struct exchange *e)
{
    e->io->end(e->arg);
    finish(e, RECORD_DONE);
}

static void break_off(struct exchange *e)
{
    e->io->abort(e->arg);
    finish(e, RECORD_BROKEN);
}

void exchange_gone(struct exchange *e)
{
    if (e->phase != PHASE_OVER)
        finish(e, RECORD_ABORTED);
}

/* --- time --------------------------------------------------------------------------------------
 */

static void wait_until(struct exchange *e, int64_t due_us)
{
    int64_t left_us = due_us - clock_mono_us();
    timer_start(&e->timer, left_us > 0 ? (left_us + 999) / 1000 : 0);
}

static void stall(struct exchange *e)
{
    int64_t for_us = e->routed.d.stall_us;
    if (for_us > 0)
        wait_until(e, clock_mono_us() + for_us);
    else
        e->phase = PHASE_STALLED;
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* Sends the scratch, in pieces where the directives ask for it. False when that ended it. */
static bool send_bytes(struct exchange *e, struct buf *b)
{
    const struct directives *d = &e->routed.d;
    size_t n = b->len, step = d->split > 0 ? (size_t)d->split : n;
    bool is_cut = d->cut_bytes >= 0 && e->body_sent + n >= (size_t)d->cut_bytes;
    if (is_cut)
        n = (size_t)d->cut_bytes - e->body_sent;
    for (size_t at = 0; at < n; at += step)
        e->io->body(e->arg, b->data + at, n - at < step ? n - at : step);
    e->body_sent += n;
    buf_reset(b);
    if (is_cut)
        break_off(e);
    return !is_cut;
}

static void send_head(struct exchange *e)
{
    const struct routed *r = &e->routed;
    const struct directives *d = &r->d;
    struct reply_head h;
    bool is_whole = !r->is_stream && d->cut == PLACE_NEVER && d->cut_bytes < 0 &&
                    d->stall == PLACE_NEVER && d->end == PLACE_NEVER && d->split < 1;
    reply_head_build(&h, r->kind, r->status, r->request_id, r->counts_requests, d, unix_us());
    if (e->record)
        record_status(e->w->sim->record, e->record, r->status);
    e->io->head(e->arg, r->status, h.headers, h.n, is_whole ? (int64_t)r->body.len : -1);
}

static void send_error(struct exchange *e)
{
    const struct directives *d = &e->routed.d;
    struct sim_error err = {.type = d->error,
                            .message = d->message.n ? d->message
                                       : str_eq(d->error, STR("api_error"))
                                           ? STR("Internal server error")
                                           : STR("Overloaded"),
                            .details = d->details};
    event_write_error(&e->routed.script, &err, d->no_request_id ? STR("") : e->routed.request_id,
                      &e->w->scratch);
    if (send_bytes(e, &e->w->scratch))
        end(e);
}

/* Whether the stream stands at `place`: that many deltas are out and the next event is due. */
static bool is_at(const struct exchange *e, int64_t place)
{
    if (place == PLACE_START)
        return e->cursor.step == EVENT_START;
    if (place < 0 || e->cursor.n_deltas < place)
        return false;
    return place > 0 || e->cursor.step == EVENT_DELTA || e->cursor.step >= EVENT_MESSAGE_DELTA;
}

/* Does what the directives want done at this place; true when the stream does not go on now. */
static bool do_fault(struct exchange *e)
{
    const struct directives *d = &e->routed.d;
    struct buf *scratch = &e->w->scratch;
    bool is_error = d->error.n && is_at(e, d->after);
    bool is_stall = !e->has_stalled && is_at(e, d->stall);
    if (!is_error && !is_stall && !is_at(e, d->cut) && !is_at(e, d->end) && !is_at(e, d->garbage))
        return false;
    if (scratch->len && !send_bytes(e, scratch))
        return true;
    if (is_stall) {
        e->has_stalled = true;
        stall(e);
    } else if (is_error) {
        send_error(e);
    } else if (is_at(e, d->cut)) {
        break_off(e);
    } else if (is_at(e, d->garbage)) {
        event_write_garbage(scratch);
        if (send_bytes(e, scratch))
            end(e);
    } else {
        end(e);
    }
    return true;
}

/* Whether the next event has to wait; then the timer runs. */
static bool has_to_wait(struct exchange *e, int64_t now_us)
{
    const struct directives *d = &e->routed.d;
    if (e->cursor.step != EVENT_DELTA)
        return false;
    if (!e->has_lulled) { /* the first delta: from here on the gaps count */
        e->has_lulled = true;
        e->next_delta_us = now_us + d->lull_us;
        e->next_ping_us = d->ping_us > 0 ? now_us + d->ping_us : 0;
    }
    if (e->next_delta_us <= now_us) {
        e->next_delta_us += d->gap_us;
        return false;
    }
    int64_t due_us = e->next_delta_us;
    if (e->next_ping_us > 0 && e->next_ping_us <= now_us) {
        event_write_ping(&e->routed.script, &e->w->scratch);
        e->next_ping_us = now_us + d->ping_us;
    }
    if (e->next_ping_us > 0 && e->next_ping_us < due_us)
        due_us = e->next_ping_us;
    wait_until(e, due_us);
    return true;
}

static void stream_on(struct exchange *e)
{
    struct buf *scratch = &e->w->scratch;
    const struct directives *d = &e->routed.d;
    int64_t now_us = clock_mono_us(), unix_now_us = d->stamp ? unix_us() : 0;
    size_t turn_bytes = 0;
    buf_reset(scratch);
    while (e->cursor.step != EVENT_DONE) {
        if (do_fault(e))
            return;
        if (has_to_wait(e, now_us)) {
            if (scratch->len)
                send_bytes(e, scratch);
            return;
        }
        event_write(&e->cursor, &e->routed.script, unix_now_us, scratch);
        if (scratch->len < WRITE_BYTES)
            continue;
        turn_bytes += scratch->len;
        if (!send_bytes(e, scratch))
            return;
        e->is_resting = e->io->waiting(e->arg) > WAITING_MAX;
        if (e->is_resting)
            return;
        if (turn_bytes > TURN_BYTES) {
            timer_start(&e->timer, 0);
            return;
        }
    }
    if (!scratch->len || send_bytes(e, scratch))
        end(e);
}

/* A message that is ready: whole, or as far as the directives let it come. */
static void send_body(struct exchange *e)
{
    struct routed *r = &e->routed;
    const struct directives *d = &r->d;
    bool is_broken =
        r->has_script && (d->cut >= 0 || d->stall >= 0 || d->end >= 0 || d->garbage >= 0);
    if (is_broken && !e->has_stalled) {
        r->body.len /= 2;
        if (r->body.len && !send_bytes(e, &r->body))
            return;
        if (d->stall >= 0) {
            e->phase = PHASE_STALLED;
            return;
        }
        if (d->cut >= 0)
            break_off(e);
        else
            end(e);
        return;
    }
    if (!r->body.len || send_bytes(e, &r->body))
        end(e);
}

/* --- going on ----------------------------------------------------------------------------------
 */

static void begin(struct exchange *e)
{
    const struct directives *d = &e->routed.d;
    if (d->cut == PLACE_HEAD) {
        break_off(e);
        return;
    }
    if (d->stall == PLACE_HEAD && !e->has_stalled) {
        e->has_stalled = true;
        stall(e);
        return;
    }
    send_head(e);
    if (d->cut == PLACE_START && !e->routed.is_stream) {
        break_off(e);
        return;
    }
    e->phase = e->routed.is_stream ? PHASE_STREAM : PHASE_BODY;
    if (e->routed.is_stream) {
        event_begin(&e->cursor, &e->routed.script);
        stream_on(e);
    } else {
        send_body(e);
    }
}

static void go_on(void *arg)
{
    struct exchange *e = arg;
    switch (e->phase) {
    case PHASE_HEAD:
        begin(e);
        return;
    case PHASE_STREAM:
        if (!e->is_resting)
            stream_on(e);
        return;
    case PHASE_BODY:
        send_body(e);
        return;
    case PHASE_STALLED:
    case PHASE_OVER:
        return;
    }
}

void exchange_drained(struct exchange *e)
{
    if (e->phase != PHASE_STREAM || !e->is_resting)
        return;
    e->is_resting = false;
    timer_start(&e->timer, 0);
}

/* How long the client waits for the head: a message without a stream takes all its deltas' time. */
static int64_t head_delay_us(const struct exchange *e)
{
    const struct directives *d = &e->routed.d;
    int64_t us = d->first_us;
    if (e->routed.has_script && !e->routed.is_stream) {
        us += d->lull_us;
        if (d->gap_us > 0)
            us += d->gap_us * event_count_deltas(&e->routed.script);
    }
    return us;
}

struct exchange *exchange_start(struct sim_worker *w, const struct exchange_request *q,
                                const struct exchange_io *io, void *arg)
{
    struct exchange *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->w = w;
    e->io = io;
    e->arg = arg;
    timer_init(&e->timer, w->loop, go_on, e);
    arena_init(&e->arena, ARENA_BYTES_MAX);
    if (!str_starts(q->target, STR("/__sim/")))
        e->record = record_begin(w->sim->record, q, q->connection);
    route_request(w->sim, q, &e->arena, &e->routed);
    wait_until(e, clock_mono_us() + head_delay_us(e));
    return e;
}

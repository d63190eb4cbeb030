/*
 * When a comment is due.
 *
 * None goes out before the upstream's own head: until then all failures of an ordinary day
 * (refused, overloaded, not reached) have a status to be told by, and whoever retries goes by that.
 * Behind it the model thinks, or is about to, and a failure has become rare; a comment, and the 200
 * in front of it, then costs no more than that such a failure is told by an error chunk.
 */
#include "server/keep_alive.h"

#include "server/attempt.h"
#include "server/connection.h"
#include "server/relay.h"
#include "server/worker.h"

/* Behind the upstream's head, for the errors that come right with it. */
#define HEAD_GRACE_MS 1000

static int64_t period_ms(const struct request *r)
{
    return r->settings->config.keep_alive_s * 1000;
}

static void on_silence(void *arg)
{
    struct request *r = arg;
    if (r->status == 0 && !attempt_is_accepted(r))
        return; /* it failed and is sent again: the next head begins anew */
    if (connection_waiting(r->connection) > 0)
        keep_alive_restart(r); /* a client that does not read is not kept alive */
    else
        relay_comment(r);
    request_drive(r);
}

void keep_alive_init(struct request *r)
{
    timer_init(&r->keep_alive, r->worker->loop, on_silence, r);
}

void keep_alive_begin(struct request *r)
{
    if (!r->translated.is_stream || period_ms(r) == 0 || timer_is_running(&r->keep_alive))
        return;
    const int64_t silent_ms = (loop_now_us(r->worker->loop) - r->started_us) / 1000;
    const int64_t left_ms = period_ms(r) - silent_ms;
    timer_start(&r->keep_alive, left_ms > HEAD_GRACE_MS ? left_ms : HEAD_GRACE_MS);
}

void keep_alive_restart(struct request *r)
{
    if (period_ms(r) > 0)
        timer_start(&r->keep_alive, period_ms(r));
}

void keep_alive_end(struct request *r)
{
    timer_done(&r->keep_alive);
}

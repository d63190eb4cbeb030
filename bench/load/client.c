/*
 * HTTP/1.1 over a channel of net/.
 */
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static int64_t unix_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void drop_stream(struct client *c)
{
    if (c->has_stream)
        stream_done(&c->stream);
    c->has_stream = false;
}

static void disconnect(struct client *c)
{
    channel_close(&c->channel);
    h1_destroy(c->parser);
    c->parser = NULL;
    c->is_connected = false;
}

static void end(struct client *c, enum fault fault)
{
    const struct target *target = c->target;
    c->is_busy = false;
    drop_stream(c);
    target->tally->ended[fault]++;
    if (fault == FAULT_NONE)
        spread_add(&target->tally->answer_us, clock_mono_us() - c->from_us);
    if (fault != FAULT_NONE || !c->keeps_alive)
        disconnect(c);
    target->on_over(target->arg, c);
}

/* --- the answer --------------------------------------------------------------------------------
 */

static bool on_head(void *arg, const struct h1_head *head)
{
    struct client *c = arg;
    c->status = head->status;
    c->keeps_alive = head->keep_alive;
    if (c->target->n_tokens > 0) {
        stream_begin(&c->stream, c->target->form);
        c->has_stream = true;
    }
    return true;
}

static bool on_body(void *arg, const char *p, size_t n)
{
    struct client *c = arg;
    const struct target *target = c->target;
    if (!c->has_stream)
        return true;
    if (stream_take(&c->stream, (struct str){p, n}, unix_us(), target->tally)) {
        spread_add(&target->tally->first_us, clock_mono_us() - c->from_us);
        target->on_begun(target->arg);
    }
    target->on_tokens(target->arg);
    return true;
}

static enum fault judge(struct client *c)
{
    if (c->status != 200)
        return FAULT_STATUS;
    return c->has_stream ? stream_end(&c->stream, c->target->n_tokens) : FAULT_NONE;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct client *c = arg;
    size_t taken = 0;
    if (!c->is_busy) { /* nobody asked */
        disconnect(c);
        return;
    }
    enum h1_result result = h1_feed(c->parser, p, n, &taken);
    if (result == H1_MORE)
        return;
    if (result != H1_COMPLETE || taken < n) {
        end(c, FAULT_CUT);
        return;
    }
    enum fault fault = judge(c);
    h1_forget_head(c->parser);
    end(c, fault);
}

static void on_end(void *arg, enum channel_end why)
{
    struct client *c = arg;
    (void)why;
    if (!c->is_busy) {
        disconnect(c);
        return;
    }
    c->keeps_alive = false;
    if (c->status == 0)
        end(c, FAULT_CONNECTION);
    else
        end(c, h1_eof(c->parser) == H1_COMPLETE ? judge(c) : FAULT_CUT);
}

static const struct channel_callbacks channel_callbacks = {.on_data = on_data, .on_end = on_end};
static const struct h1_callbacks parser_callbacks = {on_head, on_body};

/* --- the request -------------------------------------------------------------------------------
 */

/* The channel waits for the connection as for any other room to write. */
static bool connect_to(struct client *c)
{
    const struct target *target = c->target;
    struct tls *tls = target->tls ? tls_client(target->tls, target->host, false) : NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    c->parser = h1_create(H1_RESPONSE, &parser_callbacks, c);
    if (fd >= 0 && c->parser && (!target->tls || tls) &&
        (connect(fd, (const struct sockaddr *)&target->address, sizeof(target->address)) == 0 ||
         errno == EINPROGRESS)) {
        channel_open(&c->channel, target->loop, fd, tls, target->request.n, &channel_callbacks, c);
        c->is_connected = true;
        return true;
    }
    if (fd >= 0)
        close(fd);
    if (tls)
        tls_destroy(tls);
    h1_destroy(c->parser);
    c->parser = NULL;
    return false;
}

static void connect_and_write(void *arg)
{
    struct client *c = arg;
    if (connect_to(c))
        channel_write(&c->channel, c->target->request.p, c->target->request.n);
    else
        end(c, FAULT_CONNECTION);
}

void client_init(struct client *c, const struct target *target)
{
    *c = (struct client){.target = target};
    c->connect_job = (struct loop_job){.run = connect_and_write, .arg = c};
    c->channel.fd = -1;
}

void client_send(struct client *c, int64_t from_us)
{
    c->from_us = from_us;
    c->status = 0;
    c->is_busy = true;
    c->keeps_alive = true;
    if (c->is_connected)
        channel_write(&c->channel, c->target->request.p, c->target->request.n);
    else /* put off: a job of the channel that was closed may still be in the queue */
        loop_defer(c->target->loop, &c->connect_job);
}

void client_done(struct client *c)
{
    drop_stream(c);
    if (c->is_busy)
        c->target->tally->ended[FAULT_TIMEOUT]++;
    c->is_busy = false;
    disconnect(c);
}

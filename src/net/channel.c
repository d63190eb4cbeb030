/*
 * Channels: reading through the loop's shared buffer, writing at once, TLS underneath where it is
 * asked for. Callbacks come from the loop only, never from inside a channel_* call.
 */
#include "net/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_internal.h"

/* Reads in a row for one channel before the others get their turn. */
#define READS_A_TURN 8

enum io { IO_OK, IO_AGAIN, IO_EOF, IO_RESET, IO_TLS_ERROR };

static void finish(struct channel *c, enum channel_end why)
{
    if (c->is_ended)
        return;
    c->is_ended = true;
    event_del(&c->read_event);
    event_del(&c->write_event);
    c->cb->on_end(c->arg, why);
}

/* From inside a channel_* call: the end is told at the end of the turn. */
static void finish_later(struct channel *c, enum channel_end why)
{
    if (c->is_ended || c->has_pending_end)
        return;
    c->has_pending_end = true;
    c->pending_end = why;
    loop_defer(c->loop, &c->job);
}

/*
 * A write failed: the peer is gone, but may have said why before it left (an error answer to a
 * body that it did not want to read to its end). That is read first; then the end is told.
 */
static void stop_writing(struct channel *c)
{
    c->is_write_broken = true;
    event_del(&c->write_event);
    buf_done(&c->out);
    c->out_sent = 0;
    c->wants_read = true;
    loop_defer(c->loop, &c->job);
}

static enum channel_end end_of(enum io io)
{
    return io == IO_EOF ? CHANNEL_EOF : io == IO_TLS_ERROR ? CHANNEL_TLS_ERROR : CHANNEL_RESET;
}

/* Without memory to be told of it the socket would never be written to again. */
static void await_room(struct channel *c)
{
    if (event_add(&c->write_event, NULL) != 0)
        finish_later(c, CHANNEL_RESET);
}

static enum io io_of_tls(struct channel *c, enum tls_result r)
{
    switch (r) {
    case TLS_OK:
        return IO_OK;
    case TLS_WANT_WRITE:
        await_room(c);
        return IO_AGAIN;
    case TLS_WANT_READ:
        return IO_AGAIN;
    case TLS_EOF:
        return IO_EOF;
    case TLS_RESET:
        return IO_RESET;
    case TLS_FAILED:
        break;
    }
    return IO_TLS_ERROR;
}

static enum io io_of_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? IO_AGAIN : IO_RESET;
}

/* Reading --------------------------------------------------------------------------------- */

/* OpenSSL gives a record at a time. Many small ones are handed up as one read. */
static enum io read_records(struct channel *c, char *p, size_t size, size_t *ret_n)
{
    enum tls_result r = TLS_OK;
    while (r == TLS_OK && *ret_n < size) {
        size_t n = 0;
        r = tls_read(c->tls, p + *ret_n, size - *ret_n, &n);
        *ret_n += n;
    }
    c->tls_read_wants_write = r == TLS_WANT_WRITE;
    return io_of_tls(c, r);
}

static enum io read_socket(struct channel *c, char *p, size_t size, size_t *ret_n)
{
    ssize_t n = recv(c->fd, p, size, 0);
    if (n < 0)
        return io_of_errno();
    *ret_n = (size_t)n;
    if (n == 0)
        return IO_EOF;
    /* Less than there was room for: the socket is empty, as good as surely; epoll says when not. */
    return (size_t)n < size ? IO_AGAIN : IO_OK;
}

static bool may_read(const struct channel *c)
{
    return c->fd >= 0 && !c->is_ended && !c->is_paused && c->is_open;
}

static void read_turn(struct channel *c)
{
    char *scratch = loop_scratch(c->loop);
    for (int i = 0; i < READS_A_TURN && may_read(c); i++) {
        size_t n = 0;
        enum io io = c->tls ? read_records(c, scratch, LOOP_SCRATCH_BYTES, &n)
                            : read_socket(c, scratch, LOOP_SCRATCH_BYTES, &n);
        if (n > 0 && !c->wants_close_after_flush)
            c->cb->on_data(c->arg, scratch, n);
        if (n > 0 && !may_read(c))
            return; /* an end that came with the bytes is met again, if they are read on */
        if (c->is_write_broken && (io == IO_EOF || (io == IO_AGAIN && n == 0)))
            io = IO_RESET; /* the write took the socket's error away */
        if (io == IO_AGAIN)
            return;
        if (io != IO_OK) {
            finish(c, end_of(io));
            return;
        }
    }
    if (may_read(c) && c->tls && tls_has_pending(c->tls)) {
        c->wants_read = true; /* no event will announce what OpenSSL holds already */
        loop_defer(c->loop, &c->job);
    }
}

/* Writing --------------------------------------------------------------------------------- */

static enum io write_some(struct channel *c, const char *p, size_t n, size_t *ret_n)
{
    if (c->tls)
        return io_of_tls(c, tls_write(c->tls, p, n, ret_n));
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
    if (sent < 0)
        return io_of_errno();
    *ret_n = (size_t)sent;
    return IO_OK;
}

/* Writes until all is out or the kernel has enough; *ret_sent counts the bytes taken. */
static enum io write_all(struct channel *c, const char *p, size_t n, size_t *ret_sent)
{
    *ret_sent = 0;
    while (*ret_sent < n) {
        size_t sent = 0;
        enum io io = write_some(c, p + *ret_sent, n - *ret_sent, &sent);
        if (io != IO_OK)
            return io;
        *ret_sent += sent;
    }
    return IO_OK;
}

static void end_writing(struct channel *c)
{
    if (c->tls)
        tls_shutdown(c->tls);
    shutdown(c->fd, SHUT_WR);
}

static void flush(struct channel *c)
{
    size_t sent;
    enum io io = write_all(c, c->out.data + c->out_sent, c->out.len - c->out_sent, &sent);
    c->out_sent += sent;
    if (io == IO_AGAIN) {
        await_room(c);
        return;
    }
    if (io != IO_OK) {
        stop_writing(c);
        return;
    }
    buf_done(&c->out); /* a stream that is not behind holds no buffer */
    c->out_sent = 0;
    if (c->wants_close_after_flush)
        end_writing(c);
    else if (c->cb->on_drain)
        c->cb->on_drain(c->arg);
}

static void keep_for_later(struct channel *c, const char *p, size_t n)
{
    if (c->out_sent > c->out.len / 2) {
        buf_consume(&c->out, c->out_sent);
        c->out_sent = 0;
    }
    if (!buf_append(&c->out, p, n)) {
        finish_later(c, CHANNEL_OVERFLOW);
        return;
    }
    if (c->is_open)
        await_room(c);
}

void channel_write(struct channel *c, const void *p, size_t n)
{
    if (c->fd < 0 || c->is_ended || c->has_pending_end || c->is_write_broken ||
        c->wants_close_after_flush || n == 0)
        return;
    size_t sent = 0;
    if (c->is_open && channel_waiting(c) == 0) {
        enum io io = write_all(c, p, n, &sent);
        if (io != IO_OK && io != IO_AGAIN) {
            stop_writing(c);
            return;
        }
    }
    if (sent < n)
        keep_for_later(c, (const char *)p + sent, n - sent);
}

/* Events ---------------------------------------------------------------------------------- */

static void open_now(struct channel *c)
{
    c->is_open = true;
    if (c->cb->on_open)
        c->cb->on_open(c->arg);
    if (c->fd >= 0 && !c->is_ended && channel_waiting(c) > 0)
        flush(c);
    if (c->tls && may_read(c))
        read_turn(c); /* data may have come with the end of the handshake */
}

static void handshake(struct channel *c)
{
    enum io io = io_of_tls(c, tls_handshake(c->tls));
    if (io == IO_OK)
        open_now(c);
    else if (io != IO_AGAIN)
        finish(c, end_of(io));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct channel *c = arg;
    if (c->tls && !c->is_open)
        handshake(c);
    else
        read_turn(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct channel *c = arg;
    if (c->tls && !c->is_open) {
        handshake(c);
        return;
    }
    if (c->tls_read_wants_write)
        read_turn(c);
    if (c->fd >= 0 && !c->is_ended && channel_waiting(c) > 0)
        flush(c);
}

static void run_job(void *arg)
{
    struct channel *c = arg;
    if (c->fd < 0 || c->is_ended)
        return;
    if (c->has_pending_end) {
        finish(c, c->pending_end);
        return;
    }
    if (!c->is_open) {
        if (c->tls)
            handshake(c);
        else
            open_now(c);
        return;
    }
    if (c->wants_read) {
        c->wants_read = false;
        read_turn(c);
    }
}

void channel_open(struct channel *c, struct loop *l, int fd, struct tls *tls, size_t out_max,
                  const struct channel_callbacks *cb, void *arg)
{
    *c = (struct channel){.loop = l, .fd = fd, .tls = tls, .cb = cb, .arg = arg};
    buf_init(&c->out, out_max);
    c->job = (struct loop_job){.run = run_job, .arg = c};
    event_assign(&c->read_event, loop_base(l), fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->write_event, loop_base(l), fd, EV_WRITE, on_writable, c);
    if (tls && !tls_attach(tls, fd)) {
        finish_later(c, CHANNEL_TLS_ERROR);
        return;
    }
    if (event_add(&c->read_event, NULL) != 0) {
        finish_later(c, CHANNEL_RESET);
        return;
    }
    loop_defer(l, &c->job);
}

size_t channel_waiting(const struct channel *c)
{
    return c->out.len - c->out_sent;
}

void channel_pause(struct channel *c)
{
    if (c->is_paused || c->fd < 0)
        return;
    c->is_paused = true;
    event_del(&c->read_event);
}

void channel_resume(struct channel *c)
{
    if (!c->is_paused || c->fd < 0)
        return;
    c->is_paused = false;
    if (c->is_ended)
        return;
    if (event_add(&c->read_event, NULL) != 0) {
        finish_later(c, CHANNEL_RESET);
        return;
    }
    if (c->tls && tls_has_pending(c->tls)) {
        c->wants_read = true;
        loop_defer(c->loop, &c->job);
    }
}

void channel_close(struct channel *c)
{
    if (c->loop == NULL || c->fd < 0)
        return;
    c->is_ended = true;
    event_del(&c->read_event);
    event_del(&c->write_event);
    if (c->tls) {
        if (c->is_open && channel_waiting(c) == 0 && !c->wants_close_after_flush)
            tls_shutdown(c->tls);
        tls_destroy(c->tls);
        c->tls = NULL;
    }
    close(c->fd);
    c->fd = -1;
    buf_done(&c->out);
    c->out_sent = 0;
}

void channel_close_after_flush(struct channel *c)
{
    if (c->fd < 0 || c->is_ended || c->wants_close_after_flush)
        return;
    c->wants_close_after_flush = true;
    channel_resume(c); /* the peer's end must be seen */
    if (c->is_open && channel_waiting(c) == 0)
        end_writing(c);
}

bool channel_is_closed(const struct channel *c)
{
    return c->loop == NULL || c->fd < 0;
}

const char *channel_tls_reason(const struct channel *c)
{
    return c->tls ? tls_reason(c->tls) : "";
}

bool channel_is_plain_http(const struct channel *c)
{
    return c->tls && tls_is_plain_http(c->tls);
}

void channel_write_plain(struct channel *c, struct str bytes)
{
    if (c->fd >= 0)
        (void)!send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
}

const char *channel_tls_version(const struct channel *c)
{
    return c->tls && c->is_open ? tls_version(c->tls) : "";
}

struct str channel_alpn(const struct channel *c)
{
    return c->tls ? tls_alpn(c->tls) : (struct str){"", 0};
}

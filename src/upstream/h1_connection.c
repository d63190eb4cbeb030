/*
 * HTTP/1.1 to the upstream: one call at a time on a connection, kept for the next one when both
 * sides ended their message whole.
 */
#include <stdlib.h>

#include "http/h1.h"
#include "upstream/call.h"
#include "upstream/connection.h"

struct h1_state {
    struct h1_parser *parser;
    size_t body_sent;
    bool is_uploading;
    bool is_reusable; /* the answer's head allows another call */
};

static struct upstream_call *current(const struct connection *c)
{
    return list_is_empty(&c->calls) ? NULL : LIST_OF(c->calls.next, struct upstream_call, node);
}

/* Sending --------------------------------------------------------------------------------- */

static bool has_body(const struct upstream_request *r)
{
    return spliced_bytes(&r->body) > 0 || str_eq(r->method, STR("POST")) ||
           str_eq(r->method, STR("PUT")) || str_eq(r->method, STR("PATCH"));
}

/* Through a proxy that makes no tunnel, requests are addressed to it: RFC 9112, 3.2.2. */
static bool is_relayed(const struct upstream_settings *s)
{
    return s->egress.proxy.at.host[0] && !s->egress.tunnels;
}

static void write_head(struct buf *out, const struct upstream_settings *s,
                       const struct upstream_request *r)
{
    const struct upstream_origin *o = &s->origin;
    buf_append_str(out, r->method);
    buf_append_char(out, ' ');
    if (is_relayed(s)) {
        buf_append_z(out, "http://");
        buf_append_z(out, o->authority);
    }
    buf_append_z(out, o->path_prefix);
    buf_append_str(out, r->path);
    buf_append_z(out, " HTTP/1.1\r\nhost: ");
    buf_append_z(out, o->authority);
    for (size_t i = 0; i < r->n_headers; i++) {
        buf_append_z(out, "\r\n");
        buf_append_str(out, r->headers[i].name);
        buf_append_z(out, ": ");
        buf_append_str(out, r->headers[i].value);
    }
    if (is_relayed(s) && s->egress.proxy.authorization[0]) {
        buf_append_z(out, "\r\nproxy-authorization: ");
        buf_append_z(out, s->egress.proxy.authorization);
    }
    if (has_body(r)) {
        buf_append_z(out, "\r\ncontent-length: ");
        buf_append_u64(out, spliced_bytes(&r->body));
    }
    buf_append_z(out, "\r\n\r\n");
}

/* Writes on while the peer takes it. */
static void upload(struct connection *c)
{
    struct h1_state *h = c->state;
    const struct spliced *body = &current(c)->request.body;
    h->is_uploading = false;
    for (struct str run; (run = spliced_run(body, h->body_sent)).n > 0;) {
        h->is_uploading = channel_waiting(&c->channel) >= CONNECTION_HIGH_WATER_BYTES;
        if (h->is_uploading)
            return;
        const size_t n = run.n < CONNECTION_SLICE_BYTES ? run.n : CONNECTION_SLICE_BYTES;
        channel_write(&c->channel, run.p, n);
        h->body_sent += n;
    }
}

static void h1_start(struct connection *c, struct upstream_call *call)
{
    struct h1_state *h = c->state;
    struct buf *out = &c->pool->scratch;
    const struct upstream_request *r = &call->request;
    h->is_reusable = false;
    h->body_sent = 0;
    if (str_eq(r->method, STR("HEAD")))
        h1_expect_no_body(h->parser);
    if (call->is_paused)
        channel_pause(&c->channel);
    buf_reset(out);
    write_head(out, &c->pool->settings, r);
    const size_t body_bytes = spliced_bytes(&r->body);
    const size_t n = body_bytes < CONNECTION_SLICE_BYTES ? body_bytes : CONNECTION_SLICE_BYTES;
    char *with_head = buf_reserve(out, n); /* in one write with it */
    if (with_head)
        h->body_sent = spliced_read(&r->body, 0, with_head, n);
    out->len += h->body_sent;
    if (out->failed) {
        call_fail(call, UPSTREAM_UNREACHABLE, "out of memory");
        return;
    }
    channel_write(&c->channel, out->data, out->len);
    upload(c);
}

static void h1_drain(struct connection *c)
{
    struct h1_state *h = c->state;
    struct upstream_call *call = current(c);
    if (!call)
        return;
    call_sign_of_life(call);
    if (h->is_uploading)
        upload(c);
}

/* Receiving ------------------------------------------------------------------------------- */

static bool on_head(void *arg, const struct h1_head *head)
{
    struct connection *c = arg;
    struct h1_state *h = c->state;
    struct upstream_header headers[H1_HEADERS_MAX];
    if (head->status == 407 && is_relayed(&c->pool->settings)) {
        connection_close(c, UPSTREAM_UNREACHABLE,
                         c->pool->settings.egress.proxy.authorization[0]
                             ? "proxy: refuses the user and password (407)"
                             : "proxy: wants a user and password (407)");
        return false;
    }
    for (size_t i = 0; i < head->n_headers; i++)
        headers[i] = (struct upstream_header){head->headers[i].name, head->headers[i].value};
    /* An answer before the end of the request: the rest is not sent, the body not ours any more. */
    h->is_reusable = head->keep_alive && !h->is_uploading && channel_waiting(&c->channel) == 0;
    h->is_uploading = false;
    call_head(current(c), head->status, headers, head->n_headers);
    return c->phase != PHASE_CLOSED;
}

static bool on_body(void *arg, const char *p, size_t n)
{
    struct connection *c = arg;
    call_data(current(c), p, n);
    return c->phase != PHASE_CLOSED;
}

static const struct h1_callbacks h1_callbacks = {.on_head = on_head, .on_body = on_body};

/* The answer is whole. */
static void finish(struct connection *c, bool may_reuse)
{
    struct h1_state *h = c->state;
    struct upstream_call *call = current(c);
    call_detach(call);
    c->n_served++;
    if (may_reuse && h->is_reusable) {
        channel_resume(&c->channel);
        h1_forget_head(h->parser);
        connection_update(c);
    } else {
        connection_close(c, UPSTREAM_DISCONNECTED, "");
    }
    call_complete(call);
}

static void h1_receive(struct connection *c, const char *p, size_t n)
{
    struct h1_state *h = c->state;
    struct upstream_call *call = current(c);
    if (!call) { /* nobody asked: an answer to nothing must not become the next call's */
        connection_close(c, UPSTREAM_BAD_ANSWER, "an answer without a request");
        return;
    }
    call_sign_of_life(call);
    size_t taken;
    switch (h1_feed(h->parser, p, n, &taken)) {
    case H1_MORE:
        h1_forget_head(h->parser); /* the rest may take minutes */
        return;
    case H1_STOPPED:
        return;
    case H1_COMPLETE:
        finish(c, taken == n);
        return;
    case H1_UPGRADE_REFUSED:
    case H1_HEAD_TOO_LARGE:
    case H1_TOO_MANY_HEADERS:
    case H1_BAD:
        connection_close(c, UPSTREAM_BAD_ANSWER, h1_reason(h->parser));
        return;
    }
}

static void h1_on_eof(struct connection *c)
{
    struct h1_state *h = c->state;
    if (current(c) && h1_eof(h->parser) == H1_COMPLETE)
        finish(c, false);
}

/* The rest ---------------------------------------------------------------------------------- */

static bool h1_open(struct connection *c)
{
    struct h1_state *h = calloc(1, sizeof(*h));
    if (!h)
        return false;
    h->parser = h1_create(H1_RESPONSE, &h1_callbacks, c);
    if (!h->parser) {
        free(h);
        return false;
    }
    c->state = h;
    return true;
}

static void h1_destroy_state(struct connection *c)
{
    struct h1_state *h = c->state;
    h1_destroy(h->parser);
    free(h);
}

/* HTTP/1.1 has no other way to say that an answer is not wanted any more. */
static void h1_abandon(struct connection *c, struct upstream_call *call)
{
    (void)call;
    connection_close(c, UPSTREAM_DISCONNECTED, "");
}

static void h1_pause(struct connection *c, struct upstream_call *call)
{
    (void)call;
    channel_pause(&c->channel);
}

static void h1_resume(struct connection *c, struct upstream_call *call)
{
    (void)call;
    channel_resume(&c->channel);
}

static size_t h1_room(const struct connection *c)
{
    return c->n_calls == 0 ? 1 : 0;
}

static void ignore(struct connection *c)
{
    (void)c;
}

static void ignore_taken(struct connection *c, struct upstream_call *call, size_t n)
{
    (void)c;
    (void)call;
    (void)n;
}

const struct protocol h1_protocol = {
    .open = h1_open,
    .start = h1_start,
    .receive = h1_receive,
    .drain = h1_drain,
    .eof = h1_on_eof,
    .abandon = h1_abandon,
    .pause = h1_pause,
    .resume = h1_resume,
    .taken = ignore_taken,
    .on_timer = ignore,
    .flush = ignore,
    .goodbye = ignore,
    .room = h1_room,
    .destroy = h1_destroy_state,
};

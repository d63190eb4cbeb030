/*
 * HTTP/2: an exchange for each stream; what the streams want sent goes out once a turn.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/h2_server.h"
#include "sim/conn.h"

#define OUTPUT_BYTES     65536  /* of frames written at once */
#define OUT_WAITING_MAX  262144 /* on the connection; beyond it frames stay in the session */
#define WINDOW_BYTES     (1024u * 1024)
#define STREAMS_DEFAULT  250 /* what the API admits */
#define HEAD_ARENA_BYTES (4 * H2_SERVER_HEAD_BYTES_MAX)
#define RESET_INTERNAL   2 /* INTERNAL_ERROR */

struct conn_h2 {
    struct conn *conn;
    struct h2_server *server;
    struct loop_job flush_job;
};

/* One stream. */
struct call {
    struct conn_h2 *h;
    struct h2_inbound *stream;
    struct exchange *exchange;
    struct arena arena; /* the request's head, until it is whole */
    struct exchange_request request;
    struct buf body;
    bool is_started;
};

/* --- output ------------------------------------------------------------------------------------
 */

static void flush(void *arg)
{
    struct conn_h2 *h = arg;
    struct channel *channel = &h->conn->channel;
    if (h->conn->is_closed)
        return;
    struct buf out;
    buf_init(&out, OUTPUT_BYTES * 4);
    while (!h->conn->is_closed && channel_waiting(channel) < OUT_WAITING_MAX) {
        buf_reset(&out);
        bool ok = h2_server_output(h->server, &out, OUTPUT_BYTES);
        if (out.len)
            channel_write(channel, out.data, out.len);
        if (!ok) {
            conn_close(h->conn);
            break;
        }
        if (out.len < OUTPUT_BYTES)
            break;
    }
    buf_done(&out);
    if (!h->conn->is_closed && h2_server_is_over(h->server))
        conn_close_after_flush(h->conn);
}

static void flush_later(struct conn_h2 *h)
{
    if (!h->conn->is_closed) /* else the connection's end is put off already, and comes first */
        loop_defer(h->conn->w->loop, &h->flush_job);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void io_head(void *arg, int status, const struct exchange_header *headers, size_t n,
                    int64_t content_length)
{
    struct call *c = arg;
    struct h2_header h[REPLY_HEADERS_MAX + 1];
    char digits[24];
    for (size_t i = 0; i < n; i++)
        h[i] = (struct h2_header){headers[i].name, headers[i].value};
    if (content_length >= 0) {
        int len = snprintf(digits, sizeof(digits), "%lld", (long long)content_length);
        h[n++] = (struct h2_header){STR("content-length"), {digits, (size_t)len}};
    }
    h2_inbound_respond(c->stream, status, h, n, true);
    flush_later(c->h);
}

static void io_body(void *arg, const char *p, size_t n)
{
    struct call *c = arg;
    h2_inbound_write(c->stream, p, n);
    flush_later(c->h);
}

static void io_end(void *arg)
{
    struct call *c = arg;
    c->exchange = NULL;
    h2_inbound_end(c->stream);
    flush_later(c->h);
}

static void free_call(struct call *c)
{
    arena_done(&c->arena);
    buf_done(&c->body);
    free(c);
}

static void io_abort(void *arg)
{
    struct call *c = arg;
    struct conn_h2 *h = c->h;
    flush(h); /* what was said before the break goes out before it */
    h2_inbound_set_arg(c->stream, NULL);
    h2_inbound_reset(c->stream, RESET_INTERNAL);
    free_call(c);
    flush_later(h);
}

static size_t io_waiting(void *arg)
{
    struct call *c = arg;
    return h2_inbound_waiting(c->stream);
}

static const struct exchange_io io = {io_head, io_body, io_end, io_abort, io_waiting};

/* --- requests ----------------------------------------------------------------------------------
 */

static void start_exchange(struct call *c)
{
    c->is_started = true;
    c->request.body = buf_str(&c->body);
    c->request.is_loopback = c->h->conn->is_loopback;
    c->request.connection = c->h->conn->number;
    c->request.protocol = "2";
    c->exchange = exchange_start(c->h->conn->w, &c->request, &io, c);
    buf_done(&c->body);
    arena_done(&c->arena);
    c->request = (struct exchange_request){0};
    if (c->exchange)
        return;
    h2_inbound_reset(c->stream, RESET_INTERNAL);
    free_call(c);
}

static void on_request_head(void *arg, struct h2_inbound *st, const struct h2_request_head *head)
{
    struct conn_h2 *h = arg;
    struct call *c = calloc(1, sizeof(*c));
    if (!c || head->is_too_large) {
        free(c);
        h2_inbound_set_arg(st, NULL);
        h2_inbound_respond(st, 431, NULL, 0, false);
        return;
    }
    arena_init(&c->arena, HEAD_ARENA_BYTES);
    buf_init(&c->body, CONN_REQUEST_BYTES_MAX);
    c->h = h;
    c->stream = st;
    struct exchange_header *headers =
        arena_alloc(&c->arena, (head->n_headers + 1) * sizeof(*headers));
    for (size_t i = 0; headers && i < head->n_headers; i++)
        headers[i] = (struct exchange_header){arena_strdup(&c->arena, head->headers[i].name),
                                              arena_strdup(&c->arena, head->headers[i].value)};
    c->request = (struct exchange_request){.method = arena_strdup(&c->arena, head->method),
                                           .target = arena_strdup(&c->arena, head->path),
                                           .headers = headers,
                                           .n_headers = headers ? head->n_headers : 0};
    h2_inbound_set_arg(st, c);
}

static void on_body(void *arg, struct h2_inbound *st, const char *p, size_t n)
{
    (void)arg;
    struct call *c = h2_inbound_arg(st);
    if (!c || c->is_started || buf_append(&c->body, p, n))
        return;
    c->request.is_too_large = true;
    buf_done(&c->body);
    start_exchange(c);
}

static void on_end(void *arg, struct h2_inbound *st)
{
    (void)arg;
    struct call *c = h2_inbound_arg(st);
    if (c && !c->is_started)
        start_exchange(c);
}

static void on_drain(void *arg, struct h2_inbound *st)
{
    (void)arg;
    struct call *c = h2_inbound_arg(st);
    if (c && c->exchange)
        exchange_drained(c->exchange);
}

static void on_close(void *arg, struct h2_inbound *st, enum h2_close why)
{
    (void)arg, (void)why;
    struct call *c = h2_inbound_arg(st);
    if (!c)
        return;
    if (c->exchange)
        exchange_gone(c->exchange);
    free_call(c);
}

static const struct h2_server_callbacks callbacks = {on_request_head, on_body, on_end, on_drain,
                                                     on_close};

void conn_h2_data(struct conn_h2 *h, const char *p, size_t n)
{
    bool ok = h2_server_feed(h->server, p, n);
    if (ok) {
        flush_later(h);
        return;
    }
    flush(h); /* GOAWAY, with the reason */
    if (!h->conn->is_closed)
        conn_close_after_flush(h->conn);
}

void conn_h2_drained(struct conn_h2 *h)
{
    flush(h);
}

struct conn_h2 *conn_h2_create(struct conn *c)
{
    struct conn_h2 *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->conn = c;
    h->flush_job = (struct loop_job){.run = flush, .arg = h};
    const struct h2_server_options o = {
        .max_streams = c->w->sim->max_streams ? c->w->sim->max_streams : STREAMS_DEFAULT,
        .stream_window_bytes = WINDOW_BYTES,
        .stream_buffer_bytes = CONN_OUT_BYTES_MAX,
    };
    h->server = h2_server_create(&o, &callbacks, h);
    if (!h->server) {
        free(h);
        return NULL;
    }
    flush_later(h);
    return h;
}

void conn_h2_destroy(struct conn_h2 *h)
{
    if (!h)
        return;
    h2_server_destroy(h->server);
    free(h);
}

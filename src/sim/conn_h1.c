/*
 * HTTP/1.1: one exchange at a time, keep-alive, pipelined bytes kept until their turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h1.h"
#include "sim/conn.h"

#define PIPELINE_BYTES_MAX 65536
#define HEAD_BYTES_MAX     16384 /* of an answer's head */

struct conn_h1 {
    struct conn *conn;
    struct h1_parser *parser;
    struct exchange *exchange; /* while an answer is under way */
    struct arena arena;        /* the request's head */
    struct exchange_request request;
    struct buf body;
    struct buf pipelined;
    struct loop_job next_job;
    bool keeps_alive, is_head, is_chunked, is_old; /* is_old: HTTP/1.0 */
    bool is_refused; /* answered before it was read whole: the rest is thrown away */
};

static void feed(struct conn_h1 *h, const char *p, size_t n);

/* --- answers -----------------------------------------------------------------------------------
 */

static void write_head(struct conn_h1 *h, struct buf *b, int status,
                       const struct exchange_header *headers, size_t n, int64_t content_length)
{
    buf_printf(b, "HTTP/1.1 %d %s\r\n", status, h1_status_text(status));
    for (size_t i = 0; i < n; i++) {
        buf_append_str(b, headers[i].name);
        buf_append(b, ": ", 2);
        buf_append_str(b, headers[i].value);
        buf_append(b, "\r\n", 2);
    }
    h->is_chunked = content_length < 0 && !h->is_old;
    if (content_length >= 0)
        buf_printf(b, "content-length: %lld\r\n", (long long)content_length);
    else if (h->is_chunked)
        buf_append_z(b, "transfer-encoding: chunked\r\n");
    else
        h->keeps_alive = false;
    buf_append_z(b,
                 h->keeps_alive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n");
}

static void io_head(void *arg, int status, const struct exchange_header *headers, size_t n,
                    int64_t content_length)
{
    struct conn_h1 *h = arg;
    struct buf b;
    buf_init(&b, HEAD_BYTES_MAX);
    write_head(h, &b, status, headers, n, content_length);
    channel_write(&h->conn->channel, b.data, b.len);
    buf_done(&b);
}

static size_t write_hex(char *to, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char reversed[16];
    size_t len = 0;
    do
        reversed[len++] = digits[n % 16];
    while (n /= 16);
    for (size_t i = 0; i < len; i++)
        to[i] = reversed[len - 1 - i];
    return len;
}

/* A chunk goes out with one write: a delta is a system call, and should not be two. */
static void write_chunk(struct channel *c, const char *p, size_t n)
{
    char small[2048];
    char size[20];
    size_t head = write_hex(size, n);
    size[head++] = '\r';
    size[head++] = '\n';
    if (head + n + 2 <= sizeof(small)) {
        memcpy(small, size, head);
        memcpy(small + head, p, n);
        memcpy(small + head + n, "\r\n", 2);
        channel_write(c, small, head + n + 2);
        return;
    }
    channel_write(c, size, head);
    channel_write(c, p, n);
    channel_write(c, "\r\n", 2);
}

static void io_body(void *arg, const char *p, size_t n)
{
    struct conn_h1 *h = arg;
    if (h->is_head || n == 0)
        return;
    if (h->is_chunked)
        write_chunk(&h->conn->channel, p, n);
    else
        channel_write(&h->conn->channel, p, n);
}

static void next_request(void *arg)
{
    struct conn_h1 *h = arg;
    if (h->conn->is_closed || h->exchange)
        return;
    struct buf held = h->pipelined;
    buf_init(&h->pipelined, PIPELINE_BYTES_MAX);
    if (held.len)
        feed(h, held.data, held.len);
    buf_done(&held);
}

static void io_end(void *arg)
{
    struct conn_h1 *h = arg;
    h->exchange = NULL;
    if (h->is_chunked && !h->is_head)
        channel_write(&h->conn->channel, "0\r\n\r\n", 5);
    if (!h->keeps_alive) {
        conn_close_after_flush(h->conn);
        return;
    }
    h1_forget_head(h->parser);
    loop_defer(h->conn->w->loop, &h->next_job);
}

static void io_abort(void *arg)
{
    struct conn_h1 *h = arg;
    h->exchange = NULL;
    conn_close(h->conn);
}

static size_t io_waiting(void *arg)
{
    struct conn_h1 *h = arg;
    return channel_waiting(&h->conn->channel);
}

static const struct exchange_io io = {io_head, io_body, io_end, io_abort, io_waiting};

/* --- requests ----------------------------------------------------------------------------------
 */

static void start_exchange(struct conn_h1 *h)
{
    h->request.body = buf_str(&h->body);
    h->request.is_loopback = h->conn->is_loopback;
    h->request.connection = h->conn->number;
    h->request.protocol = "1.1";
    h->exchange = exchange_start(h->conn->w, &h->request, &io, h);
    buf_done(&h->body);
    arena_done(&h->arena);
    h->request = (struct exchange_request){0};
    if (!h->exchange)
        conn_close(h->conn);
}

/* The parser's strings live until the next message, but the exchange is started with copies all
 * the same: it may be refused while the body still comes. */
static bool on_head(void *arg, const struct h1_head *head)
{
    struct conn_h1 *h = arg;
    struct exchange_header *headers =
        arena_alloc(&h->arena, (head->n_headers + 1) * sizeof(*headers));
    if (!headers)
        return false;
    for (size_t i = 0; i < head->n_headers; i++)
        headers[i] = (struct exchange_header){arena_strdup(&h->arena, head->headers[i].name),
                                              arena_strdup(&h->arena, head->headers[i].value)};
    h->request = (struct exchange_request){.method = arena_strdup(&h->arena, head->method),
                                           .target = arena_strdup(&h->arena, head->target),
                                           .headers = headers,
                                           .n_headers = head->n_headers};
    h->keeps_alive = head->keep_alive;
    h->is_old = head->is_http_1_0;
    h->is_head = str_eq(head->method, STR("HEAD"));
    if (head->content_length > (int64_t)CONN_REQUEST_BYTES_MAX) {
        h->request.is_too_large = true;
        return false;
    }
    if (head->expects_continue)
        channel_write(&h->conn->channel, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return h->request.method.p && h->request.target.p;
}

static bool on_body(void *arg, const char *p, size_t n)
{
    struct conn_h1 *h = arg;
    if (buf_append(&h->body, p, n))
        return true;
    h->request.is_too_large = true;
    return false;
}

static void refuse(struct conn_h1 *h, int status)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n"
                     "connection: close\r\n\r\n",
                     status, h1_status_text(status));
    h->is_refused = true;
    channel_write(&h->conn->channel, text, (size_t)n);
    conn_close_after_flush(h->conn);
}

static void keep_pipelined(struct conn_h1 *h, const char *p, size_t n)
{
    if (n && !buf_append(&h->pipelined, p, n))
        conn_close(h->conn);
}

static void feed(struct conn_h1 *h, const char *p, size_t n)
{
    size_t taken = 0;
    switch (h1_feed(h->parser, p, n, &taken)) {
    case H1_MORE:
        return;
    case H1_COMPLETE:
        keep_pipelined(h, p + taken, n - taken);
        if (!h->conn->is_closed)
            start_exchange(h);
        return;
    case H1_STOPPED:
        if (!h->request.is_too_large) {
            conn_close(h->conn);
            return;
        }
        h->is_refused = true;
        h->keeps_alive = false;
        buf_done(&h->body);
        start_exchange(h);
        return;
    case H1_HEAD_TOO_LARGE:
    case H1_TOO_MANY_HEADERS:
        refuse(h, 431);
        return;
    case H1_UPGRADE_REFUSED:
    case H1_BAD:
        refuse(h, 400);
        return;
    }
}

void conn_h1_data(struct conn_h1 *h, const char *p, size_t n)
{
    if (h->is_refused)
        return;
    if (h->exchange || h->next_job.is_queued)
        keep_pipelined(h, p, n);
    else
        feed(h, p, n);
}

void conn_h1_drained(struct conn_h1 *h)
{
    if (h->exchange)
        exchange_drained(h->exchange);
}

static const struct h1_callbacks parser_callbacks = {on_head, on_body};

struct conn_h1 *conn_h1_create(struct conn *c)
{
    struct conn_h1 *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->conn = c;
    h->next_job = (struct loop_job){.run = next_request, .arg = h};
    h->parser = h1_create(H1_REQUEST, &parser_callbacks, h);
    arena_init(&h->arena, 4 * H1_HEAD_BYTES_MAX);
    buf_init(&h->body, CONN_REQUEST_BYTES_MAX);
    buf_init(&h->pipelined, PIPELINE_BYTES_MAX);
    if (!h->parser) {
        free(h);
        return NULL;
    }
    return h;
}

void conn_h1_gone(struct conn_h1 *h)
{
    if (h->exchange)
        exchange_gone(h->exchange);
    h->exchange = NULL;
}

void conn_h1_destroy(struct conn_h1 *h)
{
    if (!h)
        return;
    h1_destroy(h->parser);
    arena_done(&h->arena);
    buf_done(&h->body);
    buf_done(&h->pipelined);
    free(h);
}

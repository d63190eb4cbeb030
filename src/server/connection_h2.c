/*
 * Streams and their requests. Answers are written as HTTP/1.1 has them, without chunks: the head's
 * lines become headers here, what follows is the body. Frames go out once a turn.
 */
#include "server/connection_h2.h"

#include <stdlib.h>

#include "http/h2_server.h"
#include "server/connection_kind.h"
#include "server/relay.h"
#include "server/request.h"
#include "server/worker.h"

#define STREAMS_MAX      100
#define WINDOW_BYTES     262144
#define OUT_BYTES_MAX    (96u << 20) /* of one stream, as on an HTTP/1.1 connection */
#define OUTPUT_BYTES     65536       /* of frames written at once */
#define SOCKET_HIGH_MARK 262144      /* with more waiting, frames stay with their streams */
#define ANSWER_HEADERS   60
/* The rest of a body whose request is answered. */
#define DISCARDED_BYTES_MAX 65536
/* Streams that a client may cancel, and frames it may send that carry nothing or break a rule; one
 * with more of them only keeps us busy (CVE-2023-44487, CVE-2019-9512 to 9518). */
#define RESETS_MAX     300
#define NOISE_MAX      3000
#define CALM_PERIOD_US (10 * INT64_C(1000000))
#define SWEEP_MS       2000

struct connection_h2 {
    struct connection_h2_host host;
    struct h2_server *server;
    struct list streams;  /* that nghttp2 knows */
    struct list breaking; /* to be reset once what was written has gone out */
    struct timer timer;   /* streams: the sweep; none: the end of idleness */
    struct loop_job flush_job;
    int64_t calm_since_us, socket_moved_us;
    uint64_t n_resets;       /* since calm_since_us */
    uint64_t noise_then;     /* the session's count at calm_since_us */
    uint64_t socket_written; /* handed to the channel */
    uint64_t socket_taken;   /* of them, by the client, when last looked at */
    bool is_draining, is_gone;
};

struct h2_stream {
    struct connection base;
    struct list node;
    struct connection_h2 *client;
    struct h2_inbound *inbound;
    struct request *request; /* NULL: answered */
    struct loop_job free_job;
    bool has_head;      /* of the answer: written */
    bool is_failed;     /* more was written than may wait */
    bool is_body_whole; /* of the request */
    int64_t began_us;
    int64_t body_at_us; /* when a piece came last */
    uint64_t body_bytes;
    int64_t moved_at_us;    /* when the client last took a piece of the answer */
    uint64_t written_bytes; /* of the answer */
    uint64_t taken_bytes;   /* of them, by frames, when last looked at */
    size_t n_discarded;
    uint32_t break_code;
};

static struct h2_stream *stream_of(struct connection *c)
{
    return (struct h2_stream *)c; /* its first member */
}

static const struct config *config_of(const struct connection_h2 *h)
{
    return &h->host.worker->settings.current->config;
}

static int64_t now_us(const struct connection_h2 *h)
{
    return loop_now_us(h->host.worker->loop);
}

static void watch(struct connection_h2 *h)
{
    if (!h->is_gone)
        timer_start(&h->timer,
                    list_is_empty(&h->streams) ? config_of(h)->idle_timeout_s * 1000 : SWEEP_MS);
}

/* Ends of streams ---------------------------------------------------------------------------- */

static void free_stream(void *arg)
{
    free(arg);
}

static void flush_later(struct connection_h2 *h)
{
    if (!h->is_gone)
        loop_defer(h->host.worker->loop, &h->flush_job);
}

/* Breaks a stream off. Its request knows already. */
static void reset(struct h2_stream *s, uint32_t error_code)
{
    struct connection_h2 *h = s->client;
    h2_inbound_set_arg(s->inbound, NULL);
    h2_inbound_reset(s->inbound, error_code);
    list_remove(&s->node);
    loop_defer(h->host.worker->loop, &s->free_job); /* its request may be calling */
    if (list_is_empty(&h->streams))
        watch(h);
    flush_later(h);
}

/* The same, once what is written has gone out; its request is told then, unless it is over. */
static void break_off(struct h2_stream *s, uint32_t error_code)
{
    s->break_code = error_code;
    list_remove(&s->node);
    list_append(&s->client->breaking, &s->node);
    flush_later(s->client);
}

static void tell_request(struct h2_stream *s, enum end_reason why)
{
    struct request *r = s->request;
    s->request = NULL;
    if (r)
        request_client_left(r, why);
}

/* For requests ------------------------------------------------------------------------------- */

static void stream_drop(struct connection *c)
{
    struct h2_stream *s = stream_of(c);
    s->request = NULL; /* it is the one that calls */
    reset(s, H2_INTERNAL_ERROR);
}

/* Means something between two ends of a connection, not on a stream (RFC 9113, 8.2.2). */
static bool is_hop_header(struct str name)
{
    return str_eq(name, STR("connection")) || str_eq(name, STR("keep-alive")) ||
           str_eq(name, STR("transfer-encoding"));
}

/* Our own head, as response.c writes it: "HTTP/1.1 200 OK", "name: value"... */
static bool respond(struct h2_stream *s, struct str head)
{
    struct h2_header headers[ANSWER_HEADERS];
    struct str line, name;
    uint64_t status;
    size_t n = 0;
    if (!str_split(&head, '\n', &line) || line.n < 12 ||
        !str_to_u64((struct str){line.p + 9, 3}, &status))
        return false;
    while (str_split(&head, '\n', &line)) {
        struct str value = str_trim(line);
        if (value.n == 0 || !str_split(&value, ':', &name) || is_hop_header(name))
            continue;
        if (n == ANSWER_HEADERS)
            return false;
        headers[n++] = (struct h2_header){name, str_trim(value)};
    }
    return h2_inbound_respond(s->inbound, (int)status, headers, n, true);
}

static void stream_write(struct connection *c, struct str bytes)
{
    struct h2_stream *s = stream_of(c);
    if (bytes.n == 0 || s->is_failed)
        return;
    bool is_fine = true;
    if (!s->has_head) {
        const ptrdiff_t end = str_find(bytes, STR("\r\n\r\n"));
        is_fine = end >= 0 && respond(s, (struct str){bytes.p, (size_t)end});
        s->has_head = true;
        if (is_fine)
            bytes = (struct str){bytes.p + end + 4, bytes.n - (size_t)end - 4};
    }
    s->written_bytes += bytes.n;
    if (is_fine && (bytes.n == 0 || h2_inbound_write(s->inbound, bytes.p, bytes.n))) {
        flush_later(s->client);
        return;
    }
    s->is_failed = true;
    break_off(s, H2_INTERNAL_ERROR); /* the client reads nothing, or there is no memory */
}

static size_t stream_waiting(const struct connection *c)
{
    return h2_inbound_waiting(((const struct h2_stream *)c)->inbound);
}

static bool stream_keeps_alive(const struct connection *c)
{
    (void)c;
    return true; /* a stream's end is none of the connection's */
}

static void stream_over(struct connection *c, enum connection_rest rest)
{
    struct h2_stream *s = stream_of(c);
    s->request = NULL;
    if (rest != CONNECTION_BREAKS && s->has_head && !s->is_failed) {
        h2_inbound_end(s->inbound);
        flush_later(s->client);
    } else {
        break_off(s, H2_INTERNAL_ERROR);
    }
}

static const char *stream_tls_version(const struct connection *c)
{
    return channel_tls_version(((const struct h2_stream *)c)->client->host.channel);
}

static const struct connection_kind stream_kind = {
    stream_write, stream_waiting, stream_keeps_alive, stream_over, stream_drop, stream_tls_version,
};

/* Output ------------------------------------------------------------------------------------- */

/* False when the connection cannot go on. */
static bool write_frames(struct connection_h2 *h)
{
    struct channel *channel = h->host.channel;
    struct buf out;
    bool is_fine = true, has_more = true;
    buf_init(&out, 4 * OUTPUT_BYTES);
    while (is_fine && has_more && channel_waiting(channel) < SOCKET_HIGH_MARK) {
        buf_reset(&out);
        is_fine = h2_server_output(h->server, &out, OUTPUT_BYTES);
        channel_write(channel, out.data, out.len);
        h->socket_written += out.len;
        has_more = out.len >= OUTPUT_BYTES;
    }
    buf_done(&out);
    return is_fine;
}

static void close_all(struct connection_h2 *h, enum end_reason why, bool is_orderly)
{
    connection_h2_gone(h, why);
    h->host.close(h->host.arg, is_orderly);
}

static void flush(void *arg)
{
    struct connection_h2 *h = arg;
    if (h->is_gone)
        return;
    bool is_fine = write_frames(h);
    while (!list_is_empty(&h->breaking)) {
        struct h2_stream *s = LIST_OF(h->breaking.next, struct h2_stream, node);
        tell_request(s, END_CLIENT_STALLED);
        reset(s, s->break_code);
    }
    is_fine = is_fine && write_frames(h);
    if (!is_fine)
        close_all(h, END_CLIENT_GONE, false);
    else if (h2_server_is_over(h->server) || (h->is_draining && list_is_empty(&h->streams)))
        close_all(h, END_CLIENT_GONE, true);
}

/* Requests ----------------------------------------------------------------------------------- */

/*
 * The head as HTTP/1.1's parser gives it. Called HTTP/1.0, for what that means to answers: no
 * chunks, no 100 Continue, an end that is told by other means.
 */
static void begin_request(struct h2_stream *s, const struct h2_request_head *head)
{
    struct h1_header headers[H2_SERVER_HEADERS_MAX];
    struct h1_head h1 = {
        .method = head->method,
        .target = head->path.n ? head->path : STR("/"),
        .is_http_1_0 = true,
        .content_length = -1,
        .headers = headers,
        .n_headers = head->n_headers,
    };
    uint64_t length;
    for (size_t i = 0; i < head->n_headers; i++)
        headers[i] = (struct h1_header){head->headers[i].name, head->headers[i].value};
    if (str_to_u64(h1_find(&h1, STR("content-length")), &length) && length <= INT64_MAX)
        h1.content_length = (int64_t)length;
    s->request = request_begin(&s->base, s->client->host.worker, &h1);
    if (s->request)
        request_drive(s->request);
    else
        reset(s, H2_INTERNAL_ERROR);
}

static void on_request_head(void *arg, struct h2_inbound *inbound,
                            const struct h2_request_head *head)
{
    struct connection_h2 *h = arg;
    struct h2_stream *s = calloc(1, sizeof(*s));
    if (!s || h->is_gone) {
        free(s);
        h2_inbound_reset(inbound, H2_INTERNAL_ERROR);
        return;
    }
    *s = (struct h2_stream){.base = {.kind = &stream_kind}, .client = h, .inbound = inbound};
    s->free_job = (struct loop_job){.run = free_stream, .arg = s};
    s->began_us = s->body_at_us = s->moved_at_us = now_us(h);
    h2_inbound_set_arg(inbound, s);
    if (list_is_empty(&h->streams))
        h->socket_moved_us = s->began_us; /* nobody has looked since there was a stream */
    list_append(&h->streams, &s->node);
    watch(h);
    if (head->is_too_large)
        request_refuse(&s->base, h->host.worker, END_HEAD_TOO_LARGE, NULL);
    else
        begin_request(s, head);
}

static void on_body(void *arg, struct h2_inbound *inbound, const char *p, size_t n)
{
    struct connection_h2 *h = arg;
    struct h2_stream *s = h2_inbound_arg(inbound);
    if (!s)
        return;
    s->body_at_us = now_us(h);
    s->body_bytes += n;
    if (s->request) {
        request_body(s->request, p, n);
        return;
    }
    s->n_discarded += n;
    if (s->n_discarded > DISCARDED_BYTES_MAX)
        break_off(s, H2_NO_ERROR); /* it has its answer, and is to send no more */
}

static void on_end(void *arg, struct h2_inbound *inbound)
{
    (void)arg;
    struct h2_stream *s = h2_inbound_arg(inbound);
    if (!s)
        return;
    s->is_body_whole = true;
    if (s->request)
        request_body_end(s->request);
}

static void on_drain(void *arg, struct h2_inbound *inbound)
{
    struct connection_h2 *h = arg;
    struct h2_stream *s = h2_inbound_arg(inbound);
    if (!s)
        return;
    s->moved_at_us = now_us(h);
    if (s->request)
        relay_client_drained(s->request);
}

/* Whether the client does little but keep us busy. */
static bool is_abusive(struct connection_h2 *h)
{
    const uint64_t noise = h2_server_noise(h->server);
    if (h->n_resets > RESETS_MAX || noise - h->noise_then > NOISE_MAX)
        return true;
    if (now_us(h) - h->calm_since_us > CALM_PERIOD_US) {
        h->calm_since_us = now_us(h);
        h->n_resets = 0;
        h->noise_then = noise;
    }
    return false;
}

static void on_close(void *arg, struct h2_inbound *inbound, enum h2_close why)
{
    struct connection_h2 *h = arg;
    struct h2_stream *s = h2_inbound_arg(inbound);
    if (why == H2_INBOUND_RESET)
        h->n_resets++;
    if (!s)
        return;
    tell_request(s, END_CLIENT_GONE);
    list_remove(&s->node);
    loop_defer(h->host.worker->loop, &s->free_job);
    if (list_is_empty(&h->streams)) {
        watch(h);
        flush_later(h); /* a draining one may be over */
    }
}

/* Time --------------------------------------------------------------------------------------- */

/* Nothing of the body for too long, or too little. */
static bool is_body_late(const struct h2_stream *s)
{
    const struct config *config = config_of(s->client);
    const int64_t now = now_us(s->client);
    return !s->is_body_whole &&
           (now - s->body_at_us > config->body_timeout_s * 1000000 ||
            connection_body_is_too_slow(config, now - s->began_us, s->body_bytes));
}

/* A request that does not come, an answer that is not taken. */
static void sweep_stream(struct h2_stream *s)
{
    const int64_t now = now_us(s->client);
    const size_t waiting = h2_inbound_waiting(s->inbound);
    const uint64_t taken = s->written_bytes - waiting;
    if (waiting == 0 || taken != s->taken_bytes)
        s->moved_at_us = now;
    s->taken_bytes = taken;
    if (now - s->moved_at_us > config_of(s->client)->stall_timeout_s * 1000000) {
        tell_request(s, END_CLIENT_STALLED);
        reset(s, H2_CANCEL);
        return;
    }
    if (!is_body_late(s))
        return;
    if (s->request)
        request_end_from_outside(s->request, END_BODY_TIMEOUT, NULL);
    else
        reset(s, H2_NO_ERROR);
}

/* Whether the socket takes nothing of what waits. */
static bool is_stalled(struct connection_h2 *h)
{
    const size_t waiting = channel_waiting(h->host.channel);
    const uint64_t taken = h->socket_written - waiting;
    if (waiting == 0 || taken != h->socket_taken)
        h->socket_moved_us = now_us(h);
    h->socket_taken = taken;
    return now_us(h) - h->socket_moved_us > config_of(h)->stall_timeout_s * 1000000;
}

static void on_timer(void *arg)
{
    struct connection_h2 *h = arg;
    if (list_is_empty(&h->streams)) {
        connection_h2_drain(h, false); /* idle for long enough */
        return;
    }
    if (is_stalled(h)) {
        close_all(h, END_CLIENT_STALLED, false);
        return;
    }
    LIST_EACH(&h->streams, it, next)
    sweep_stream(LIST_OF(it, struct h2_stream, node));
    watch(h);
}

/* For the socket ----------------------------------------------------------------------------- */

struct connection_h2 *connection_h2_create(const struct connection_h2_host *host)
{
    static const struct h2_server_callbacks callbacks = {on_request_head, on_body, on_end, on_drain,
                                                         on_close};
    static const struct h2_server_options options = {
        .max_streams = STREAMS_MAX,
        .stream_window_bytes = WINDOW_BYTES,
        .stream_buffer_bytes = OUT_BYTES_MAX,
    };
    struct connection_h2 *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->host = *host;
    h->server = h2_server_create(&options, &callbacks, h);
    if (!h->server) {
        free(h);
        return NULL;
    }
    list_init(&h->streams);
    list_init(&h->breaking);
    h->flush_job = (struct loop_job){.run = flush, .arg = h};
    timer_init(&h->timer, host->worker->loop, on_timer, h);
    watch(h);
    flush_later(h); /* our settings */
    return h;
}

void connection_h2_data(struct connection_h2 *h, const char *p, size_t n)
{
    if (h->is_gone)
        return;
    const bool is_fine = h2_server_feed(h->server, p, n);
    if (is_fine && !is_abusive(h)) {
        flush_later(h);
        return;
    }
    if (is_fine)
        h2_server_goaway(h->server, H2_ENHANCE_YOUR_CALM);
    (void)write_frames(h); /* GOAWAY, with the reason */
    close_all(h, END_CLIENT_GONE, true);
}

void connection_h2_drained(struct connection_h2 *h)
{
    flush(h);
}

void connection_h2_drain(struct connection_h2 *h, bool now)
{
    if (h->is_gone)
        return;
    h->is_draining = true;
    h2_server_goaway(h->server, H2_NO_ERROR);
    LIST_EACH(&h->streams, it, next)
    {
        struct h2_stream *s = LIST_OF(it, struct h2_stream, node);
        if (now && s->request)
            request_end_from_outside(s->request, END_SHUTDOWN, NULL);
    }
    if (now)
        flush(h);
    else
        flush_later(h);
}

void connection_h2_gone(struct connection_h2 *h, enum end_reason why)
{
    if (h->is_gone)
        return;
    h->is_gone = true;
    timer_done(&h->timer);
    LIST_EACH(&h->streams, it, next)
    tell_request(LIST_OF(it, struct h2_stream, node), why);
    LIST_EACH(&h->breaking, it2, next2)
    tell_request(LIST_OF(it2, struct h2_stream, node), why);
}

void connection_h2_destroy(struct connection_h2 *h)
{
    if (!h)
        return;
    h2_server_destroy(h->server);
    free(h);
}

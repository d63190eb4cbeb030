/*
 * The HTTP/2 server of the tests; see test_h2_server.h.
 */
#include "upstream/test_h2_server.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_MAX (64 * 1024 * 1024)

/* Certificates ------------------------------------------------------------------------------ */

#define CERT_KINDS 3
static char cert_paths[CERT_KINDS][64];

const char *cert_path(enum cert_kind kind)
{
    char *path = cert_paths[kind];
    if (path[0])
        return path;
    snprintf(path, sizeof(cert_paths[0]), "/tmp/upstream-test-%d-%d.pem", (int)getpid(), (int)kind);
    const char *name = kind == CERT_OTHER_NAME ? "other.example" : "localhost";
    char command[2048];
    snprintf(command, sizeof(command),
             "exec 2>/dev/null; f=%s; "
             "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=%s "
             "-addext subjectAltName=DNS:%s -keyout $f.key -out $f.csr && "
             "openssl x509 -req -in $f.csr -signkey $f.key -days %d -copy_extensions copy "
             "-out $f.crt && cat $f.key $f.crt > $f && rm $f.key $f.csr $f.crt",
             path, name, name, kind == CERT_EXPIRED ? -1 : 2);
    assert_int_equal(system(command), 0);
    return path;
}

int certs_remove(void **state)
{
    (void)state;
    for (size_t i = 0; i < CERT_KINDS; i++)
        if (cert_paths[i][0])
            unlink(cert_paths[i]);
    return 0;
}

/* Sending ----------------------------------------------------------------------------------- */

/* Gathers frames, as servers do: several answers then come in one piece. */
static bool gather(struct h2_peer *p, struct buf *out)
{
    const uint8_t *bytes;
    ssize_t n = 1;
    while (out->len < 16000 && (n = nghttp2_session_mem_send(p->session, &bytes)) > 0)
        assert_true(buf_append(out, bytes, (size_t)n));
    return n > 0;
}

static void flush(void *arg)
{
    struct h2_peer *p = arg;
    bool has_more = true;
    /* No more than the socket takes, or flow control would mean nothing. */
    while (has_more && !p->is_closed && !p->is_mute && p->session &&
           channel_waiting(&p->channel) < 65536) {
        struct buf out;
        buf_init(&out, 65536);
        has_more = gather(p, &out);
        channel_write(&p->channel, out.data, out.len);
        buf_done(&out);
    }
}

static void flush_later(struct h2_peer *p)
{
    loop_defer(p->server->world->loop, &p->flush_job);
}

static nghttp2_nv make_nv(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)arg;
    struct h2_test_stream *s = source->ptr;
    size_t n = s->left < size ? s->left : size;
    if (n == 0 && s->stays_open)
        return NGHTTP2_ERR_DEFERRED;
    memset(to, 'y', n);
    s->left -= n;
    if (s->left > 0 || s->stays_open)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->has_trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_nv trailer = make_nv("x-trailer", "t");
        nghttp2_submit_trailer(session, id, &trailer, 1);
    }
    return (ssize_t)n;
}

static void submit(struct h2_test_stream *s, nghttp2_nv *nv, size_t n)
{
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_answer};
    const bool has_body = s->left > 0 || s->stays_open;
    assert_int_equal(
        nghttp2_submit_response(s->peer->session, s->id, nv, n, has_body ? &provider : NULL), 0);
    flush_later(s->peer);
}

void stream_answer(struct h2_test_stream *s, int status, size_t n, bool stays_open)
{
    char text[12];
    snprintf(text, sizeof(text), "%d", status);
    nghttp2_nv nv[] = {make_nv(":status", text), make_nv("content-type", "text/event-stream")};
    s->left = n;
    s->stays_open = stays_open;
    submit(s, nv, PX_ARRAY_LEN(nv));
}

void stream_answer_sized(struct h2_test_stream *s, size_t promised, size_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%zu", promised);
    nghttp2_nv nv[] = {make_nv(":status", "200"), make_nv("content-length", text)};
    s->left = n;
    submit(s, nv, PX_ARRAY_LEN(nv));
}

void stream_go_on(struct h2_test_stream *s, size_t n)
{
    s->left += n;
    s->stays_open = false;
    nghttp2_session_resume_data(s->peer->session, s->id);
    flush_later(s->peer);
}

void stream_headers(struct h2_test_stream *s, size_t n_headers, size_t value_bytes)
{
    nghttp2_nv *nv = calloc(n_headers + 1, sizeof(*nv));
    char *value = calloc(1, value_bytes + 1);
    assert_true(nv && value);
    memset(value, 'v', value_bytes);
    nv[0] = make_nv(":status", "200");
    for (size_t i = 1; i <= n_headers; i++)
        nv[i] = make_nv("x-name", value);
    submit(s, nv, n_headers + 1);
    free(nv);
    free(value);
}

void stream_informational(struct h2_test_stream *s, int status)
{
    char text[12];
    snprintf(text, sizeof(text), "%d", status);
    nghttp2_nv nv[] = {make_nv(":status", text), make_nv("link", "x")};
    nghttp2_submit_headers(s->peer->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, PX_ARRAY_LEN(nv),
                           NULL);
    flush_later(s->peer);
}

void stream_reset(struct h2_test_stream *s, uint32_t code)
{
    nghttp2_submit_rst_stream(s->peer->session, NGHTTP2_FLAG_NONE, s->id, code);
    flush_later(s->peer);
}

void peer_goaway(struct h2_peer *p, int32_t last_id, uint32_t code)
{
    nghttp2_submit_goaway(p->session, NGHTTP2_FLAG_NONE, last_id, code, NULL, 0);
    flush_later(p);
}

void peer_cut(struct h2_peer *p)
{
    if (p->is_closed)
        return;
    p->is_closed = true;
    channel_close(&p->channel);
}

/* Receiving --------------------------------------------------------------------------------- */

static struct h2_test_stream *find_stream(struct h2_peer *p, int32_t id)
{
    struct h2_test_stream *s = p->streams;
    while (s && s->id != id)
        s = s->next;
    return s;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2_peer *p = arg;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_test_stream *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->peer = p;
    s->id = frame->hd.stream_id;
    s->next = p->streams;
    p->streams = s;
    p->n_requests++;
    p->server->n_requests++;
    if (++p->n_open > p->max_open)
        p->max_open = p->n_open;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)session;
    (void)flags;
    struct h2_test_stream *s = find_stream(arg, frame->hd.stream_id);
    size_t at = strlen(s->headers);
    snprintf(s->headers + at, sizeof(s->headers) - at, "%.*s: %.*s\n", (int)name_n,
             (const char *)name, (int)value_n, (const char *)value);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2_peer *p = arg;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_test_stream *s = find_stream(p, frame->hd.stream_id);
    s->is_whole = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS || s->is_whole)
        p->server->on_request(s);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                    size_t n, void *arg)
{
    (void)session;
    (void)flags;
    (void)bytes;
    find_stream(arg, id)->body_bytes += n;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)session;
    struct h2_peer *p = arg;
    struct h2_test_stream *s = find_stream(p, id);
    s->is_closed = true;
    s->close_code = code;
    s->closed_us = loop_now_us(p->server->world->loop);
    p->n_open--;
    return 0;
}

static void on_data(void *arg, const char *bytes, size_t n)
{
    struct h2_peer *p = arg;
    if (p->is_mute || !p->session)
        return;
    assert_int_equal(nghttp2_session_mem_recv(p->session, (const uint8_t *)bytes, n), n);
    flush_later(p);
}

static void on_drain(void *arg)
{
    flush(arg);
}

static void on_end(void *arg, enum channel_end why)
{
    (void)why;
    struct h2_peer *p = arg;
    p->is_gone = true;
    peer_cut(p);
}

static void create_session(struct h2_peer *p)
{
    nghttp2_session_callbacks *cb;
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    assert_int_equal(nghttp2_session_server_new(&p->session, cb, p), 0);
    nghttp2_session_callbacks_del(cb);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, p->server->max_concurrent}};
    nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, settings, PX_ARRAY_LEN(settings));
}

static void on_open(void *arg)
{
    struct h2_peer *p = arg;
    assert_true(str_eq(channel_alpn(&p->channel), STR("h2")));
    if (p->server->speaks_garbage) {
        static const char garbage[] = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        channel_write(&p->channel, garbage, sizeof(garbage) - 1);
        return;
    }
    create_session(p);
    flush_later(p);
}

static const struct channel_callbacks callbacks = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_end = on_end};

static void on_accept(void *arg, int fd)
{
    struct h2_server *s = arg;
    struct h2_peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->server = s;
    p->next = s->peers;
    s->peers = p;
    p->number = ++s->n_peers;
    p->flush_job = (struct loop_job){.run = flush, .arg = p};
    channel_open(&p->channel, s->world->loop, fd, tls_server(s->tls), OUT_MAX, &callbacks, p);
}

/* The server -------------------------------------------------------------------------------- */

void h2_server_start(struct h2_server *s, struct world *w, enum cert_kind kind,
                     void (*on_request)(struct h2_test_stream *s))
{
    char why[256];
    *s = (struct h2_server){.world = w, .on_request = on_request, .max_concurrent = 1000};
    const struct tls_server_options options = {
        .cert_file = cert_path(kind), .key_file = cert_path(kind), .offers_h2 = true};
    s->tls = tls_server_context(&options, why, sizeof(why));
    assert_non_null(s->tls);
    s->listener = listener_open(w->loop, "127.0.0.1", 0, on_accept, s, why, sizeof(why));
    assert_non_null(s->listener);
    world_aim(w, "https://localhost", listener_port(s->listener));
    w->settings.tls = tls_client_context(cert_path(kind), why, sizeof(why));
    assert_non_null(w->settings.tls);
}

void h2_server_stop(struct h2_server *s)
{
    listener_close(s->listener);
    for (struct h2_peer *p = s->peers; p; p = p->next)
        peer_cut(p);
    run_for(s->world, 1);
    while (s->peers) {
        struct h2_peer *p = s->peers;
        s->peers = p->next;
        nghttp2_session_del(p->session);
        while (p->streams) {
            struct h2_test_stream *next = p->streams->next;
            free(p->streams);
            p->streams = next;
        }
        free(p);
    }
    tls_context_destroy(s->tls);
    tls_context_destroy(s->world->settings.tls);
}

struct h2_peer *h2_server_peer(struct h2_server *s, int number)
{
    struct h2_peer *p = s->peers;
    while (p && p->number != number)
        p = p->next;
    assert_non_null(p);
    return p;
}

struct h2_test_stream *h2_server_find(struct h2_server *s, const char *path_end)
{
    char line[256];
    snprintf(line, sizeof(line), "%s\n", path_end);
    for (struct h2_peer *p = s->peers; p; p = p->next)
        for (struct h2_test_stream *t = p->streams; t; t = t->next)
            if (strstr(t->headers, line))
                return t;
    return NULL;
}

void h2_begin(struct h2_fixture *f, void (*on_request)(struct h2_test_stream *s))
{
    world_init(&f->world);
    h2_server_start(&f->server, &f->world, CERT_GOOD, on_request);
}

void h2_finish(struct h2_fixture *f)
{
    upstream_destroy(f->world.upstream);
    f->world.upstream = NULL;
    run_for(&f->world, 1);
    h2_server_stop(&f->server);
    world_done(&f->world);
}

/* Ready answers ----------------------------------------------------------------------------- */

void say_nothing(struct h2_test_stream *s)
{
    (void)s;
}

void answer_whole(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, 5, false);
}

void answer_thousand(struct h2_test_stream *s)
{
    stream_answer(s, 200, 1000, false);
}

void answer_part(struct h2_test_stream *s)
{
    if (s->is_whole)
        stream_answer(s, 200, 100, true);
}

void assert_whole(const struct probe *p, size_t n)
{
    if (p->n_fails)
        fail_msg("failed: %d %s", (int)p->why, p->detail);
    assert_int_equal(p->n_ends, 1);
    assert_int_equal(p->status, 200);
    assert_int_equal(p->body_bytes, n);
}

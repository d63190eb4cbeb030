/*
 * An nghttp2 client session: limits, flow control, and what nghttp2 leaves to us (the head put
 * together, the difference between refused, reset and invalid).
 */
#include "http/h2_client.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The connection's window only has to cover the line's delay: it is given back on arrival. */
#define CONNECTION_WINDOW_BYTES (16 * 1024 * 1024)
/* A head's buffers beyond this are not kept for the next one. */
#define HEAD_KEPT_BYTES 4096
/* Pseudo-headers and headers of a request. */
#define REQUEST_FIELDS_MAX 128

/* A field of the head that is being read, as offsets: the text may still move. */
struct span {
    uint32_t name_at, name_n, value_at, value_n;
};

struct h2_client {
    nghttp2_session *session;
    const struct h2_client_callbacks *cb;
    void *arg;
    struct buf text;  /* of the head that is being read; heads never interleave */
    struct buf spans; /* struct span */
    int status;       /* of that head */
    size_t n_active;  /* streams that nghttp2 has not closed */
    bool is_settled, is_draining, is_invalid;
    bool is_broken; /* without memory for a frame that the server waits for */
    bool is_busy;   /* inside nghttp2: no sending, it must not be entered twice */
    char reason[96];
};

static struct h2_stream *stream_of(struct h2_client *c, int32_t id)
{
    return nghttp2_session_get_stream_user_data(c->session, id);
}

/* A frame that has to go out: nghttp2's word on whether it will. */
static void must_send(struct h2_client *c, int rc)
{
    if (rc == NGHTTP2_ERR_NOMEM)
        c->is_broken = true;
}

static void cancel(struct h2_client *c, int32_t id)
{
    must_send(c, nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL));
}

/* nghttp2 goes on with the stream for a while; it is not ours any more. */
static void let_go(struct h2_client *c, struct h2_stream *s)
{
    nghttp2_session_set_stream_user_data(c->session, s->id, NULL);
    s->id = 0;
    s->body = (struct spliced){0};
}

static void give_up(struct h2_client *c, struct h2_stream *s, enum h2_break how, const char *detail)
{
    let_go(c, s);
    c->cb->on_broken(c->arg, s, how, detail);
}

/* Heads ------------------------------------------------------------------------------------ */

static void forget_head(struct h2_client *c)
{
    buf_reset(&c->text);
    buf_reset(&c->spans);
    if (c->text.cap > HEAD_KEPT_BYTES)
        buf_done(&c->text);
    if (c->spans.cap > HEAD_KEPT_BYTES)
        buf_done(&c->spans);
    c->status = 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    (void)frame;
    forget_head(arg);
    return 0;
}

static bool keep_field(struct h2_client *c, struct str name, struct str value)
{
    struct span s = {.name_at = (uint32_t)c->text.len,
                     .name_n = (uint32_t)name.n,
                     .value_at = (uint32_t)(c->text.len + name.n),
                     .value_n = (uint32_t)value.n};
    return buf_append_str(&c->text, name) && buf_append_str(&c->text, value) &&
           buf_append(&c->spans, &s, sizeof(s));
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)session;
    (void)flags;
    struct h2_client *c = arg;
    struct h2_stream *s = stream_of(c, frame->hd.stream_id);
    if (!s || s->has_head) /* cancelled, or trailers: read past */
        return 0;
    struct str n = {(const char *)name, name_n}, v = {(const char *)value, value_n};
    if (str_eq(n, STR(":status"))) {
        uint64_t status = 0;
        if (str_to_u64(v, &status) && status >= 100 && status < 1000) {
            c->status = (int)status;
            return 0;
        }
        give_up(c, s, H2_INVALID, "the answer's status is none"); /* nghttp2 takes any digits */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (keep_field(c, n, v))
        return 0;
    give_up(c, s, H2_INVALID, "the answer's headers are too large");
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
}

static void finish_head(struct h2_client *c, struct h2_stream *s)
{
    struct h2_field fields[H2_CLIENT_HEADERS_MAX];
    const struct span *spans = (const struct span *)(const void *)c->spans.data;
    size_t n = c->spans.len / sizeof(struct span);
    for (size_t i = 0; i < n; i++) {
        fields[i].name = (struct str){c->text.data + spans[i].name_at, spans[i].name_n};
        fields[i].value = (struct str){c->text.data + spans[i].value_at, spans[i].value_n};
    }
    s->has_head = true;
    s->is_cut = s->body_sent < s->body_bytes; /* the owner may free the body from now on */
    s->body = (struct spliced){0};
    c->cb->on_head(c->arg, s, c->status, fields, n);
}

/* Frames ----------------------------------------------------------------------------------- */

static void finish_stream(struct h2_client *c, int32_t id, struct h2_stream *s)
{
    if (s->is_cut) /* the answer came before the request's end, which will never come */
        cancel(c, id);
    let_go(c, s);
    c->cb->on_end(c->arg, s);
}

static void on_headers_frame(struct h2_client *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = stream_of(c, frame->hd.stream_id);
    if (s && !s->has_head && c->status >= 200) /* 1xx announce another head */
        finish_head(c, s);
    forget_head(c);
}

static void on_goaway(struct h2_client *c, const nghttp2_goaway *goaway)
{
    c->is_draining = true;
    if (goaway->error_code != NGHTTP2_NO_ERROR)
        snprintf(c->reason, sizeof(c->reason), "the upstream said goodbye (%s)",
                 nghttp2_http2_strerror(goaway->error_code));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2_client *c = arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers_frame(c, frame);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            c->is_settled = true;
        return 0;
    case NGHTTP2_GOAWAY:
        on_goaway(c, &frame->goaway);
        return 0;
    case NGHTTP2_DATA:
        break;
    case NGHTTP2_RST_STREAM: {
        struct h2_stream *s = stream_of(c, frame->hd.stream_id);
        if (s)
            s->is_reset_by_peer = true;
        return 0;
    }
    default:
        return 0;
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        struct h2_stream *s = stream_of(c, frame->hd.stream_id); /* on_head may have let it go */
        if (s)
            finish_stream(c, frame->hd.stream_id, s);
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *arg)
{
    (void)flags;
    struct h2_client *c = arg;
    must_send(c, nghttp2_session_consume_connection(session, n));
    struct h2_stream *s = stream_of(c, id);
    if (s && n > 0)
        c->cb->on_data(c->arg, s, (const char *)p, n);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)session;
    struct h2_client *c = arg;
    if (c->n_active > 0)
        c->n_active--;
    struct h2_stream *s = stream_of(c, id);
    if (!s)
        return 0;
    char detail[96];
    if (c->is_invalid) { /* nghttp2 calls it refused, but no server did */
        snprintf(detail, sizeof(detail), "%s", c->reason);
        give_up(c, s, H2_INVALID, detail);
        return 0;
    }
    if (code == NGHTTP2_REFUSED_STREAM && !s->has_head) {
        give_up(c, s, H2_REFUSED, "the upstream refused the stream");
        return 0;
    }
    snprintf(detail, sizeof(detail), "%s (%s)",
             s->is_reset_by_peer ? "the upstream reset the stream"
                                 : "the answer broke the rules of HTTP/2",
             nghttp2_http2_strerror(code));
    give_up(c, s, s->is_reset_by_peer ? H2_RESET : H2_INVALID, detail);
    return 0;
}

/* What breaks the rules for the whole connection shows in the goodbye that nghttp2 answers with. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct h2_client *c = arg;
    if (frame->hd.type != NGHTTP2_GOAWAY || frame->goaway.error_code == NGHTTP2_NO_ERROR)
        return 0;
    c->is_invalid = true;
    snprintf(c->reason, sizeof(c->reason), "the upstream broke the rules of HTTP/2 (%s)",
             nghttp2_http2_strerror(frame->goaway.error_code));
    return 0;
}

/* Sending ---------------------------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)source;
    struct h2_client *c = arg;
    struct h2_stream *s = stream_of(c, id);
    if (!s || s->has_head) /* cancelled, or answered already: the body is not ours any more */
        return NGHTTP2_ERR_DEFERRED;
    size_t n = spliced_read(&s->body, s->body_sent, (char *)to, size);
    s->body_sent += n;
    if (s->body_sent == s->body_bytes)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    c->cb->on_upload(c->arg, s);
    return (ssize_t)n;
}

/* The operator's key stays out of the compression tables, ours and those of whoever reads along. */
static bool is_secret(struct str name)
{
    return str_eq(name, STR("authorization")) || str_eq(name, STR("x-api-key"));
}

bool h2_client_request(struct h2_client *c, struct h2_stream *s, const struct h2_field *fields,
                       size_t n, const struct spliced *body)
{
    nghttp2_nv nv[REQUEST_FIELDS_MAX];
    if (n > REQUEST_FIELDS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)fields[i].name.p, /* not written to */
                             .value = (uint8_t *)(uintptr_t)fields[i].value.p,
                             .namelen = fields[i].name.n,
                             .valuelen = fields[i].value.n,
                             .flags = is_secret(fields[i].name) ? NGHTTP2_NV_FLAG_NO_INDEX
                                                                : NGHTTP2_NV_FLAG_NONE};
    *s = (struct h2_stream){
        .body = *body, .body_bytes = spliced_bytes(body), .is_early = !c->is_settled};
    nghttp2_data_provider provider = {.read_callback = read_body};
    int32_t id =
        nghttp2_submit_request(c->session, NULL, nv, n, s->body_bytes > 0 ? &provider : NULL, s);
    if (id <= 0) {
        c->is_draining = c->is_draining || id != NGHTTP2_ERR_NOMEM;
        return false;
    }
    s->id = id;
    c->n_active++;
    return true;
}

void h2_client_forget(struct h2_client *c, struct h2_stream *s)
{
    if (s->id == 0)
        return;
    cancel(c, s->id);
    let_go(c, s);
}

void h2_client_taken(struct h2_client *c, struct h2_stream *s, size_t n)
{
    if (s->id != 0)
        must_send(c, nghttp2_session_consume_stream(c->session, s->id, n));
}

void h2_client_ping(struct h2_client *c)
{
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
}

void h2_client_goodbye(struct h2_client *c)
{
    nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
}

/* The connection --------------------------------------------------------------------------- */

static nghttp2_session_callbacks *create_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
    return cb;
}

static bool create_session(struct h2_client *c)
{
    nghttp2_session_callbacks *cb = create_callbacks();
    nghttp2_option *option = NULL;
    bool ok = false;
    if (cb && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_reserved_remote_streams(option, 0);
        ok = nghttp2_session_client_new2(&c->session, cb, c, option) == 0;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
    return ok;
}

struct h2_client *h2_client_create(size_t stream_window_bytes, const struct h2_client_callbacks *cb,
                                   void *arg)
{
    struct h2_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->cb = cb;
    c->arg = arg;
    buf_init(&c->text, H2_CLIENT_HEAD_BYTES_MAX);
    buf_init(&c->spans, H2_CLIENT_HEADERS_MAX * sizeof(struct span));
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}, /* of the server's: it may push none */
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
         stream_window_bytes < INT32_MAX ? (uint32_t)stream_window_bytes : INT32_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_CLIENT_HEAD_BYTES_MAX},
    };
    if (!create_session(c) ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, PX_ARRAY_LEN(settings)) !=
            0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW_BYTES) != 0) {
        h2_client_destroy(c);
        return NULL;
    }
    return c;
}

void h2_client_destroy(struct h2_client *c)
{
    if (!c)
        return;
    nghttp2_session_del(c->session);
    buf_done(&c->text);
    buf_done(&c->spans);
    free(c);
}

bool h2_client_feed(struct h2_client *c, const char *p, size_t n)
{
    c->is_busy = true;
    ssize_t taken = nghttp2_session_mem_recv(c->session, (const uint8_t *)p, n);
    c->is_busy = false;
    if (taken >= 0)
        return true; /* what was not taken followed a goodbye: h2_client_is_over tells */
    c->is_invalid = true;
    snprintf(c->reason, sizeof(c->reason), "the upstream broke the rules of HTTP/2 (%s)",
             nghttp2_strerror((int)taken));
    return false;
}

bool h2_client_pull(struct h2_client *c, struct buf *out, size_t enough)
{
    if (c->is_busy)
        return true;
    while (out->len < enough) {
        const uint8_t *p;
        c->is_busy = true;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        c->is_busy = false;
        if (n == 0)
            break;
        if (n < 0 || !buf_append(out, p, (size_t)n))
            c->is_broken = true;
        if (c->is_broken)
            break;
    }
    if (c->is_broken)
        snprintf(c->reason, sizeof(c->reason), "out of memory");
    return !c->is_broken;
}

size_t h2_client_room(const struct h2_client *c)
{
    if (c->is_draining)
        return 0;
    size_t max = H2_CLIENT_EARLY_STREAMS;
    if (c->is_settled)
        max = nghttp2_session_get_remote_settings(c->session,
                                                  NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (max > H2_CLIENT_STREAMS_MAX)
        max = H2_CLIENT_STREAMS_MAX;
    return max > c->n_active ? max - c->n_active : 0;
}

bool h2_client_is_settled(const struct h2_client *c)
{
    return c->is_settled;
}

bool h2_client_is_draining(const struct h2_client *c)
{
    return c->is_draining;
}

bool h2_client_is_over(const struct h2_client *c)
{
    return nghttp2_session_want_read(c->session) == 0 &&
           nghttp2_session_want_write(c->session) == 0;
}

bool h2_client_is_invalid(const struct h2_client *c)
{
    return c->is_invalid;
}

const char *h2_client_reason(const struct h2_client *c)
{
    return c->reason;
}

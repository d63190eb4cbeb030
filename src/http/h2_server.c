/*
 * The nghttp2 server session behind h2_server.h: gathers request heads, feeds answers from each
 * stream's buffer, keeps the callbacks' order.
 */
#include "http/h2_server.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/list.h"

#define CONNECTION_WINDOW_FACTOR 16 /* streams that may be uploading at full window together */
#define RESPONSE_HEADERS_MAX     64

/* A head while it is being read; freed as soon as it was told. */
struct head_reader {
    struct arena arena;
    struct h2_request_head head;
    struct h2_header headers[H2_SERVER_HEADERS_MAX];
};

struct h2_inbound {
    struct list node;
    struct list drained_node; /* in server.drained while on_drain is due */
    struct h2_server *server;
    int32_t id;
    void *arg;
    struct head_reader *reader; /* NULL once the head was told */
    struct buf out;
    size_t out_sent;
    bool is_told;     /* on_request_head was called: on_close is owed */
    bool is_ended;    /* the answer is whole */
    bool is_sent;     /* and its last byte was taken */
    bool is_deferred; /* nghttp2 waits for h2_inbound_write */
    bool is_dropped;  /* reset by us: freed when nghttp2 closes it, without on_close */
};

struct h2_server {
    nghttp2_session *session;
    struct h2_server_options options;
    const struct h2_server_callbacks *cb;
    void *arg;
    struct list streams;
    struct list drained;
    size_t n_streams;
    uint64_t noise;
    bool is_broken; /* without memory for a frame that somebody waits for */
};

static void free_reader(struct h2_inbound *st)
{
    if (!st->reader)
        return;
    arena_done(&st->reader->arena);
    free(st->reader);
    st->reader = NULL;
}

static void free_stream(struct h2_inbound *st)
{
    list_remove(&st->node);
    list_remove(&st->drained_node);
    st->server->n_streams--;
    free_reader(st);
    buf_done(&st->out);
    free(st);
}

static struct h2_inbound *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* --- what nghttp2 tells ------------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_server *s = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_inbound *st = calloc(1, sizeof(*st));
    struct head_reader *reader = calloc(1, sizeof(*reader));
    if (!st || !reader) {
        free(st);
        free(reader);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* nghttp2 refuses this stream */
    }
    arena_init(&reader->arena, H2_SERVER_HEAD_BYTES_MAX);
    reader->head.headers = reader->headers;
    *st = (struct h2_inbound){.server = s, .id = frame->hd.stream_id, .reader = reader};
    buf_init(&st->out, s->options.stream_buffer_bytes);
    list_append(&s->streams, &st->node);
    list_init(&st->drained_node);
    s->n_streams++;
    nghttp2_session_set_stream_user_data(session, st->id, st);
    return 0;
}

static struct str *pseudo_header(struct h2_request_head *head, struct str name)
{
    if (str_eq(name, STR(":method")))
        return &head->method;
    if (str_eq(name, STR(":path")))
        return &head->path;
    if (str_eq(name, STR(":scheme")))
        return &head->scheme;
    return str_eq(name, STR(":authority")) ? &head->authority : NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)flags, (void)arg;
    struct h2_inbound *st = stream_of(session, frame->hd.stream_id);
    if (!st || !st->reader)
        return 0; /* trailers: nobody asks for them */
    struct head_reader *r = st->reader;
    struct str n = arena_strdup(&r->arena, (struct str){(const char *)name, name_len});
    struct str v = arena_strdup(&r->arena, (struct str){(const char *)value, value_len});
    if (!n.p || !v.p) {
        r->head.is_too_large = true;
        return 0;
    }
    struct str *pseudo = pseudo_header(&r->head, n);
    if (pseudo)
        *pseudo = v;
    else if (n.n && n.p[0] == ':')
        return 0;
    else if (r->head.n_headers < H2_SERVER_HEADERS_MAX)
        r->headers[r->head.n_headers++] = (struct h2_header){n, v};
    else
        r->head.is_too_large = true;
    return 0;
}

/* Frames that ask for nothing; those with PRIORITY are told of nowhere else. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    struct h2_server *s = arg;
    if (hd->type == NGHTTP2_PING || hd->type == NGHTTP2_SETTINGS || hd->type == NGHTTP2_PRIORITY)
        s->noise += !(hd->flags & NGHTTP2_FLAG_ACK);
    return 0;
}

static bool is_empty_data(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_DATA && frame->hd.length == frame->data.padlen &&
           !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
    (void)session, (void)frame, (void)error;
    struct h2_server *s = arg;
    s->noise++;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_server *s = arg;
    s->noise += is_empty_data(frame);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_inbound *st = stream_of(session, frame->hd.stream_id);
    if (!st || st->is_dropped)
        return 0;
    if (st->reader) {
        st->is_told = true;
        s->cb->on_request_head(s->arg, st, &st->reader->head);
        /* It may have reset the stream: then only nghttp2's close frees it. */
        free_reader(st);
    }
    if (!st->is_dropped && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        s->cb->on_end(s->arg, st);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                         size_t n, void *arg)
{
    (void)flags;
    struct h2_server *s = arg;
    struct h2_inbound *st = stream_of(session, id);
    if (st && !st->is_dropped && n > 0)
        s->cb->on_body(s->arg, st, (const char *)p, n);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    struct h2_server *s = arg;
    struct h2_inbound *st = stream_of(session, id);
    if (!st)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (st->is_told && !st->is_dropped) {
        bool is_whole = st->is_sent && error_code == NGHTTP2_NO_ERROR;
        s->cb->on_close(s->arg, st, is_whole ? H2_INBOUND_DONE : H2_INBOUND_RESET);
    }
    free_stream(st);
    return 0;
}

/* nghttp2 asks for more of an answer. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t size,
                         uint32_t *data_flags, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)id, (void)arg;
    struct h2_inbound *st = source->ptr;
    size_t waiting = h2_inbound_waiting(st);
    size_t n = waiting < size ? waiting : size;
    if (n > 0)
        memcpy(to, st->out.data + st->out_sent, n);
    st->out_sent += n;
    if (n == waiting) {
        if (st->is_ended) {
            *data_flags |= NGHTTP2_DATA_FLAG_EOF;
            st->is_sent = true;
        }
        if (n > 0) {
            buf_done(&st->out); /* a stream that is not behind holds no buffer */
            st->out_sent = 0;
            list_remove(&st->drained_node);
            list_append(&st->server->drained, &st->drained_node);
        }
    }
    if (n == 0 && !st->is_ended) {
        st->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

/* --- the session -------------------------------------------------------------------------------
 */

static bool open_session(struct h2_server *s)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return false;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(cb);
        return false;
    }
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    int rc = nghttp2_session_server_new2(&s->session, cb, s, option);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(option);
    if (rc != 0)
        return false;
    /* No SETTINGS_NO_RFC7540_PRIORITIES: with it nghttp2 1.52 frees an answer's frame that it has
     * no memory to queue, and keeps it too. */
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, s->options.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, s->options.stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_SERVER_HEAD_BYTES_MAX},
    };
    uint64_t window = (uint64_t)s->options.stream_window_bytes * CONNECTION_WINDOW_FACTOR;
    if (window > NGHTTP2_MAX_WINDOW_SIZE)
        window = NGHTTP2_MAX_WINDOW_SIZE;
    return nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings,
                                   PX_ARRAY_LEN(settings)) == 0 &&
           nghttp2_session_set_local_window_size(s->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)window) == 0;
}

struct h2_server *h2_server_create(const struct h2_server_options *o,
                                   const struct h2_server_callbacks *cb, void *arg)
{
    struct h2_server *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct h2_server){.options = *o, .cb = cb, .arg = arg};
    list_init(&s->streams);
    list_init(&s->drained);
    if (!open_session(s)) {
        h2_server_destroy(s);
        return NULL;
    }
    return s;
}

void h2_server_destroy(struct h2_server *s)
{
    if (!s)
        return;
    /* nghttp2_session_del reports no stream: they are told here. */
    LIST_EACH(&s->streams, it, next)
    {
        struct h2_inbound *st = LIST_OF(it, struct h2_inbound, node);
        if (st->is_told && !st->is_dropped) {
            st->is_dropped = true; /* whatever on_close calls finds a stream that is gone */
            s->cb->on_close(s->arg, st, H2_INBOUND_LOST);
        }
    }
    nghttp2_session_del(s->session);
    LIST_EACH(&s->streams, it2, next2)
    free_stream(LIST_OF(it2, struct h2_inbound, node));
    free(s);
}

/* What nghttp2 gives up about without a GOAWAY of its own. */
static uint32_t code_of(ssize_t error)
{
    switch (error) {
    case NGHTTP2_ERR_FLOODED:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return NGHTTP2_PROTOCOL_ERROR;
    default:
        return NGHTTP2_INTERNAL_ERROR;
    }
}

bool h2_server_feed(struct h2_server *s, const char *p, size_t n)
{
    const ssize_t taken = nghttp2_session_mem_recv(s->session, (const uint8_t *)p, n);
    if (taken == (ssize_t)n)
        return true;
    h2_server_goaway(s, code_of(taken));
    return false;
}

/* Tells the streams that ran empty; true when there were some, for they may have written more. */
static bool tell_drained(struct h2_server *s)
{
    bool told = false;
    while (!list_is_empty(&s->drained)) {
        struct h2_inbound *st = LIST_OF(s->drained.next, struct h2_inbound, drained_node);
        list_remove(&st->drained_node);
        if (st->is_dropped || st->is_ended || !s->cb->on_drain)
            continue;
        s->cb->on_drain(s->arg, st);
        told = true;
    }
    return told;
}

bool h2_server_output(struct h2_server *s, struct buf *out, size_t limit)
{
    do {
        while (out->len < limit) {
            const uint8_t *p;
            ssize_t n = nghttp2_session_mem_send(s->session, &p);
            if (n < 0)
                return false;
            if (n == 0)
                break;
            if (!buf_append(out, p, (size_t)n))
                return false;
        }
    } while (tell_drained(s) && out->len < limit);
    return !s->is_broken;
}

bool h2_server_is_over(const struct h2_server *s)
{
    return !nghttp2_session_want_read(s->session) && !nghttp2_session_want_write(s->session);
}

void h2_server_goaway(struct h2_server *s, uint32_t error_code)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(s->session);
    nghttp2_submit_goaway(s->session, NGHTTP2_FLAG_NONE, last, error_code, NULL, 0);
}

uint64_t h2_server_noise(const struct h2_server *s)
{
    return s->noise;
}

size_t h2_server_open_streams(const struct h2_server *s)
{
    return s->n_streams;
}

/* --- streams -----------------------------------------------------------------------------------
 */

void h2_inbound_set_arg(struct h2_inbound *st, void *arg)
{
    st->arg = arg;
}

void *h2_inbound_arg(const struct h2_inbound *st)
{
    return st->arg;
}

static nghttp2_nv make_nv(struct str name, struct str value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.p, /* nghttp2 copies, but takes no const pointer */
        .namelen = name.n,
        .value = (uint8_t *)(uintptr_t)value.p,
        .valuelen = value.n,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

bool h2_inbound_respond(struct h2_inbound *st, int status, const struct h2_header *headers,
                        size_t n, bool has_body)
{
    nghttp2_nv nv[RESPONSE_HEADERS_MAX + 1];
    char digits[12];
    if (st->is_dropped || n > RESPONSE_HEADERS_MAX)
        return false;
    snprintf(digits, sizeof(digits), "%03d", status);
    nv[0] = make_nv(STR(":status"), str_of(digits));
    for (size_t i = 0; i < n; i++)
        nv[i + 1] = make_nv(headers[i].name, headers[i].value);
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = read_body};
    if (!has_body)
        st->is_ended = st->is_sent = true;
    return nghttp2_submit_response(st->server->session, st->id, nv, n + 1,
                                   has_body ? &provider : NULL) == 0;
}

static void resume(struct h2_inbound *st)
{
    if (!st->is_deferred)
        return;
    st->is_deferred = false;
    if (nghttp2_session_resume_data(st->server->session, st->id) == NGHTTP2_ERR_NOMEM)
        st->server->is_broken = true;
}

bool h2_inbound_write(struct h2_inbound *st, const void *p, size_t n)
{
    if (st->is_dropped || st->is_ended)
        return false;
    if (st->out_sent > st->out.len / 2) {
        buf_consume(&st->out, st->out_sent);
        st->out_sent = 0;
    }
    if (!buf_append(&st->out, p, n))
        return false;
    resume(st);
    return true;
}

size_t h2_inbound_waiting(const struct h2_inbound *st)
{
    return st->out.len - st->out_sent;
}

void h2_inbound_end(struct h2_inbound *st)
{
    if (st->is_dropped || st->is_ended)
        return;
    st->is_ended = true;
    resume(st);
}

void h2_inbound_reset(struct h2_inbound *st, uint32_t error_code)
{
    if (st->is_dropped)
        return;
    st->is_dropped = true;
    if (nghttp2_submit_rst_stream(st->server->session, NGHTTP2_FLAG_NONE, st->id, error_code) != 0)
        st->server->is_broken = true;
}

/*
 * libFuzzer: both sides of HTTP/2. The first byte picks the side and what the other callbacks do,
 * the second the size of the pieces; what follows is what the peer says behind its preface. Every
 * stream must have its events in order, and its end exactly once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "http/h2_client.h"
#include "http/h2_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAMS      8
#define OUTPUT_BYTES (1 << 20)
#define WINDOW_BYTES 65536

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
static const char settings[] = "\0\0\0\4\0\0\0\0\0";

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* The server ------------------------------------------------------------------------------- */

struct serving {
    uint8_t how;
    int64_t open;
};

struct request {
    size_t n_body;
    bool is_whole;
};

static void on_request_head(void *arg, struct h2_inbound *st, const struct h2_request_head *head)
{
    struct serving *s = arg;
    must(head->n_headers <= H2_SERVER_HEADERS_MAX);
    if (s->how & 2) {
        h2_inbound_reset(st, H2_CANCEL);
        return;
    }
    struct request *r = calloc(1, sizeof(*r));
    must(r != NULL);
    s->open++;
    h2_inbound_set_arg(st, r);
}

static void on_body(void *arg, struct h2_inbound *st, const char *p, size_t n)
{
    (void)arg;
    struct request *r = h2_inbound_arg(st);
    must(p && n > 0 && !r->is_whole);
    r->n_body += n;
}

static void on_end(void *arg, struct h2_inbound *st)
{
    struct serving *s = arg;
    struct request *r = h2_inbound_arg(st);
    must(!r->is_whole);
    r->is_whole = true;
    const struct h2_header type = {STR("content-type"), STR("text/plain")};
    if (!h2_inbound_respond(st, 200, &type, 1, !(s->how & 4)))
        return;
    if (!(s->how & 4) && h2_inbound_write(st, "an answer", 9))
        h2_inbound_end(st);
}

static void on_close(void *arg, struct h2_inbound *st, enum h2_close why)
{
    struct serving *s = arg;
    struct request *r = h2_inbound_arg(st);
    must(why == H2_INBOUND_DONE || why == H2_INBOUND_RESET || why == H2_INBOUND_LOST);
    s->open--;
    free(r);
}

static bool serve(struct h2_server *server, const char *p, size_t n)
{
    struct buf out;
    buf_init(&out, OUTPUT_BYTES);
    bool goes_on = h2_server_feed(server, p, n);
    must(h2_server_output(server, &out, WINDOW_BYTES));
    must(h2_server_open_streams(server) <= STREAMS);
    buf_done(&out);
    return goes_on && !h2_server_is_over(server);
}

static void run_server(uint8_t how, size_t piece, const char *text, size_t n)
{
    static const struct h2_server_callbacks callbacks = {
        .on_request_head = on_request_head,
        .on_body = on_body,
        .on_end = on_end,
        .on_close = on_close,
    };
    const struct h2_server_options options = {STREAMS, WINDOW_BYTES, WINDOW_BYTES};
    struct serving s = {.how = how};
    struct h2_server *server = h2_server_create(&options, &callbacks, &s);
    if (!server)
        return;
    bool goes_on = serve(server, preface, sizeof(preface) - 1);
    for (size_t at = 0; at < n && goes_on; at += piece)
        goes_on = serve(server, text + at, n - at < piece ? n - at : piece);
    h2_server_destroy(server);
    must(s.open == 0);
}

/* The client ------------------------------------------------------------------------------- */

struct call {
    struct h2_stream stream; /* first: a callback's stream is its call */
    bool has_head, is_over;
};

struct calling {
    uint8_t how;
    struct h2_client *client;
    struct call calls[STREAMS];
};

static struct call *call_of(struct h2_stream *s)
{
    struct call *c = (struct call *)s;
    must(!c->is_over);
    return c;
}

static void on_head(void *arg, struct h2_stream *s, int status, const struct h2_field *fields,
                    size_t n)
{
    struct calling *k = arg;
    struct call *c = call_of(s);
    must(!c->has_head && status >= 200 && status <= 999 && n <= H2_CLIENT_HEADERS_MAX);
    must(n == 0 || fields);
    c->has_head = true;
    if (k->how & 2) {
        c->is_over = true;
        h2_client_forget(k->client, s);
    }
}

static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct calling *k = arg;
    must(call_of(s)->has_head && p && n > 0);
    if (!(k->how & 4))
        h2_client_taken(k->client, s, n);
}

static void on_answer_end(void *arg, struct h2_stream *s)
{
    (void)arg;
    struct call *c = call_of(s);
    must(c->has_head);
    c->is_over = true;
}

static void on_broken(void *arg, struct h2_stream *s, enum h2_break how, const char *detail)
{
    (void)arg;
    must(detail && (how == H2_REFUSED || how == H2_RESET || how == H2_INVALID));
    call_of(s)->is_over = true;
}

static void on_upload(void *arg, struct h2_stream *s)
{
    (void)arg;
    call_of(s);
}

static bool call(struct calling *k, const char *p, size_t n)
{
    static const struct h2_field fields[] = {
        {STR(":method"), STR("POST")},
        {STR(":scheme"), STR("https")},
        {STR(":authority"), STR("host")},
        {STR(":path"), STR("/v1/messages")},
    };
    const struct spliced body = {.own = STR("{}")};
    struct buf out;
    buf_init(&out, OUTPUT_BYTES);
    bool goes_on = h2_client_feed(k->client, p, n);
    for (size_t i = 0; goes_on && i < STREAMS && h2_client_room(k->client) > 0; i++) {
        struct call *c = &k->calls[i];
        if (c->stream.id == 0 && !c->has_head && !c->is_over &&
            !h2_client_request(k->client, &c->stream, fields, PX_ARRAY_LEN(fields), &body))
            break;
    }
    goes_on = goes_on && h2_client_pull(k->client, &out, WINDOW_BYTES);
    buf_done(&out);
    return goes_on && !h2_client_is_over(k->client);
}

static void run_client(uint8_t how, size_t piece, const char *text, size_t n)
{
    static const struct h2_client_callbacks callbacks = {
        .on_head = on_head,
        .on_data = on_data,
        .on_end = on_answer_end,
        .on_broken = on_broken,
        .on_upload = on_upload,
    };
    struct calling k = {.how = how};
    k.client = h2_client_create(WINDOW_BYTES, &callbacks, &k);
    if (!k.client)
        return;
    bool goes_on = call(&k, settings, sizeof(settings) - 1);
    for (size_t at = 0; at < n && goes_on; at += piece)
        goes_on = call(&k, text + at, n - at < piece ? n - at : piece);
    must(goes_on || h2_client_reason(k.client));
    h2_client_destroy(k.client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const size_t piece = data[1] ? data[1] : size;
    const char *text = (const char *)data + 2;
    if (data[0] & 1)
        run_client(data[0], piece, text, size - 2);
    else
        run_server(data[0], piece, text, size - 2);
    return 0;
}

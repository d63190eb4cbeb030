/*
 * HTTP/1.1 messages on llhttp, in its strict mode. llhttp knows the grammar; what is added here are
 * the limits, the storage of a head, and the refusal of what llhttp lets through but we do not
 * understand (transfer codings, versions, upgrades).
 */
#include "http/h1.h"

#include <llhttp.h>
#include <stdlib.h>

/*
 * Bytes of a body that are not content: chunk sizes, their extensions, trailers. A sender of
 * one-byte chunks needs five for each, so the allowance grows with the content.
 */
#define FRAMING_BYTES_MAX     65536
#define FRAMING_PER_BODY_BYTE 8
#define USUAL_HEAD_BYTES      1024
#define USUAL_HEADERS         32

enum phase { PHASE_BETWEEN, PHASE_HEAD, PHASE_BODY, PHASE_DEAD };

struct h1_parser {
    llhttp_t ll;
    const struct h1_callbacks *cb;
    void *arg;
    enum h1_kind kind;
    enum phase phase;
    enum h1_result result; /* what a callback of llhttp wants returned; H1_MORE = nothing */
    const char *reason;
    bool expects_no_body;   /* the next response answers a HEAD */
    bool is_informational;  /* this response is a 1xx: not shown */
    bool was_in_value;      /* the last piece of a header was its value */
    size_t head_bytes;      /* taken since the last message ended */
    uint64_t framing_bytes; /* taken for the body, without its content */
    uint64_t body_bytes;
    size_t method_n, target_n;
    /* Method, target, then each header's name and value, back to back. The members of `headers`
     * hold lengths only until the head is complete: the text may still move. */
    struct buf text;
    struct buf headers;
};

/* --- errors --- */

static int refuse(struct h1_parser *p, enum h1_result result, const char *reason)
{
    p->result = result;
    p->reason = reason;
    return -1;
}

static int refuse_for_text(struct h1_parser *p)
{
    if (p->text.len >= H1_HEAD_BYTES_MAX)
        return refuse(p, H1_HEAD_TOO_LARGE, "the request line and headers are too large");
    return refuse(p, H1_BAD, "out of memory");
}

static const char *reason_for(enum llhttp_errno e, const char *detail)
{
    switch (e) {
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return "conflicting Content-Length or Transfer-Encoding headers";
    case HPE_INVALID_CONTENT_LENGTH:
        return "invalid Content-Length header";
    case HPE_INVALID_TRANSFER_ENCODING:
        return "invalid Transfer-Encoding header";
    case HPE_INVALID_CHUNK_SIZE:
        return "invalid chunk size";
    case HPE_INVALID_METHOD:
        return "unknown method";
    case HPE_INVALID_URL:
        return "invalid request target";
    case HPE_INVALID_VERSION:
        return "unsupported HTTP version";
    case HPE_INVALID_HEADER_TOKEN:
        return "invalid character in a header";
    case HPE_INVALID_EOF_STATE:
        return "the connection was closed in the middle of a message";
    default:
        return detail && *detail ? detail : "malformed message";
    }
}

/* --- callbacks of llhttp --- */

/* NULL for the first of none: no offset may be taken from the buffer's null pointer. */
static struct h1_header *header_at(const struct h1_parser *p, size_t i)
{
    if (!p->headers.data)
        return NULL;
    return (struct h1_header *)(void *)p->headers.data + i;
}

static size_t header_count(const struct h1_parser *p)
{
    return p->headers.len / sizeof(struct h1_header);
}

static int on_begin(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    buf_reset(&p->text);
    buf_reset(&p->headers);
    /* Room for a usual head at once. Should memory lack: the appends say so. */
    (void)buf_reserve(&p->text, USUAL_HEAD_BYTES);
    (void)buf_reserve(&p->headers, USUAL_HEADERS * sizeof(struct h1_header));
    p->phase = PHASE_HEAD;
    p->is_informational = p->was_in_value = false;
    p->framing_bytes = p->body_bytes = 0;
    p->method_n = p->target_n = 0;
    return 0;
}

static int on_method(llhttp_t *ll, const char *at, size_t n)
{
    struct h1_parser *p = ll->data;
    p->method_n += n;
    return buf_append(&p->text, at, n) ? 0 : refuse_for_text(p);
}

static int on_target(llhttp_t *ll, const char *at, size_t n)
{
    struct h1_parser *p = ll->data;
    p->target_n += n;
    return buf_append(&p->text, at, n) ? 0 : refuse_for_text(p);
}

/* A name is kept as all of us compare it, so that no case is looked at ever after. */
static bool append_lower(struct buf *b, const char *name, size_t n)
{
    char *to = buf_reserve(b, n);
    if (!to)
        return false;
    str_lower(to, (struct str){name, n});
    b->len += n;
    return true;
}

static int on_field(llhttp_t *ll, const char *at, size_t n)
{
    struct h1_parser *p = ll->data;
    if (p->phase != PHASE_HEAD) /* a trailer: read past, bounded as framing */
        return 0;
    size_t count = header_count(p);
    if (count == 0 || p->was_in_value) {
        if (count == H1_HEADERS_MAX)
            return refuse(p, H1_TOO_MANY_HEADERS, "too many headers");
        if (!buf_reserve(&p->headers, sizeof(struct h1_header)))
            return refuse(p, H1_BAD, "out of memory");
        *header_at(p, count++) = (struct h1_header){{0}, {0}};
        p->headers.len += sizeof(struct h1_header);
        p->was_in_value = false;
    }
    header_at(p, count - 1)->name.n += n;
    return append_lower(&p->text, at, n) ? 0 : refuse_for_text(p);
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    struct h1_parser *p = ll->data;
    if (p->phase != PHASE_HEAD)
        return 0;
    header_at(p, header_count(p) - 1)->value.n += n;
    return buf_append(&p->text, at, n) ? 0 : refuse_for_text(p);
}

static int on_value_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    p->was_in_value = true;
    return 0;
}

/* The headers that say how a message is to be read. */
struct framing_headers {
    size_t n_hosts, n_codings;
    struct str coding, expect; /* the first of each */
};

static void note(struct framing_headers *f, const struct h1_header *h)
{
    if (str_eq(h->name, STR("host"))) {
        f->n_hosts++;
    } else if (str_eq(h->name, STR("transfer-encoding"))) {
        if (f->n_codings++ == 0)
            f->coding = h->value;
    } else if (str_eq(h->name, STR("expect")) && !f->expect.p) {
        f->expect = h->value;
    }
}

/* Turns the lengths into pointers, now that the text stays where it is. */
static void locate(struct h1_parser *p, struct h1_head *head, struct framing_headers *framing)
{
    const char *at = p->text.data ? p->text.data : "";
    head->method = (struct str){at, p->method_n};
    at += p->method_n;
    head->target = (struct str){at, p->target_n};
    at += p->target_n;
    head->n_headers = header_count(p);
    for (size_t i = 0; i < head->n_headers; i++) {
        struct h1_header *h = header_at(p, i);
        h->name.p = at;
        h->value.p = at + h->name.n;
        at = h->value.p + h->value.n;
        h->value = str_trim(h->value);
        note(framing, h);
    }
    head->headers = header_at(p, 0);
}

/* What llhttp takes and we do not. */
static int check_head(struct h1_parser *p, const struct h1_head *head,
                      const struct framing_headers *framing)
{
    const llhttp_t *ll = &p->ll;
    if (ll->http_major != 1 || ll->http_minor > 1)
        return refuse(p, H1_BAD, "unsupported HTTP version");
    if (p->kind == H1_RESPONSE && head->status < 100)
        return refuse(p, H1_BAD, "invalid status");
    if (framing->n_codings > 0 &&
        (head->is_http_1_0 || !str_eq_nocase(framing->coding, STR("chunked"))))
        return refuse(p, H1_BAD, "unsupported Transfer-Encoding");
    if (framing->n_codings > 1)
        return refuse(p, H1_BAD, "more than one Transfer-Encoding header");
    if ((ll->flags & F_CONTENT_LENGTH) && ll->content_length > INT64_MAX)
        return refuse(p, H1_BAD, "invalid Content-Length header");
    if (p->kind == H1_RESPONSE)
        return head->status == 101 ? refuse(p, H1_UPGRADE_REFUSED, "switching protocols") : 0;
    if (ll->method == HTTP_CONNECT)
        return refuse(p, H1_UPGRADE_REFUSED, "CONNECT is not supported");
    if (framing->n_hosts > 1 || (framing->n_hosts == 0 && !head->is_http_1_0))
        return refuse(p, H1_BAD, framing->n_hosts ? "more than one Host header" : "no Host header");
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    struct h1_head head = {
        .status = p->kind == H1_RESPONSE ? ll->status_code : 0,
        .is_http_1_0 = ll->http_major == 1 && ll->http_minor == 0,
        .is_chunked = (ll->flags & F_CHUNKED) != 0,
        .content_length = (ll->flags & F_CONTENT_LENGTH) ? (int64_t)ll->content_length : -1,
    };
    ll->upgrade = 0; /* an offer to upgrade is declined by going on without it */
    struct framing_headers framing = {0};
    locate(p, &head, &framing);
    if (check_head(p, &head, &framing) != 0)
        return -1;
    p->phase = PHASE_BODY;
    p->is_informational = p->kind == H1_RESPONSE && head.status < 200;
    if (p->is_informational)
        return 0;
    if (p->expects_no_body)
        ll->flags |= F_SKIPBODY; /* also tells llhttp that no end of file is needed */
    head.keep_alive = llhttp_should_keep_alive(ll) != 0;
    head.expects_continue = !head.is_http_1_0 && str_eq_nocase(framing.expect, STR("100-continue"));
    if (!p->cb->on_head(p->arg, &head))
        return refuse(p, H1_STOPPED, "stopped");
    return p->expects_no_body ? 1 : 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct h1_parser *p = ll->data;
    p->body_bytes += n;
    if (n > 0 && !p->cb->on_body(p->arg, at, n))
        return refuse(p, H1_STOPPED, "stopped");
    return 0;
}

static int on_complete(llhttp_t *ll)
{
    struct h1_parser *p = ll->data;
    p->result = H1_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_method = on_method,
    .on_url = on_target,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* --- the interface --- */

/* A fresh llhttp for each message: nothing of one can leak into the next. */
static void begin_message(struct h1_parser *p)
{
    llhttp_init(&p->ll, p->kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    p->ll.data = p;
    p->phase = PHASE_BETWEEN;
    p->result = H1_MORE;
}

struct h1_parser *h1_create(enum h1_kind kind, const struct h1_callbacks *cb, void *arg)
{
    struct h1_parser *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->cb = cb;
    p->arg = arg;
    p->kind = kind;
    buf_init(&p->text, H1_HEAD_BYTES_MAX);
    buf_init(&p->headers, H1_HEADERS_MAX * sizeof(struct h1_header));
    begin_message(p);
    return p;
}

void h1_destroy(struct h1_parser *p)
{
    if (!p)
        return;
    buf_done(&p->text);
    buf_done(&p->headers);
    free(p);
}

void h1_expect_no_body(struct h1_parser *p)
{
    p->expects_no_body = true;
}

void h1_forget_head(struct h1_parser *p)
{
    if (p->phase == PHASE_HEAD)
        return;
    buf_done(&p->text);
    buf_done(&p->headers);
}

static enum h1_result die(struct h1_parser *p, enum h1_result result, const char *reason)
{
    p->phase = PHASE_DEAD;
    p->result = result;
    p->reason = reason;
    return result;
}

/* Charges `n` taken bytes to the head or the body's framing. False: a limit is passed. */
static bool charge(struct h1_parser *p, size_t n, bool was_in_body, uint64_t body_bytes_before)
{
    if (!was_in_body) {
        p->head_bytes += n; /* may include the first of the body: then the head is over anyway */
        return p->phase == PHASE_BODY || p->head_bytes < H1_HEAD_BYTES_MAX;
    }
    p->framing_bytes += n - (p->body_bytes - body_bytes_before);
    return p->framing_bytes <= FRAMING_BYTES_MAX + FRAMING_PER_BODY_BYTE * p->body_bytes;
}

/* Feeds a slice to llhttp, no longer than what is left for the head while one is being read. */
static enum h1_result feed_slice(struct h1_parser *p, const char *bytes, size_t n,
                                 size_t *ret_taken)
{
    const bool was_in_body = p->phase == PHASE_BODY;
    const uint64_t body_bytes_before = p->body_bytes;
    if (!was_in_body && n > H1_HEAD_BYTES_MAX - p->head_bytes)
        n = H1_HEAD_BYTES_MAX - p->head_bytes;
    enum llhttp_errno e = llhttp_execute(&p->ll, bytes, n);
    size_t taken = e == HPE_OK ? n : (size_t)(llhttp_get_error_pos(&p->ll) - bytes);
    *ret_taken = taken;
    if (e != HPE_OK && e != HPE_PAUSED) {
        if (p->result != H1_MORE)
            return die(p, p->result, p->reason);
        if (e == HPE_PAUSED_UPGRADE || e == HPE_PAUSED_H2_UPGRADE)
            return die(p, H1_UPGRADE_REFUSED, "only HTTP/1.1 is spoken here");
        return die(p, H1_BAD, reason_for(e, llhttp_get_error_reason(&p->ll)));
    }
    if (p->result == H1_COMPLETE)
        return H1_COMPLETE;
    if (!charge(p, taken, was_in_body, body_bytes_before))
        return was_in_body
                   ? die(p, H1_BAD, "too much chunk framing")
                   : die(p, H1_HEAD_TOO_LARGE, "the request line and headers are too large");
    return H1_MORE;
}

enum h1_result h1_feed(struct h1_parser *p, const char *bytes, size_t n, size_t *ret_taken)
{
    *ret_taken = 0;
    if (p->phase == PHASE_DEAD)
        return p->result;
    while (*ret_taken < n) {
        size_t taken = 0;
        enum h1_result r = feed_slice(p, bytes + *ret_taken, n - *ret_taken, &taken);
        *ret_taken += taken;
        if (r == H1_COMPLETE) {
            const bool was_informational = p->is_informational;
            begin_message(p);
            if (was_informational) {
                p->head_bytes += taken; /* bounds how many of them may come */
                if (p->head_bytes >= H1_HEAD_BYTES_MAX)
                    return die(p, H1_HEAD_TOO_LARGE, "too many informational responses");
                continue;
            }
            p->head_bytes = 0;
            p->expects_no_body = false;
        }
        if (r != H1_MORE)
            return r;
    }
    return H1_MORE;
}

enum h1_result h1_eof(struct h1_parser *p)
{
    if (p->phase == PHASE_DEAD)
        return p->result;
    if (p->phase == PHASE_BETWEEN)
        return H1_MORE;
    if (llhttp_finish(&p->ll) == HPE_OK || p->result == H1_COMPLETE) {
        begin_message(p);
        p->head_bytes = 0;
        return H1_COMPLETE;
    }
    return die(p, H1_BAD, "the connection was closed in the middle of a message");
}

bool h1_is_in_head(const struct h1_parser *p)
{
    return p->phase == PHASE_HEAD;
}

struct str h1_find(const struct h1_head *head, struct str name)
{
    for (size_t i = 0; i < head->n_headers; i++)
        if (str_eq(head->headers[i].name, name))
            return head->headers[i].value;
    return (struct str){0};
}

const char *h1_reason(const struct h1_parser *p)
{
    return p->reason ? p->reason : "";
}

const char *h1_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {529, "Site Is Overloaded"},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "";
}

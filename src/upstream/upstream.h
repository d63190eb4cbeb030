/*
 * Requests to the upstream (Anthropic, a local gateway, the simulator): one pool per worker, one
 * origin fixed by the operator. HTTP/2 over TLS where ALPN gives it, else HTTP/1.1, TLS or plain.
 *
 * A call: start -> on_head -> on_data... -> on_end, or on_fail at any point, or cancelled. After
 * on_end, on_fail or upstream_cancel no further callback comes and the handle is invalid.
 * Callbacks never run inside upstream_start; upstream_cancel may be called inside a callback.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spliced.h"
#include "net/egress.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"

/* "https://api.anthropic.com/some/path": parsed once, shared by the workers. */
struct upstream_origin {
    char host[256]; /* without brackets */
    int port;
    bool is_tls;
    char path_prefix[512]; /* "" or "/some/path", no slash at the end */
    char authority[300];   /* host[:port] as the Host header wants it */
};
/* False with a reason in `why` when `url` is not http(s)://host[:port][/path]. */
bool upstream_origin_parse(struct str url, struct upstream_origin *ret, char *why, size_t why_size);

struct upstream_settings {
    struct upstream_origin origin;
    struct egress egress;
    struct tls_context *tls;    /* NULL for plain; borrowed */
    struct resolver *resolver;  /* borrowed */
    int64_t connect_timeout_ms; /* look-up, TCP and TLS together */
    int64_t ping_after_ms;      /* HTTP/2: PING a connection that was silent so long */
    size_t max_connections;     /* per worker; HTTP/1.1 calls wait for a free one beyond it */
    size_t stream_window_bytes; /* HTTP/2 receive window of one stream: bounds its memory */
    int64_t idle_close_ms;      /* close connections that carried nothing for so long */
};

struct upstream;      /* the pool of one worker */
struct upstream_call; /* one request */

/* Copies the settings. NULL without memory, or for an https origin without a TLS context. */
struct upstream *upstream_create(struct loop *l, const struct upstream_settings *s);
/* Fails the calls that are left (on_fail), closes the connections, frees at the end of the turn. */
void upstream_destroy(struct upstream *u);

struct upstream_header {
    struct str name; /* lower case */
    struct str value;
};

struct upstream_request {
    struct str method;
    struct str path; /* without the origin's prefix: "/v1/messages" */
    const struct upstream_header *headers;
    size_t n_headers; /* host, content-length and the connection's own are added */
    struct spliced body;
    int64_t
        idle_timeout_ms; /* between any two signs of life, the first included (headers, bytes) */
};

enum upstream_failure {
    UPSTREAM_UNREACHABLE,  /* look-up, connect or TLS failed */
    UPSTREAM_DISCONNECTED, /* the connection or stream broke after the request was sent */
    UPSTREAM_TIMED_OUT,    /* idle_timeout_ms passed in silence */
    UPSTREAM_BAD_ANSWER,   /* not HTTP as we know it */
    UPSTREAM_CLOSING       /* the pool is shutting down */
};

struct upstream_callbacks {
    /* Header names in lower case. Valid during the call. */
    void (*on_head)(void *arg, int status, const struct upstream_header *headers, size_t n);
    void (*on_data)(void *arg, const char *p, size_t n);
    void (*on_end)(void *arg);
    /* `detail` for people, without secrets; valid during the call. */
    void (*on_fail)(void *arg, enum upstream_failure why, const char *detail);
};

/*
 * The texts, the headers and the body are borrowed until on_head, on_fail or cancel (they may be
 * sent again on a fresh connection when the server refused them unprocessed); the struct itself is
 * copied, `cb` is borrowed to the end. An answer that begins before the body is sent ends the
 * sending. NULL without memory, when too many calls wait for a connection, when the pool is being
 * destroyed, or when a header could not be sent as it is (line ends in it, 64 KB in all).
 */
struct upstream_call *upstream_start(struct upstream *u, const struct upstream_request *r,
                                     const struct upstream_callbacks *cb, void *arg);
/* HTTP/2: RST_STREAM goes out this turn; HTTP/1.1: the connection is closed. */
void upstream_cancel(struct upstream_call *c);
/* Replaces the request's idle_timeout_ms (0: none) from now on. */
void upstream_set_idle_timeout(struct upstream_call *c, int64_t ms);
/* Back-pressure: no on_data while paused; what the window allows is held, the rest not sent. The
 * idle timeout rests while paused. */
void upstream_pause(struct upstream_call *c);
void upstream_resume(struct upstream_call *c);

struct upstream_stats {
    size_t connections, calls, waiting_calls;
};
struct upstream_stats upstream_stats(const struct upstream *u);

#endif

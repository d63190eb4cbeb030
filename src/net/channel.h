/*
 * A byte stream over a socket, plain or TLS, client or server side: reads are handed up as they
 * come (from a buffer that the loop shares), writes go out at once and what does not fit waits in
 * a bounded buffer.
 *
 * Lifetime: embedded in its owner. After channel_close no callback comes any more; the owner may
 * free itself from a loop_defer job, never inside a callback.
 */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/tls.h"

struct channel;

enum channel_end {
    CHANNEL_EOF,       /* the peer ended its side (FIN or close_notify): treated as gone */
    CHANNEL_RESET,     /* reset, or any other socket error */
    CHANNEL_TLS_ERROR, /* handshake or record layer failed; see channel_tls_reason */
    CHANNEL_OVERFLOW,  /* more waits to be written than out_max allows */
};

struct channel_callbacks {
    /* TLS is up (plain: called at the end of the turn in which it was opened). May be NULL. */
    void (*on_open)(void *arg);
    /* Bytes from the peer, valid during the call. May close the channel. */
    void (*on_data)(void *arg, const char *p, size_t n);
    /* Everything that waited has been written, after a time when something waited. May be NULL. */
    void (*on_drain)(void *arg);
    /* The peer is gone; the owner must call channel_close. Called at most once. */
    void (*on_end)(void *arg, enum channel_end why);
};

struct channel {
    struct loop *loop;
    int fd; /* -1 = closed */
    struct tls *tls;
    const struct channel_callbacks *cb;
    void *arg;
    struct event read_event, write_event;
    struct buf out;  /* bytes the kernel did not take yet */
    size_t out_sent; /* of them, already written */
    bool is_open, is_paused, is_ended, wants_close_after_flush;
    bool tls_read_wants_write; /* a TLS read waits for the socket to take bytes */
    bool wants_read;           /* OpenSSL holds bytes that no event will announce */
    bool is_write_broken;      /* the peer takes no more; what it said before is still read */
    struct loop_job job;       /* opening, reading on, an end noticed while writing: put off */
    enum channel_end pending_end;
    bool has_pending_end;
};

/*
 * Takes `fd` (a connected, non-blocking socket). `tls` is NULL for plain; else taken: a fresh
 * client or server session (net/tls.h). `out_max` bounds the bytes that may wait.
 */
void channel_open(struct channel *c, struct loop *l, int fd, struct tls *tls, size_t out_max,
                  const struct channel_callbacks *cb, void *arg);
/* Writes as much as the kernel takes, keeps the rest. Errors surface later as on_end. */
void channel_write(struct channel *c, const void *p, size_t n);
/* Bytes that wait to be written. */
size_t channel_waiting(const struct channel *c);
/* Stops and restarts reading. While paused a peer that leaves is not noticed: never pause clients.
 */
void channel_pause(struct channel *c);
void channel_resume(struct channel *c);
/* Closes at once; what waits is lost. Accepts a closed or zeroed channel. */
void channel_close(struct channel *c);
/*
 * Ends our side when what waits has been written, throws away what still arrives (so that the peer
 * can read an error answer before it sees a reset) and tells on_end when the peer ends its side.
 * The owner bounds that wait with a timer of its own and then calls channel_close.
 */
void channel_close_after_flush(struct channel *c);
bool channel_is_closed(const struct channel *c);
/* Why TLS failed, for people ("certificate has expired"); static or channel-owned text. */
const char *channel_tls_reason(const struct channel *c);
/* Whether TLS failed because the peer spoke HTTP without it. */
bool channel_is_plain_http(const struct channel *c);
/* Past TLS, for such a peer: as much as the socket takes at once. */
void channel_write_plain(struct channel *c, struct str bytes);
/* "TLSv1.3"; empty where there is no TLS. */
const char *channel_tls_version(const struct channel *c);
/* "h2", "http/1.1" or empty, as ALPN settled it. */
struct str channel_alpn(const struct channel *c);

#endif

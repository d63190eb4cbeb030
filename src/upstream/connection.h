/*
 * One connection to the upstream: dialling, TLS, the channel, what it speaks (h1_connection.c or
 * h2_connection.c, by a table of functions), and its end. For upstream/ itself.
 */
#ifndef UPSTREAM_CONNECTION_H
#define UPSTREAM_CONNECTION_H

#include "net/channel.h"
#include "net/egress.h"
#include "upstream/pool.h"

/* Bytes that may wait to be written before a body is read on. */
#define CONNECTION_HIGH_WATER_BYTES (256 * 1024)
/* A body is written in pieces of this size. */
#define CONNECTION_SLICE_BYTES (64 * 1024)
/* Request line and headers of one request. */
#define CONNECTION_HEAD_BYTES_MAX (64 * 1024)

struct protocol {
    /* False without memory. */
    bool (*open)(struct connection *c);
    /* Sends a call, the last one in c->calls. */
    void (*start)(struct connection *c, struct upstream_call *call);
    void (*receive)(struct connection *c, const char *p, size_t n);
    /* What waited has been written. */
    void (*drain)(struct connection *c);
    /* The peer ended its side in an orderly way: completes calls that end like this. May close. */
    void (*eof)(struct connection *c);
    /* A detached call whose answer is not whole: the peer is to forget it. */
    void (*abandon)(struct connection *c, struct upstream_call *call);
    /* The reader of a call stopped, went on, took `n` bytes. */
    void (*pause)(struct connection *c, struct upstream_call *call);
    void (*resume)(struct connection *c, struct upstream_call *call);
    void (*taken)(struct connection *c, struct upstream_call *call, size_t n);
    /* The connection's timer came while there are calls. */
    void (*on_timer)(struct connection *c);
    /* Writes what waits in the protocol; see pool_flush_later. */
    void (*flush)(struct connection *c);
    /* A last word before the socket is closed. */
    void (*goodbye)(struct connection *c);
    /* More calls that it can take now. */
    size_t (*room)(const struct connection *c);
    void (*destroy)(struct connection *c);
};

extern const struct protocol h1_protocol;
extern const struct protocol h2_protocol;

struct connection {
    struct list node, ready_node, unflushed_node;
    struct upstream *pool;
    enum connection_phase phase;
    const struct protocol *protocol; /* NULL while dialling */
    void *state;                     /* the protocol's own */
    struct egress_call *dial;        /* NULL when there is none under way */
    int64_t give_up_us;              /* end of the time for connecting */
    struct channel channel;
    struct timer timer; /* dialling: TLS's limit; no calls: idle close; else the protocol's */
    struct list calls;
    size_t n_calls;
    uint64_t n_served; /* calls that ended with a whole answer */
    uint64_t received_bytes;
    int64_t last_received_us;
    bool is_idle;       /* the timer runs for idle_close_ms */
    bool has_peer_left; /* the peer ended the connection, not we */
    struct loop_job free_job;
};

/* Begins to dial. False without memory. */
bool connection_dial(struct upstream *u);
/* Moves a waiting call here and sends it. */
void connection_take(struct connection *c, struct upstream_call *call);
/* The number of calls, the room or the phase changed: ready list, idle timer, end of draining. */
void connection_update(struct connection *c);
void connection_set_phase(struct connection *c, enum connection_phase phase);
/*
 * Closes at once. Calls that the peer cannot have seen are tried again, the others fail. May be
 * called again while it runs (by a callback); the memory goes at the end of the turn.
 */
void connection_close(struct connection *c, enum upstream_failure why, const char *detail);

#endif

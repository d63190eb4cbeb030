/*
 * The inside of the pool: which connections there are, which calls wait for one, when to dial.
 * For upstream/ itself.
 *
 * How many connections: where HTTP/2 is spoken, or before it is known what is, one is dialled at
 * a time and everybody waits for it. HTTP/1.1 carries one call per connection, so several are
 * dialled at once: a few at first, more with every success, so that a burst of calls is not a
 * burst of handshakes.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "base/buf.h"
#include "base/list.h"
#include "upstream/upstream.h"

/* Calls that may wait for a connection; upstream_start refuses beyond. */
#define POOL_WAITING_MAX 16384
/* HTTP/1.1 connections dialled at once: at first, and after many successes. */
#define POOL_DIALS_FIRST 4
#define POOL_DIALS_MAX   64
/* How often one call is sent in all; the server must have refused it unprocessed in between. */
#define POOL_TRIES_MAX 3

enum connection_phase {
    PHASE_DIALING,  /* look-up, TCP, TLS */
    PHASE_SETTLING, /* HTTP/2: the server has not said how many streams it takes */
    PHASE_OPEN,
    PHASE_DRAINING, /* takes no new calls, finishes those it has */
    PHASE_CLOSED,   /* freed at the end of the turn */
};
#define PHASE_COUNT 5

enum pool_protocol { POOL_PROTOCOL_UNKNOWN, POOL_HTTP1, POOL_HTTP2 };

struct upstream {
    struct loop *loop;
    struct upstream_settings settings;
    enum pool_protocol protocol; /* what the last connection turned out to speak */
    struct list connections;
    struct list ready;     /* those that can take a call; the one in front is used first */
    struct list unflushed; /* HTTP/2 connections with frames to send this turn */
    struct list waiting;   /* calls without a connection, oldest first */
    struct list finishing; /* calls whose answer is whole, but held back by upstream_pause */
    size_t n_calls, n_waiting;
    size_t n_in_phase[PHASE_COUNT];
    size_t dial_window; /* HTTP/1.1: connections that may be dialled at once */
    bool is_closing, is_in_turn;
    struct loop_job turn_job, free_job;
    struct buf scratch; /* what is about to be written; empty between calls of functions */
};

struct connection;

/* The job of that name: gives waiting calls their connections, sends frames. */
void pool_turn(void *arg);
/* At the end of this turn: waiting calls are given connections, frames are sent. */
void pool_wake(struct upstream *u);
/* Puts a call in the queue, behind the others or (one that is tried again) before them. */
void pool_queue(struct upstream *u, struct upstream_call *call, bool is_first);
/* A connection is up: gives it calls at once. */
void pool_opened(struct upstream *u, struct connection *c, enum pool_protocol protocol);
/* No connection came of a dial: fails the calls that counted on it. */
void pool_dial_failed(struct upstream *u, const char *detail);
/* Closes the connections that carry nothing: one of their kind turned out to be dead. */
void pool_drop_idle(struct upstream *u);
/* Have `c` send its frames at the end of this turn. */
void pool_flush_later(struct upstream *u, struct connection *c);

#endif

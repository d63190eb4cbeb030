/*
 * One call: where it is (in the queue, on a connection, finishing), its silence timer, the bytes
 * held back while it is paused. For upstream/ itself.
 */
#ifndef UPSTREAM_CALL_H
#define UPSTREAM_CALL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/str.h"
#include "http/h2_client.h"
#include "upstream/pool.h"

enum call_state {
    CALL_WAITING,   /* in pool->waiting */
    CALL_SENT,      /* in connection->calls */
    CALL_FINISHING, /* in pool->finishing */
    CALL_OVER,      /* in no list; freed at the end of the turn */
};

struct upstream_call {
    struct list node;
    struct upstream *pool;
    struct connection *connection;   /* CALL_SENT only */
    struct upstream_request request; /* texts and body borrowed, until on_head */
    const struct upstream_callbacks *cb;
    void *arg;
    struct timer silence;
    struct loop_job job;      /* delivers what was held back; at last frees the call */
    struct buf held;          /* came while paused, or in several pieces of one read */
    struct h2_stream stream;  /* HTTP/2 only; so the next two */
    struct list fed_node;     /* while it has bytes of the read that is being parsed: */
    struct str fed;           /* the first of them, where they stand; several are in `held` */
    int64_t sent_at_us;       /* the turn in which it was last given to a connection */
    uint64_t received_before; /* the connection's count at that time */
    enum call_state state;
    unsigned char tries;
    bool is_on_reused; /* the connection had carried a whole call before */
    bool is_paused, has_head;
};

/* Returns owned by the pool, in the queue; NULL without memory. */
struct upstream_call *call_create(struct upstream *u, const struct upstream_request *r,
                                  const struct upstream_callbacks *cb, void *arg);
/* Out of the list it is in. Its connection no longer counts it. */
void call_detach(struct upstream_call *call);
/* Something came from the peer: the silence begins anew. */
void call_sign_of_life(struct upstream_call *call);
/* What the connection has for the call. Each may end in cancel, or in the pool's end. */
void call_head(struct upstream_call *call, int status, const struct upstream_header *headers,
               size_t n);
void call_data(struct upstream_call *call, const char *p, size_t n);
/* The answer is whole. The call must be detached. */
void call_complete(struct upstream_call *call);
/* Detaches and tells the owner. */
void call_fail(struct upstream_call *call, enum upstream_failure why, const char *detail);
/* Detaches without a word. */
void call_cancel(struct upstream_call *call);
/* From now on; a silence under way begins anew. */
void call_set_idle_timeout(struct upstream_call *call, int64_t ms);
void call_pause(struct upstream_call *call);
void call_resume(struct upstream_call *call);

#endif

/*
 * One connection of the simulator. conn.c holds what both protocols share; conn_h1.c and conn_h2.c
 * turn bytes into exchanges and answers into bytes.
 */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "net/channel.h"
#include "sim/route.h"
#include "sim/worker.h"

#define CONN_REQUEST_BYTES_MAX (32u * 1024 * 1024) /* of a body: what the API takes */
#define CONN_OUT_BYTES_MAX     (ROUTE_BODY_BYTES_MAX + 1024 * 1024)

struct conn_h1;
struct conn_h2;

struct conn {
    struct sim_worker *w;
    struct channel channel;
    struct list node;   /* in worker.conns */
    struct conn_h1 *h1; /* one of the two, once it is known which */
    struct conn_h2 *h2;
    struct timer linger; /* bounds the wait of channel_close_after_flush */
    struct loop_job free_job;
    uint64_t number;
    bool is_loopback, is_closed;
};

/* Closes at once and frees at the end of the turn. */
void conn_close(struct conn *c);
/* Lets what waits go out first. */
void conn_close_after_flush(struct conn *c);

/* Each protocol. Created: NULL without memory. Destroyed: its exchanges learn that the client is
 * gone. Between conn_close and that, at the end of the turn, nothing is put off any more. */
struct conn_h1 *conn_h1_create(struct conn *c);
void conn_h1_gone(struct conn_h1 *h);
void conn_h1_data(struct conn_h1 *h, const char *p, size_t n);
void conn_h1_drained(struct conn_h1 *h);
void conn_h1_destroy(struct conn_h1 *h);

struct conn_h2 *conn_h2_create(struct conn *c);
void conn_h2_data(struct conn_h2 *h, const char *p, size_t n);
void conn_h2_drained(struct conn_h2 *h);
void conn_h2_destroy(struct conn_h2 *h);

#endif

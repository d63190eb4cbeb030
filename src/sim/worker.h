/*
 * One thread of the simulator, and what all of them share.
 */
#ifndef SIM_WORKER_H
#define SIM_WORKER_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/tls.h"
#include "sim/cache.h"
#include "sim/record.h"
#include "sim/sim.h"

struct sim {
    struct record *record;
    struct cache *cache;
    struct tls_context *tls;                  /* NULL = plain */
    char directives[RECORD_DIRECTIVES_BYTES]; /* for every request of /v1/messages */
    uint32_t max_streams;
    int port;
    struct sim_worker *workers;
    int n_workers;
};

struct sim_worker {
    struct sim *sim;
    struct loop *loop;
    struct listener *listener;
    pthread_t thread;
    bool is_running;
    struct loop_job stop_job;
    struct list conns;
    struct buf scratch; /* what is written next; empty between calls */
    uint64_t n_conns;   /* for connection numbers */
    int index;
};

/* A connection was accepted (conn.c). */
void conn_accept(void *worker, int fd);
/* Closes every connection of a worker. */
void conn_close_all(struct sim_worker *w);

#endif

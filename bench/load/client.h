/*
 * A client: one connection that is kept, one request on it at a time, its answer checked.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>

#include "http/h1.h"
#include "net/channel.h"
#include "stream.h"

struct client;

/* What all clients of a run send, to whom, and what has to come back. */
struct target {
    struct loop *loop;
    struct sockaddr_in address;
    const char *host;
    struct tls_context *tls; /* NULL = plain */
    struct str request;      /* head and body */
    const struct stream_form *form;
    int64_t n_tokens; /* in each stream; 0 = the answer is not looked into */
    struct tally *tally;
    void *arg;                    /* of the callbacks, which may send again on the same client */
    void (*on_begun)(void *arg);  /* a stream has its first token */
    void (*on_tokens)(void *arg); /* some of a stream may have come */
    void (*on_over)(void *arg, struct client *c);
};

struct client {
    const struct target *target;
    struct channel channel;
    struct h1_parser *parser;
    struct stream stream;
    struct loop_job connect_job;
    int64_t from_us; /* from when times are taken */
    int status;
    bool is_connected, is_busy, has_stream, keeps_alive;
};

void client_init(struct client *c, const struct target *target);
/* Sends a request on the connection, or on a new one. `from_us`: monotonic. */
void client_send(struct client *c, int64_t from_us);
/* Ends what is under way, as a fault. */
void client_done(struct client *c);

#endif

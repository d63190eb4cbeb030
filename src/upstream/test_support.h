/*
 * What the tests of upstream/ share: a loop that runs until something is true, a probe that
 * records one call, an HTTP/1.1 server that answers as a test's function says. All in one thread.
 */
#ifndef UPSTREAM_TEST_SUPPORT_H
#define UPSTREAM_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "base/buf.h"
#include "net/channel.h"
#include "net/listener.h"
#include "upstream/upstream.h"

/* The loop ------------------------------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct resolver *resolver;
    struct upstream *upstream;
    struct upstream_settings settings;
};
/* Settings for `url` with short times; the test may change them before world_connect. */
void world_init(struct world *w);
void world_aim(struct world *w, const char *url_format, int port);
void world_connect(struct world *w);
void world_done(struct world *w);
/* Runs the loop until `is_true`; fails the test after five seconds. */
void run_until(struct world *w, bool (*is_true)(void *arg), void *arg);
void run_for(struct world *w, int64_t ms);

/* One call ------------------------------------------------------------------------------- */

struct probe {
    struct world *world;
    struct upstream_call *call;
    int n_heads, status, n_data, n_ends, n_fails;
    size_t body_bytes;
    struct buf body;    /* the first of them */
    char headers[4096]; /* "name: value\n" ... */
    enum upstream_failure why;
    char detail[160];
    int64_t ended_us;
    /* What the test wants done inside a callback; may be NULL. */
    void (*in_head)(struct probe *p);
    void (*in_data)(struct probe *p);
    void (*in_end)(struct probe *p);
};
/* POST of `body`, or GET without one, with two headers and a patience of three seconds. */
void probe_start(struct probe *p, struct world *w, const char *path, struct str body);
void probe_start_with(struct probe *p, struct world *w, const struct upstream_request *r);
/* Runs one POST of "{}" from beginning to end. */
void call_once(struct world *w, struct probe *p);
bool probe_is_over(void *probe);
bool probe_has_data(void *probe);
void probe_done(struct probe *p);
/* Ended with this status and body. */
void assert_answer(const struct probe *p, int status, const char *body);
void assert_failure(const struct probe *p, enum upstream_failure why, const char *detail_part);
/* For in_head, in_data, in_end. */
void pause_there(struct probe *p);
void cancel_there(struct probe *p);
void destroy_there(struct probe *p);
struct probes {
    struct probe *p;
    size_t n;
};
bool probes_are_over(void *probes);

/* A server ------------------------------------------------------------------------------- */

#define BIG_BYTES (32u * 1024 * 1024) /* more than all the buffers on the way together */

struct h1_server;
struct h1_peer {
    struct h1_server *server;
    struct h1_peer *next;
    struct channel channel;
    struct buf in;
    int n_requests; /* whole ones, on this connection */
    bool is_gone;   /* the client left */
    int64_t gone_us;
    bool is_closed;
};
struct h1_server {
    struct world *world;
    struct listener *listener;
    struct h1_peer *peers; /* all there ever were */
    int n_peers, n_requests;
    size_t max_open;
    bool answers_heads; /* call on_request when the head is in, do not wait for the body */
    /* A whole request (head and body) is in `text`. */
    void (*on_request)(struct h1_peer *p, struct str text);
};
void h1_server_start(struct h1_server *s, struct world *w,
                     void (*on_request)(struct h1_peer *p, struct str text));
int h1_server_port(const struct h1_server *s);
void h1_server_stop(struct h1_server *s);
/* A world and its server. */
struct h1_fixture {
    struct world world;
    struct h1_server server;
};
void h1_begin(struct h1_fixture *f, void (*on_request)(struct h1_peer *p, struct str text));
void h1_finish(struct h1_fixture *f);
void peer_say(struct h1_peer *p, const char *text);
void peer_close(struct h1_peer *p);
/* With a reset instead of an orderly end. */
void peer_reset(struct h1_peer *p);

#endif

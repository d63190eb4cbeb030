/*
 * An HTTP/2 server over TLS for the tests of upstream/: it answers, refuses, resets and falls
 * silent as a test's function says. On nghttp2's server side, in the test's own loop.
 */
#ifndef UPSTREAM_TEST_H2_SERVER_H
#define UPSTREAM_TEST_H2_SERVER_H

#include "upstream/test_support.h"

struct h2_server;
struct h2_peer;
struct nghttp2_session;

/* One request as the server sees it. */
struct h2_test_stream {
    struct h2_test_stream *next;
    struct h2_peer *peer;
    int32_t id;
    char headers[2048]; /* "name: value\n" ... */
    size_t body_bytes;
    bool is_whole; /* the request has ended */
    bool is_closed;
    uint32_t close_code;
    int64_t closed_us;
    size_t left;     /* bytes of the answer that are still to be sent */
    bool stays_open; /* after them nothing comes, not even the end */
    bool has_trailers;
};

struct h2_peer {
    struct h2_server *server;
    struct h2_peer *next;
    struct channel channel;
    struct nghttp2_session *session;
    struct h2_test_stream *streams; /* newest first, kept to the end */
    int number;                     /* 1 = the first connection */
    int n_open, max_open, n_requests;
    bool is_closed, is_gone;
    bool is_mute; /* reads, but says nothing any more */
    struct loop_job flush_job;
};

struct h2_server {
    struct world *world;
    struct listener *listener;
    struct tls_context *tls;
    struct h2_peer *peers; /* newest first */
    int n_peers, n_requests;
    uint32_t max_concurrent;
    bool speaks_garbage;
    /* A request's head is in (is_whole: and its body). Called for both moments. */
    void (*on_request)(struct h2_test_stream *s);
};

/* A world and its server. */
struct h2_fixture {
    struct world world;
    struct h2_server server;
};
void h2_begin(struct h2_fixture *f, void (*on_request)(struct h2_test_stream *s));
void h2_finish(struct h2_fixture *f);

/* Ready answers. */
void say_nothing(struct h2_test_stream *s);
void answer_whole(struct h2_test_stream *s);    /* five bytes, to a whole request */
void answer_thousand(struct h2_test_stream *s); /* a thousand, at the head */
void answer_part(struct h2_test_stream *s);     /* a hundred, and then nothing */
/* Ended with status 200 and `n` bytes. */
void assert_whole(const struct probe *p, size_t n);

/* Error codes of RFC 9113, section 7. */
enum { H2_NO_ERROR = 0, H2_INTERNAL_ERROR = 2, H2_REFUSED_STREAM = 7, H2_CANCEL = 8 };

enum cert_kind { CERT_GOOD, CERT_EXPIRED, CERT_OTHER_NAME };
/* Path of a PEM file with certificate and key for "localhost", made by the openssl command. */
const char *cert_path(enum cert_kind kind);
/* For cmocka_run_group_tests. */
int certs_remove(void **state);

void h2_server_start(struct h2_server *s, struct world *w, enum cert_kind kind,
                     void (*on_request)(struct h2_test_stream *s));
void h2_server_stop(struct h2_server *s);
struct h2_peer *h2_server_peer(struct h2_server *s, int number);
/* The stream whose path ends in this; NULL while there is none. */
struct h2_test_stream *h2_server_find(struct h2_server *s, const char *path_end);

/* Answers with `status` and `n` bytes of 'y'; `stays_open`: and then nothing. */
void stream_answer(struct h2_test_stream *s, int status, size_t n, bool stays_open);
/* The bytes that were held back by stays_open go on; `n` more, then the end. */
void stream_go_on(struct h2_test_stream *s, size_t n);
void stream_headers(struct h2_test_stream *s, size_t n_headers, size_t value_bytes);
void stream_informational(struct h2_test_stream *s, int status);
/* A head that promises `promised` bytes before `n` come. */
void stream_answer_sized(struct h2_test_stream *s, size_t promised, size_t n);
void stream_reset(struct h2_test_stream *s, uint32_t code);
void peer_goaway(struct h2_peer *p, int32_t last_id, uint32_t code);
void peer_cut(struct h2_peer *p);

#endif

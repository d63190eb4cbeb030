/*
 * Counters and a ring of requests under one mutex: short sections, no I/O inside.
 */
#include "sim/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"
#include "base/siphash.h"
#include "base/utf8.h"
#include "json/json.h"

#define HEADERS_BYTES_MAX 32768

struct entry {
    uint64_t number; /* 0 = empty */
    uint64_t connection;
    int64_t at_us, ended_us;
    int status;
    enum record_end how;
    int64_t n_deltas;
    const char *protocol;
    struct buf line;    /* method, blank, target */
    struct buf headers; /* as a JSON object */
    struct buf body;
    size_t body_bytes;
};

struct counters {
    uint64_t requests, done, aborted, broken;
    int64_t open;
    int64_t last_abort_us;
    uint64_t connections;
};

struct record {
    pthread_mutex_t lock;
    struct counters n;
    int64_t open_connections;
    uint64_t next; /* number of the next request; never reset, so that late ends find no stranger */
    struct entry ring[RECORD_REQUESTS];
    struct digest repeatable[RECORD_REPEATABLE]; /* bodies whose second coming is another case */
    size_t next_repeatable;
    char directives[ROUTE_COUNT][RECORD_DIRECTIVES_BYTES];
    size_t n_directives[ROUTE_COUNT];
};

int64_t unix_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct record *record_create(void)
{
    struct record *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        free(r);
        return NULL;
    }
    r->next = 1;
    for (size_t i = 0; i < RECORD_REQUESTS; i++) {
        buf_init(&r->ring[i].line, HEADERS_BYTES_MAX + 64);
        buf_init(&r->ring[i].headers, HEADERS_BYTES_MAX * 7); /* every byte may be escaped */
        buf_init(&r->ring[i].body, RECORD_BODY_BYTES);
    }
    return r;
}

void record_destroy(struct record *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < RECORD_REQUESTS; i++) {
        buf_done(&r->ring[i].line);
        buf_done(&r->ring[i].headers);
        buf_done(&r->ring[i].body);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void write_headers(struct buf *b, const struct exchange_request *q)
{
    buf_append_char(b, '{');
    for (size_t i = 0; i < q->n_headers; i++) {
        if (i > 0)
            buf_append_char(b, ',');
        json_write_string(b, q->headers[i].name);
        buf_append_char(b, ':');
        json_write_string(b, q->headers[i].value);
    }
    buf_append_char(b, '}');
}

uint64_t record_begin(struct record *r, const struct exchange_request *q, uint64_t connection)
{
    int64_t now_us = unix_us();
    pthread_mutex_lock(&r->lock);
    uint64_t number = r->next++;
    struct entry *e = &r->ring[number % RECORD_REQUESTS];
    e->number = number;
    e->connection = connection;
    e->at_us = now_us;
    e->ended_us = 0;
    e->status = 0;
    e->how = RECORD_OPEN;
    e->n_deltas = 0;
    e->protocol = q->protocol;
    e->body_bytes = q->body.n;
    buf_reset(&e->line);
    buf_append_str(&e->line, q->method);
    buf_append_char(&e->line, ' ');
    buf_append_str(&e->line, q->target);
    buf_reset(&e->headers);
    write_headers(&e->headers, q);
    buf_reset(&e->body);
    buf_append_str(&e->body, utf8_cut(q->body, RECORD_BODY_BYTES));
    r->n.requests++;
    r->n.open++;
    pthread_mutex_unlock(&r->lock);
    return number;
}

bool record_is_repeat(struct record *r, const struct exchange_request *q)
{
    struct siphash hash = siphash_begin((struct siphash_key){0});
    siphash_add(&hash, q->body);
    const struct digest body = siphash_end(&hash);
    bool is_repeat = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < PX_ARRAY_LEN(r->repeatable) && !is_repeat; i++)
        is_repeat = digest_eq(r->repeatable[i], body);
    if (!is_repeat)
        r->repeatable[r->next_repeatable++ % PX_ARRAY_LEN(r->repeatable)] = body;
    pthread_mutex_unlock(&r->lock);
    return is_repeat;
}

static struct entry *find(struct record *r, uint64_t number)
{
    struct entry *e = &r->ring[number % RECORD_REQUESTS];
    return e->number == number ? e : NULL;
}

void record_status(struct record *r, uint64_t number, int status)
{
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, number);
    if (e)
        e->status = status;
    pthread_mutex_unlock(&r->lock);
}

void record_end(struct record *r, uint64_t number, enum record_end how, int64_t n_deltas)
{
    int64_t now_us = unix_us();
    pthread_mutex_lock(&r->lock);
    struct entry *e = find(r, number);
    if (e) {
        e->how = how;
        e->ended_us = now_us;
        e->n_deltas = n_deltas;
    }
    r->n.open--;
    r->n.done += how == RECORD_DONE;
    r->n.broken += how == RECORD_BROKEN;
    if (how == RECORD_ABORTED) {
        r->n.aborted++;
        r->n.last_abort_us = now_us;
    }
    pthread_mutex_unlock(&r->lock);
}

void record_connection(struct record *r, int change)
{
    pthread_mutex_lock(&r->lock);
    r->open_connections += change;
    r->n.connections += change > 0;
    pthread_mutex_unlock(&r->lock);
}

void record_reset(struct record *r)
{
    pthread_mutex_lock(&r->lock);
    int64_t open = r->n.open; /* they are open still, and will end */
    r->n = (struct counters){.open = open};
    for (size_t i = 0; i < RECORD_REQUESTS; i++)
        r->ring[i].number = 0;
    memset(r->repeatable, 0, sizeof(r->repeatable));
    memset(r->n_directives, 0, sizeof(r->n_directives));
    pthread_mutex_unlock(&r->lock);
}

/* The body as the JSON that it is, or as a string. */
static void write_body(struct buf *b, const struct entry *e)
{
    struct json_error err;
    yyjson_doc *doc = e->body.len ? json_parse(buf_str(&e->body), &err) : NULL;
    buf_append_z(b, ",\"body\":");
    if (doc)
        buf_append_str(b, buf_str(&e->body));
    else
        json_write_string(b, buf_str(&e->body));
    yyjson_doc_free(doc);
}

static void write_entry(struct buf *b, const struct entry *e)
{
    static const char *const ends[] = {"open", "done", "aborted", "broken"};
    buf_printf(b, "{\"number\":%llu,\"connection\":%llu,\"protocol\":\"%s\",\"request\":",
               (unsigned long long)e->number, (unsigned long long)e->connection, e->protocol);
    json_write_string(b, buf_str(&e->line));
    buf_printf(b, ",\"at_us\":%lld,\"ended_us\":%lld,\"status\":%d,\"end\":\"%s\",\"deltas\":%lld",
               (long long)e->at_us, (long long)e->ended_us, e->status, ends[e->how],
               (long long)e->n_deltas);
    buf_append_z(b, ",\"headers\":");
    buf_append_str(b, e->headers.failed ? STR("{}") : buf_str(&e->headers));
    buf_printf(b, ",\"body_bytes\":%zu", e->body_bytes);
    write_body(b, e);
    buf_append_char(b, '}');
}

void record_write(struct record *r, struct buf *b)
{
    pthread_mutex_lock(&r->lock);
    const struct counters *n = &r->n;
    buf_printf(b,
               "{\"now_us\":%lld,\"requests\":%llu,\"open\":%lld,\"done\":%llu,\"aborted\":%llu,"
               "\"broken\":%llu,\"last_abort_us\":%lld,\"connections\":%llu,"
               "\"open_connections\":%lld,\"recent\":[",
               (long long)unix_us(), (unsigned long long)n->requests, (long long)n->open,
               (unsigned long long)n->done, (unsigned long long)n->aborted,
               (unsigned long long)n->broken, (long long)n->last_abort_us,
               (unsigned long long)n->connections, (long long)r->open_connections);
    bool is_first = true;
    uint64_t from = r->next > RECORD_REQUESTS ? r->next - RECORD_REQUESTS : 1;
    for (uint64_t number = from; number < r->next; number++) {
        const struct entry *e = find(r, number);
        if (!e)
            continue;
        if (!is_first)
            buf_append_char(b, ',');
        is_first = false;
        write_entry(b, e);
    }
    buf_append_z(b, "]}");
    pthread_mutex_unlock(&r->lock);
}

bool record_set_directives(struct record *r, enum record_route route, struct str text)
{
    if (text.n > RECORD_DIRECTIVES_BYTES)
        return false;
    pthread_mutex_lock(&r->lock);
    if (text.n)
        memcpy(r->directives[route], text.p, text.n);
    r->n_directives[route] = text.n;
    pthread_mutex_unlock(&r->lock);
    return true;
}

bool record_get_directives(struct record *r, enum record_route route,
                           char to[RECORD_DIRECTIVES_BYTES], size_t *ret_n)
{
    pthread_mutex_lock(&r->lock);
    *ret_n = r->n_directives[route];
    memcpy(to, r->directives[route], *ret_n);
    pthread_mutex_unlock(&r->lock);
    return *ret_n > 0;
}

/*
 * The resolver: one thread that calls getaddrinfo for all loops, so that a slow name server stops
 * no stream. There is no cache beyond the system's, so that a name that moves is followed at once:
 * connections are kept, and a burst of new ones shares a look-up.
 */
#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

struct resolver {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows and the state of every query */
    pthread_cond_t wake;
    struct list queue;
    bool is_stopping;
    bool is_looking_up; /* the thread is inside getaddrinfo */
    bool is_orphaned;   /* nobody waits for the thread: it frees the resolver */
};

enum query_state {
    QUERY_QUEUED,  /* in the queue */
    QUERY_RUNNING, /* the thread works on it */
    QUERY_POSTED   /* the answer is on its way to the loop */
};

struct resolver_query {
    struct list node;
    struct resolver *resolver;
    struct loop *loop;
    enum query_state state;
    bool is_cancelled;
    void (*done)(void *arg, const struct resolver_answer *a);
    void *arg;
    struct loop_job job;
    struct resolver_answer answer;
    char host[256], service[16];
};

static void deliver(void *arg)
{
    struct resolver_query *q = arg;
    if (!q->is_cancelled)
        q->done(q->arg, &q->answer);
    free(q);
}

/* The next address of that family (or of the other ones), moving *at behind it. */
static struct addrinfo *next_of(struct addrinfo **at, int family, bool is_same)
{
    while (*at && ((*at)->ai_family == family) != is_same)
        *at = (*at)->ai_next;
    struct addrinfo *hit = *at;
    if (hit)
        *at = hit->ai_next;
    return hit;
}

/* Families alternate, beginning with the one that the system prefers (RFC 8305, section 4). */
static void fill(struct resolver_answer *a, struct addrinfo *list)
{
    struct addrinfo *first = list, *second = list;
    bool take_first = true;
    while (a->n < RESOLVER_ADDRESSES_MAX) {
        struct addrinfo *next = take_first ? next_of(&first, list->ai_family, true)
                                           : next_of(&second, list->ai_family, false);
        if (!next)
            next = take_first ? next_of(&second, list->ai_family, false)
                              : next_of(&first, list->ai_family, true);
        if (!next)
            return;
        memcpy(&a->address[a->n].sa, next->ai_addr, next->ai_addrlen);
        a->address[a->n++].len = next->ai_addrlen;
        take_first = !take_first;
    }
}

bool resolver_literal(const char *host, int port, struct resolver_answer *ret)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    ret->n = 0;
    ret->error = NULL;
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return false;
    fill(ret, list);
    freeaddrinfo(list);
    return ret->n > 0;
}

static void look_up(struct resolver_query *q)
{
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(q->host, q->service, &hints, &list);
    /* AI_ADDRCONFIG knows no loopback: a machine with only that has names too. EAI_AGAIN comes
     * from name servers that do not answer: asking them once more would only take as long. */
    if (rc != 0 && rc != EAI_AGAIN) {
        hints.ai_flags = 0;
        rc = getaddrinfo(q->host, q->service, &hints, &list);
    }
    if (rc == 0 && list) {
        fill(&q->answer, list);
        freeaddrinfo(list);
    }
    if (q->answer.n == 0)
        q->answer.error = rc ? gai_strerror(rc) : "no address";
}

static void post(struct resolver_query *q)
{
    q->state = QUERY_POSTED;
    loop_post(q->loop, &q->job);
}

/* To those in the queue who ask for the same: they came while it was looked up, or with it. */
static void share(struct resolver *r, const struct resolver_query *answered)
{
    LIST_EACH(&r->queue, at, next)
    {
        struct resolver_query *q = LIST_OF(at, struct resolver_query, node);
        if (strcmp(q->host, answered->host) != 0 || strcmp(q->service, answered->service) != 0)
            continue;
        q->answer = answered->answer;
        list_remove(&q->node);
        post(q);
    }
}

static void free_resolver(struct resolver *r)
{
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    free(r);
}

static void *run(void *arg)
{
    struct resolver *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->is_stopping) {
        if (list_is_empty(&r->queue)) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        struct resolver_query *q = LIST_OF(r->queue.next, struct resolver_query, node);
        list_remove(&q->node);
        q->state = QUERY_RUNNING;
        r->is_looking_up = true;
        pthread_mutex_unlock(&r->lock);
        look_up(q);
        pthread_mutex_lock(&r->lock);
        r->is_looking_up = false;
        share(r, q);
        if (q->is_cancelled) /* its loop may be gone */
            free(q);
        else
            post(q);
    }
    const bool is_orphaned = r->is_orphaned;
    pthread_mutex_unlock(&r->lock);
    if (is_orphaned)
        free_resolver(r);
    return NULL;
}

struct resolver *resolver_create(void)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    list_init(&r->queue);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    if (pthread_create(&r->thread, NULL, run, r) != 0) {
        free_resolver(r);
        return NULL;
    }
    return r;
}

void resolver_destroy(struct resolver *r)
{
    if (!r)
        return;
    const pthread_t thread = r->thread;
    pthread_mutex_lock(&r->lock);
    r->is_stopping = true;
    /* getaddrinfo cannot be called off and may take minutes: an exit does not wait for it. */
    const bool is_orphaned = r->is_orphaned = r->is_looking_up;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (is_orphaned) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    free_resolver(r);
}

struct resolver_query *resolver_lookup(struct resolver *r, struct loop *l, const char *host,
                                       int port,
                                       void (*done)(void *arg, const struct resolver_answer *a),
                                       void *arg)
{
    struct resolver_query *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    q->resolver = r;
    q->loop = l;
    q->done = done;
    q->arg = arg;
    q->job = (struct loop_job){.run = deliver, .arg = q};
    snprintf(q->host, sizeof(q->host), "%s", host);
    snprintf(q->service, sizeof(q->service), "%d", port);
    pthread_mutex_lock(&r->lock);
    list_append(&r->queue, &q->node);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    return q;
}

void resolver_cancel(struct resolver_query *q)
{
    struct resolver *r = q->resolver;
    pthread_mutex_lock(&r->lock);
    q->is_cancelled = true; /* running: the thread frees it; posted: deliver does */
    bool was_queued = q->state == QUERY_QUEUED;
    if (was_queued)
        list_remove(&q->node);
    pthread_mutex_unlock(&r->lock);
    if (was_queued)
        free(q);
}

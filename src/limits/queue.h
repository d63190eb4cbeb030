/*
 * Who is next: a bounded queue of those who wait for something that all of them share. Keys take
 * turns, and within a key who came first is first. What is waited for is the caller's to take.
 * Places are embedded in what waits; nothing is allocated. One thread at a time; time is a
 * parameter.
 */
#ifndef LIMITS_QUEUE_H
#define LIMITS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

/* In one look no more than so many are passed over that cannot be served in time. */
#define QUEUE_PASSED_MAX 64

/* What a place's owner says when it is asked to take what it waits for; else milliseconds after
 * which there will be enough. */
#define QUEUE_TAKEN   INT64_C(0)
#define QUEUE_BLOCKED INT64_C(-1) /* nobody can have anything before something is given back */
#define QUEUE_NEVER   INT64_MAX   /* this one cannot be served, others can */

struct queue_place {  /* a zeroed one is in no queue */
    struct list ring; /* all places of its key, the first one among them */
    struct list turn; /* of the first of its key: in queue->turns */
    size_t n;         /* of the first of its key: how many there are */
    uint64_t key;
    int64_t until_us; /* it does not wait longer */
    bool is_first, is_waiting;
};

struct queue {
    struct list turns; /* the first place of each key, whose turn is next in front */
    size_t n;
};

void queue_init(struct queue *q);
/* Whether queue_join would let this key in. */
bool queue_has_room(const struct queue *q, uint64_t key, size_t max);
/*
 * Takes the last place of its key. In a queue of `max` there is room for a key that has at least
 * two places less than the one with the most: that one loses its last (*ret_displaced, else NULL).
 * False: no room.
 */
bool queue_join(struct queue *q, struct queue_place *p, uint64_t key, int64_t until_us, size_t max,
                struct queue_place **ret_displaced);
/* Does nothing to a place that is in no queue. */
void queue_leave(struct queue *q, struct queue_place *p);

/*
 * Asks in order until one can take what it waits for: it is out of the queue and returned, and its
 * key's next turn comes after all others'. One that cannot have it in time is passed over, so that
 * it holds up nobody; anyone else is waited for, however little those behind it want. NULL: nobody
 * can. *ret_next is then who is waited for (NULL: nobody), *ret_wait_ms how long (QUEUE_BLOCKED:
 * until something is given back).
 */
struct queue_place *queue_serve(struct queue *q, int64_t now_us,
                                int64_t (*ask)(void *arg, struct queue_place *p), void *arg,
                                struct queue_place **ret_next, int64_t *ret_wait_ms);

#endif

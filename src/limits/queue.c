/*
 * A list of keys in the order of their turns. The first place of each key stands in it for all of
 * its key, and whoever follows it inherits that. Keys are looked for one by one: there are few.
 */
#include "limits/queue.h"

static struct queue_place *of_turn(struct list *node)
{
    return LIST_OF(node, struct queue_place, turn);
}

static struct queue_place *of_ring(struct list *node)
{
    return LIST_OF(node, struct queue_place, ring);
}

void queue_init(struct queue *q)
{
    list_init(&q->turns);
    q->n = 0;
}

/* NULL: nobody of the key waits. */
static struct queue_place *first_of(const struct queue *q, uint64_t key)
{
    for (struct list *it = q->turns.next; it != &q->turns; it = it->next)
        if (of_turn(it)->key == key)
            return of_turn(it);
    return NULL;
}

/* Of the key with the most places; NULL in an empty queue. */
static struct queue_place *fullest(const struct queue *q)
{
    struct queue_place *most = NULL;
    for (struct list *it = q->turns.next; it != &q->turns; it = it->next)
        if (!most || of_turn(it)->n > most->n)
            most = of_turn(it);
    return most;
}

/* Who has to go so that `key` gets in; NULL: nobody can be asked to. */
static struct queue_place *whom_to_displace(const struct queue *q, uint64_t key)
{
    const struct queue_place *first = first_of(q, key), *most = fullest(q);
    const size_t n = first ? first->n : 0;
    if (!most || most->n < n + 2)
        return NULL;
    return of_ring(most->ring.prev);
}

bool queue_has_room(const struct queue *q, uint64_t key, size_t max)
{
    return q->n < max || whom_to_displace(q, key);
}

bool queue_join(struct queue *q, struct queue_place *p, uint64_t key, int64_t until_us, size_t max,
                struct queue_place **ret_displaced)
{
    struct queue_place *displaced = q->n < max ? NULL : whom_to_displace(q, key);
    *ret_displaced = displaced;
    if (displaced)
        queue_leave(q, displaced);
    else if (q->n >= max)
        return false;
    struct queue_place *first = first_of(q, key);
    *p = (struct queue_place){.key = key, .until_us = until_us, .is_waiting = true};
    list_init(&p->ring);
    list_init(&p->turn);
    q->n++;
    if (first) {
        list_append(&first->ring, &p->ring); /* in front of the first, which is behind the last */
        first->n++;
        return true;
    }
    p->is_first = true;
    p->n = 1;
    list_append(&q->turns, &p->turn);
    return true;
}

void queue_leave(struct queue *q, struct queue_place *p)
{
    if (!p->is_waiting)
        return;
    q->n--;
    if (!p->is_first) {
        first_of(q, p->key)->n--;
    } else if (!list_is_empty(&p->ring)) {
        struct queue_place *heir = of_ring(p->ring.next);
        heir->is_first = true;
        heir->n = p->n - 1;
        list_append(&p->turn, &heir->turn); /* in front of the one that goes */
    }
    list_remove(&p->turn);
    list_remove(&p->ring);
    p->is_first = p->is_waiting = false;
}

static void end_turn(struct queue *q, struct queue_place *first)
{
    list_remove(&first->turn);
    list_append(&q->turns, &first->turn);
}

static bool is_in_time(const struct queue_place *p, int64_t now_us, int64_t wait_ms)
{
    return wait_ms == QUEUE_BLOCKED ||
           wait_ms - 1 <= (p->until_us - now_us) / 1000; /* rounded up */
}

struct queue_place *queue_serve(struct queue *q, int64_t now_us,
                                int64_t (*ask)(void *arg, struct queue_place *p), void *arg,
                                struct queue_place **ret_next, int64_t *ret_wait_ms)
{
    size_t n_passed = 0;
    *ret_next = NULL;
    *ret_wait_ms = QUEUE_BLOCKED;
    for (struct list *it = q->turns.next; it != &q->turns; it = it->next) {
        struct queue_place *first = of_turn(it), *p = first;
        do {
            const int64_t wait_ms = ask(arg, p);
            if (wait_ms == QUEUE_TAKEN) {
                end_turn(q, first);
                queue_leave(q, p);
                return p;
            }
            if (is_in_time(p, now_us, wait_ms)) {
                *ret_next = p;
                *ret_wait_ms = wait_ms;
                return NULL;
            }
            if (++n_passed == QUEUE_PASSED_MAX)
                return NULL;
            p = of_ring(p->ring.next);
        } while (p != first);
    }
    return NULL;
}

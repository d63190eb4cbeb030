/*
 * A doubly linked list through nodes embedded in the members. The head is a node too.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

#include "base/macros.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

/* Links `node` behind the last member. */
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Unlinks; harmless on a node that is in no list but was initialised. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_OF(node, type, member) PX_CONTAINER_OF(node, type, member)
/* `it` may be removed from the list inside the loop; `next` is a scratch pointer. */
#define LIST_EACH(head, it, next_)                                                                 \
    for (struct list *it = (head)->next, *next_ = it->next; it != (head);                          \
         it = next_, next_ = it->next)

#endif

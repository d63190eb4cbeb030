/*
 * A list of calls in the order they came, one allocation each.
 */
#include "translate/pending.h"

#include <stdlib.h>
#include <string.h>

void pending_done(struct pending *p)
{
    for (struct pending_node *node = p->first, *next; node; node = next) {
        next = node->next;
        free(node);
    }
    *p = (struct pending){0};
}

static struct str put(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

bool pending_add(struct pending *p, const struct pending_call *call)
{
    size_t n = call->caller.n + call->id.n + call->name.n + call->extra.n + call->arguments.s.n;
    if (p->calls == PENDING_CALLS_MAX || n > PENDING_BYTES_MAX - p->bytes)
        return false;
    struct pending_node *node = malloc(sizeof(*node) + n);
    if (!node)
        return false;
    char *at = node->text;
    node->next = NULL;
    node->call.caller = put(&at, call->caller);
    node->call.id = put(&at, call->id);
    node->call.name = put(&at, call->name);
    node->call.extra = put(&at, call->extra);
    node->call.arguments.s = put(&at, call->arguments.s);
    node->call.arguments.is_escaped = call->arguments.is_escaped;
    struct pending_node **last = &p->first;
    while (*last)
        last = &(*last)->next;
    *last = node;
    p->bytes += n;
    p->calls++;
    return true;
}

void pending_answered(struct pending *p, struct str caller)
{
    for (struct pending_node **at = &p->first; *at;) {
        struct pending_node *node = *at;
        if (!str_eq(node->call.caller, caller)) {
            at = &node->next;
            continue;
        }
        *at = node->next;
        free(node);
    }
}

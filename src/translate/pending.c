/*
 * A list of calls in the order they came, one allocation each.
 */
#include "translate/pending.h"

#include <stdlib.h>
#include <string.h>

void pending_done(struct pending *p)
{
    for (struct pending_call *c = p->first, *next; c; c = next) {
        next = c->next;
        free(c);
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
    size_t n = sizeof(*call) + call->caller.n + call->id.n + call->name.n + call->arguments.s.n;
    if (p->calls == PENDING_CALLS_MAX || n > PENDING_BYTES_MAX - p->bytes)
        return false;
    struct pending_call *c = malloc(n);
    if (!c)
        return false;
    char *at = c->text;
    *c = (struct pending_call){0};
    c->caller = put(&at, call->caller);
    c->id = put(&at, call->id);
    c->name = put(&at, call->name);
    c->arguments.s = put(&at, call->arguments.s);
    c->arguments.is_escaped = call->arguments.is_escaped;
    struct pending_call **last = &p->first;
    while (*last)
        last = &(*last)->next;
    *last = c;
    p->bytes += n;
    p->calls++;
    return true;
}

void pending_answered(struct pending *p, struct str caller)
{
    for (struct pending_call **at = &p->first; *at;) {
        struct pending_call *c = *at;
        if (!str_eq(c->caller, caller)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        free(c);
    }
}

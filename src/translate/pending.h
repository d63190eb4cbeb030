/*
 * Tool calls that code execution made. Whether they wait for the client or were answered inside the
 * same message shows only later, so they are kept back until then.
 */
#ifndef TRANSLATE_PENDING_H
#define TRANSLATE_PENDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "translate/part.h"

/* Models call a handful of tools at once; both limits only keep a broken upstream in check. */
#define PENDING_BYTES_MAX (16u << 20)
#define PENDING_CALLS_MAX 256

struct pending_call {
    struct pending_call *next;
    struct str caller; /* id of the server tool that called; all strings borrow from the call */
    struct str id, name;
    struct piece arguments;
    char text[];
};

struct pending { /* a zeroed one is ready */
    struct pending_call *first;
    size_t bytes, calls; /* ever added */
};

void pending_done(struct pending *p);
/* Copies. False when a maximum is passed or memory ran out. */
bool pending_add(struct pending *p, const struct pending_call *call) PX_MUST_CHECK;
/* Forgets the calls that server tool `caller` made: its result is there. */
void pending_answered(struct pending *p, struct str caller);

#endif

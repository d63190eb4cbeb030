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
    struct str caller; /* id of the server tool that called */
    struct str id, name;
    struct str extra; /* as struct part has it */
    struct piece arguments;
};

struct pending_node {
    struct pending_node *next;
    struct pending_call call; /* borrows from `text` */
    char text[];
};

struct pending { /* a zeroed one is ready */
    struct pending_node *first;
    size_t bytes, calls; /* ever added */
};

void pending_done(struct pending *p);
/* Copies. False when a maximum is passed or memory ran out. */
bool pending_add(struct pending *p, const struct pending_call *call) PX_MUST_CHECK;
/* Forgets the calls that server tool `caller` made: its result is there. */
void pending_answered(struct pending *p, struct str caller);

#endif

/*
 * What net/ shares with itself only.
 */
#ifndef NET_LOOP_INTERNAL_H
#define NET_LOOP_INTERNAL_H

#include "net/loop.h"

/* Bytes read at once. Shared by all channels of a loop, so an idle channel holds no buffer. */
#define LOOP_SCRATCH_BYTES 65536

char *loop_scratch(struct loop *l);

/* No delay, and keep-alive probes that notice a dead peer in about two minutes. */
void socket_tune(int fd);

#endif

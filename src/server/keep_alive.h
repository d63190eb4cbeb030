/*
 * Comments in a streamed answer while the upstream is silent, so that nothing between here and the
 * client takes the connection for dead. They are in no other answer: those have no room for any.
 */
#ifndef SERVER_KEEP_ALIVE_H
#define SERVER_KEEP_ALIVE_H

struct request;

void keep_alive_init(struct request *r);
/* The upstream has taken the request: from now on there may be comments. */
void keep_alive_begin(struct request *r);
/* Something went to the client: the silence begins anew. */
void keep_alive_restart(struct request *r);
/* The answer is over. Accepts one that never was initialised. */
void keep_alive_end(struct request *r);

#endif

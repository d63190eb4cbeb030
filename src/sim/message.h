/*
 * The JSON of a message and of its parts, from a script.
 */
#ifndef SIM_MESSAGE_H
#define SIM_MESSAGE_H

#include "base/buf.h"
#include "sim/script.h"

/* The whole answer, as a request without streaming gets it. */
void message_write(struct buf *b, const struct script *s);
/* The message inside message_start: without content and end, or (`whole`) with both. */
void message_write_start(struct buf *b, const struct script *s);
/* One block as the whole message has it. */
void message_write_block(struct buf *b, const struct script_block *block);
/* content_block of content_block_start. */
void message_write_block_start(struct buf *b, const struct script_block *block);
/* delta and usage of message_delta: ,"delta":{...},"usage":{...} without the outer braces. */
void message_write_end(struct buf *b, const struct script *s);
/* The citation of BLOCK_CITED. */
void message_write_citation(struct buf *b, const struct script_block *block);

#endif

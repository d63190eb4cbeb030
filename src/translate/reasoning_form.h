/*
 * Reasoning on its way to the client, in the members that clients of different families read: one
 * text for those that only show it, blocks with their signatures for those that send them back.
 */
#ifndef TRANSLATE_REASONING_FORM_H
#define TRANSLATE_REASONING_FORM_H

#include "translate/part.h"
#include "translate/stream.h"

/*
 * Members of a delta. `has_members`: others stand in front of them. False: no form has anything to
 * say of this part.
 */
bool reasoning_delta_write(unsigned forms, const struct part *part, bool has_members,
                           struct buf *out);

/* Collects the members of a message. */
struct reasoning_message {
    unsigned forms;
    struct buf text;                            /* of all blocks, between the quotes */
    struct buf open, signature;                 /* of the open block, between the quotes */
    struct buf details, blocks, content_blocks; /* elements of the three */
    bool is_open;
    enum part_kind kind; /* of the open block */
    unsigned index, block;
};

void reasoning_message_init(struct reasoning_message *m, unsigned forms, size_t max);
void reasoning_message_done(struct reasoning_message *m);
/* Of PART_TEXT, PART_REASONING, PART_SIGNATURE, PART_ENCRYPTED, PART_CARRIER. */
void reasoning_message_add(struct reasoning_message *m, const struct part *part);
/* No more comes. */
void reasoning_message_end(struct reasoning_message *m);
/* What it holds; *ret_failed is set when something did not fit. */
size_t reasoning_message_bytes(const struct reasoning_message *m, bool *ret_failed);
/* ,"reasoning_content":"..." and the others. */
void reasoning_message_write(const struct reasoning_message *m, bool is_refused, struct buf *out);

#endif

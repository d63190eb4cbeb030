/*
 * An assistant's content as the upstream wrote it, block for block, for clients to send back: what
 * flat fields cannot put in order again (thinking between texts and calls, server tools and their
 * results) survives a client that knows nothing of it. Travels as one entry of reasoning_details.
 */
#ifndef TRANSLATE_CARRIER_H
#define TRANSLATE_CARRIER_H

#include "translate/part.h"
#include "json/json.h"

#define CARRIER_FORMAT "px-anthropic-content-v1"
/* Larger contents are not carried. */
#define CARRIER_BYTES_MAX (8u << 20)

enum carrier_kind { CARRIER_WHOLE, CARRIER_TEXT, CARRIER_THINKING, CARRIER_INPUT };

/* Collects the blocks of one answer. Few answers have one: all functions accept NULL. */
struct carrier {
    bool is_broken;         /* something came that cannot be carried */
    bool is_needed;         /* flat fields would not do */
    bool is_begun;          /* a block that is no thought came: one behind it is out of order */
    bool has_text;          /* a text came: another is one with it in the flat fields */
    bool has_thinking;      /* a block of it came */
    bool is_open;           /* a block is */
    enum carrier_kind kind; /* of the open block: which of its members its deltas fill */
    struct buf json;        /* the blocks, elements of a JSON array */
    struct buf text;        /* of the open block, what deltas said, between the quotes */
    struct buf signature;   /* the same */
    struct buf citations;   /* of the open block, elements of a JSON array */
    struct buf input;       /* of the open block, as it began: JSON */
};

/* Returns owned; NULL without memory. */
struct carrier *carrier_create(void);
void carrier_destroy(struct carrier *c);
void carrier_open(struct carrier *c, yyjson_val *block);
/* A delta of the open block. */
void carrier_text(struct carrier *c, struct piece text); /* or thinking, or input */
void carrier_signature(struct carrier *c, struct piece text);
void carrier_cite(struct carrier *c, yyjson_val *citation);
/* A delta of a type that is not known here: the block cannot be rebuilt. */
void carrier_break(struct carrier *c);
void carrier_close(struct carrier *c);
/* The array as far as it has come, where it is whole; empty otherwise. Valid until the next block.
 */
struct str carrier_array(struct carrier *c);
/* The same, where it is needed. */
struct str carrier_finish(struct carrier *c);

#endif

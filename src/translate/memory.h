/*
 * What is remembered of answers, so that signed thinking survives a client that knows nothing of
 * it: the content of each, found again by the ids of its tool calls or, where it has none, by its
 * text and the conversation in front of it. This makes the keys; whoever keeps the contents comes
 * in by tr_policy.memory. A tenant's key hashes them all, so nobody can ask for another's.
 */
#ifndef TRANSLATE_MEMORY_H
#define TRANSLATE_MEMORY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "json/json.h"

/* Borrowed for the duration of a call of tr_request. */
struct tr_memory {
    struct siphash_key key; /* the tenant's */
    /* Appends what was kept under `key`; false: nothing was. */
    bool (*recall)(void *arg, struct digest key, struct buf *ret);
    void *arg;
};

/* Where an answer belongs. */
struct tr_place {
    bool is_kept; /* the answer to this request is to be remembered */
    struct siphash_key key;
    struct digest conversation; /* all of the request's messages */
};

/* Adds a message of the client's to the conversation so far: what it says, in whatever form. */
void memory_add_message(struct siphash *conversation, yyjson_val *message);
/*
 * The key of an assistant message, which stands behind `conversation`. False: it says nothing that
 * it could be known by.
 */
bool memory_key_of_message(struct siphash_key key, struct digest conversation, yyjson_val *message,
                           struct digest *ret);
/* The same for the upstream's blocks, from which the client's message is made. */
bool memory_key_of_content(struct siphash_key key, struct digest conversation, yyjson_val *content,
                           struct digest *ret);
/* Whether an assistant message calls tools by ids that the upstream gave. */
bool memory_is_of_upstream(yyjson_val *message);

#endif

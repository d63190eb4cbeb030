/*
 * Where the upstream's messages come from, so that its errors can name the client's.
 */
#ifndef TRANSLATE_ORIGIN_H
#define TRANSLATE_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/json.h"

/* The client's message behind a block or a message of the upstream request. */
struct origin {
    uint32_t message; /* its index plus one; 0 = there is no single one */
    uint32_t parts;   /* its content is a list of so many, and each became one block; 0 = no */
    bool is_text;     /* its content is a string, and nothing else became a block */
};

/* What the client called what the upstream's errors name. Lives with the request. */
struct client_names {
    const struct origin *messages; /* of each message sent upstream */
    size_t n_messages;
    const char *max_tokens, *user; /* static texts */
};

struct translation;

/* What the blocks of this message get. */
struct origin origin_of(size_t index, yyjson_val *message);
/* Fills t->out->names, once the turns are there. False without memory. */
bool origins_settle(struct translation *t);

#endif

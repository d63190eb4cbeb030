/*
 * data: URLs (RFC 2397).
 */
#ifndef TRANSLATE_DATA_URL_H
#define TRANSLATE_DATA_URL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* Borrows from the URL. */
struct data_url {
    struct str media_type; /* as written, without parameters; may be empty */
    bool is_base64;
    struct str payload;
};

/* Whether it is for data_url_read. */
bool data_url_is(struct str url);
/* False when it has no comma and so no data. */
bool data_url_read(struct str url, struct data_url *ret);
/*
 * The payload as base64, by reference where it is nothing else already. .p is NULL without memory.
 */
struct str data_url_base64(struct arena *arena, const struct data_url *url);
/* The bytes it stands for; .p is NULL when it is no base64. False without memory. */
bool data_url_bytes(struct arena *arena, const struct data_url *url, struct str *ret);

#endif

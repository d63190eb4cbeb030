/*
 * Random identifiers (request ids). Not for secrets' comparison, but unguessable.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stddef.h>
#include <stdint.h>

/* Any number, evenly spread. */
uint32_t id_chance(void);
/* Writes `prefix` and 24 random characters of [0-9a-zA-Z]; `size` must hold them and the NUL. */
void id_random(char *to, size_t size, const char *prefix);

#endif

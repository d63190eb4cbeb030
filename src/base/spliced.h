/*
 * Bytes that are to be sent, with long texts of somebody else's in between: so a body of megabytes
 * is not copied only to have other members around it.
 */
#ifndef BASE_SPLICED_H
#define BASE_SPLICED_H

#include "base/str.h"

/* A text that stands in front of byte `at` of what is spliced. */
struct splice {
    size_t at;
    struct str text;
};

/* Borrows all of it. The splices are in the order of `at`. */
struct spliced {
    struct str own;
    const struct splice *splices;
    size_t n_splices;
};

size_t spliced_bytes(const struct spliced *s);
/* What stands in one piece from byte `from` on; empty behind the last. */
struct str spliced_run(const struct spliced *s, size_t from);
/* Copies up to `n` bytes from byte `from` on; how many there were. */
size_t spliced_read(const struct spliced *s, size_t from, char *to, size_t n);
/* Of equal bytes, or with the very same texts in between. */
bool spliced_eq(const struct spliced *a, const struct spliced *b);

#endif

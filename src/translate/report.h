/*
 * The lists behind x-ignored-params and x-modified-params: what of the client's request was not
 * honoured as sent. Names come from outside: they are cleaned, and few.
 */
#ifndef TRANSLATE_REPORT_H
#define TRANSLATE_REPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define REPORT_NAMES_MAX      32
#define REPORT_NAME_BYTES_MAX 64

struct report_list {
    struct str names[REPORT_NAMES_MAX];
    size_t n;
    bool is_cut; /* there were more: the list ends in "..." */
};

struct report {
    struct report_list ignored, modified;
};

/*
 * Adds a name once. Anything outside [A-Za-z0-9_.] becomes "_". False without memory.
 */
bool report_add(struct arena *arena, struct report_list *list, struct str name);
/* The same for texts of our own, which may also hold "=()->". */
bool report_add_own(struct arena *arena, struct report_list *list, struct str text);
/* The header's value; empty for an empty list. False without memory. */
bool report_join(struct arena *arena, const struct report_list *list, struct str *ret);

#endif

/*
 * Takes the Markdown code fence off a JSON answer while it streams: models put one around JSON even
 * when asked for nothing else. Text without an opening fence passes unchanged but for leading
 * blanks.
 */
#ifndef TRANSLATE_FENCE_H
#define TRANSLATE_FENCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Blanks held back because a closing fence may follow; longer runs of them are let go. */
#define FENCE_HELD_MAX 64

enum fence_state {
    FENCE_LEADING, /* nothing but blanks so far */
    FENCE_OPENING, /* one or two backticks */
    FENCE_INFO,    /* three: the rest of that line, as in "```json" */
    FENCE_BODY,
    FENCE_CLOSED, /* what a model says behind its JSON is not part of it */
    FENCE_NONE    /* the text began with something else */
};

struct fence {
    enum fence_state state;
    unsigned ticks;     /* backticks at the end of what is held */
    bool is_line_start; /* only blanks on this line so far, and those are held */
    bool is_info_over;  /* a blank came behind the word of the opening fence */
    unsigned held_bytes;
    char held[FENCE_HELD_MAX];
};

/* A zeroed struct is ready. Appends to `out` what is known to be content. */
void fence_feed(struct fence *f, struct str in, struct buf *out);
/* The text is over: appends what was held back and is content after all. */
void fence_end(struct fence *f, struct buf *out);

#endif

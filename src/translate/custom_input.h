/*
 * The input of a custom tool. It is text, and comes as the member "input" of a JSON object that is
 * cut anywhere, inside escapes too.
 */
#ifndef TRANSLATE_CUSTOM_INPUT_H
#define TRANSLATE_CUSTOM_INPUT_H

#include "base/buf.h"
#include "base/str.h"

#define CUSTOM_INPUT_HEAD_MAX 4096 /* before the text begins: a model writes a dozen bytes */
#define CUSTOM_INPUT_HELD_MAX 12   /* an escaped surrogate pair */

enum custom_input_state {
    CUSTOM_INPUT_HEAD, /* before the text */
    CUSTOM_INPUT_TEXT,
    CUSTOM_INPUT_OTHER, /* the JSON is of another form: all of it is the text */
    CUSTOM_INPUT_END    /* behind the text */
};

struct custom_input {
    enum custom_input_state state;
    struct buf head;
    char held[CUSTOM_INPUT_HELD_MAX]; /* an escape that is not complete */
    size_t held_n;
};

void custom_input_init(struct custom_input *c);
void custom_input_done(struct custom_input *c);
/*
 * Takes a piece of the JSON, appends what it adds to the text to `out`, as it stands between the
 * quotes of a JSON string: whole characters only. A full `out` has failed.
 */
void custom_input_feed(struct custom_input *c, struct str json, struct buf *out);
/* The JSON has ended. */
void custom_input_end(struct custom_input *c, struct buf *out);

#endif

/*
 * The content of one message: a string or parts -> blocks.
 */
#ifndef TRANSLATE_CONTENT_H
#define TRANSLATE_CONTENT_H

#include "translate/translation.h"

/* Who speaks decides which parts there may be. */
enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_ASSISTANT };

/* Reads `content` of message `index`; blank texts give no block. */
bool content_read(struct translation *t, size_t index, enum speaker speaker, yyjson_val *content,
                  struct blocks *ret);

#endif

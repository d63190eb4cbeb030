/*
 * The request that makes a paused answer go on.
 */
#ifndef TRANSLATE_RESUME_H
#define TRANSLATE_RESUME_H

#include "base/buf.h"

/*
 * Appends `body`, an upstream request as body.c writes it, with an assistant message behind its
 * messages: `content`, a JSON array of blocks. Texts without content are left out, for the upstream
 * refuses them. False when `ret` is full or `content` is none.
 */
bool resume_write(struct str body, struct str content, struct buf *ret);

#endif

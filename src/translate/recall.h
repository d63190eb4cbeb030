/*
 * The request side of what is remembered of answers (memory.h): what an assistant message does not
 * echo of the thinking that its answer had comes back from there.
 */
#ifndef TRANSLATE_RECALL_H
#define TRANSLATE_RECALL_H

#include "translate/translation.h"

/* Before the first message: whether this request's answer will be remembered, and where. */
void recall_begin(struct translation *t);
/* Behind each message, and behind the last. */
void recall_pass(struct translation *t, yyjson_val *message);
void recall_end(struct translation *t);
/*
 * For an assistant message that echoes no thinking. *ret_is_read: its answer's whole content is in
 * `ret`. Otherwise `ret` holds its thinking, if that may stand in front of what the client says
 * now; what is lost is listed.
 */
bool recall_read(struct translation *t, size_t index, yyjson_val *message, struct blocks *ret,
                 bool *ret_is_read);

#endif

/*
 * Images, documents and files in content parts, OpenAI's and Anthropic's. No URL is fetched: the
 * upstream does that.
 */
#ifndef TRANSLATE_MEDIA_H
#define TRANSLATE_MEDIA_H

#include "translate/content.h"

/* One part type each. */
bool media_read_image_url(struct translation *t, const struct content_part *p);
bool media_read_file(struct translation *t, const struct content_part *p);
bool media_read_document_url(struct translation *t, const struct content_part *p);
/* Anthropic's blocks `image` and `document`. */
bool media_read_own_image(struct translation *t, const struct content_part *p);
bool media_read_own_document(struct translation *t, const struct content_part *p);
/* A document that an assistant wrote: the upstream takes none there, so its text is kept. */
bool media_read_assistant_document(struct translation *t, const struct content_part *p);

/* After all messages: what is refused only where there are many. */
bool media_settle(struct translation *t);

#endif

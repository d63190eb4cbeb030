/*
 * What kind of file it is: by its declared type, by its first bytes, by its name; and how large a
 * picture. Looks at a few bytes only, whatever the size.
 */
#ifndef TRANSLATE_MEDIA_TYPE_H
#define TRANSLATE_MEDIA_TYPE_H

#include <stdbool.h>

#include "base/str.h"

enum media_kind {
    MEDIA_OTHER,
    MEDIA_JPEG,
    MEDIA_PNG,
    MEDIA_GIF,
    MEDIA_WEBP,
    MEDIA_PDF,
    MEDIA_TEXT
};

/* By the declared type; what is not known is MEDIA_OTHER. */
enum media_kind media_kind_of_type(struct str media_type);
/* By the bytes that base64 text begins with; never MEDIA_TEXT. */
enum media_kind media_kind_of_data(struct str base64);
/* By the extension of a file's name; never MEDIA_TEXT. */
enum media_kind media_kind_of_name(struct str name);
bool media_kind_is_image(enum media_kind kind);
/* "image/png"; NULL for MEDIA_OTHER. */
const char *media_kind_name(enum media_kind kind);
/* Width and height as the header says them; false where it is not understood. */
bool media_image_size(enum media_kind kind, struct str base64, unsigned *ret_width,
                      unsigned *ret_height);

#endif

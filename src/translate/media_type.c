/*
 * Kinds of files.
 */
#include "translate/media_type.h"

#include <string.h>

#include "translate/base64.h"

static const struct {
    const char *type;
    enum media_kind kind;
} types[] = {
    {"image/jpeg", MEDIA_JPEG},       {"image/png", MEDIA_PNG},
    {"image/gif", MEDIA_GIF},         {"image/webp", MEDIA_WEBP},
    {"application/pdf", MEDIA_PDF},   {"text/plain", MEDIA_TEXT},
    {"image/jpg", MEDIA_JPEG},        {"image/pjpeg", MEDIA_JPEG},
    {"application/x-pdf", MEDIA_PDF}, {"application/json", MEDIA_TEXT},
    {"application/xml", MEDIA_TEXT},  {"application/yaml", MEDIA_TEXT},
};

enum media_kind media_kind_of_type(struct str media_type)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(types); i++)
        if (str_eq_nocase(media_type, str_of(types[i].type)))
            return types[i].kind;
    bool is_text = media_type.n > 5 && str_eq_nocase((struct str){media_type.p, 5}, STR("text/"));
    return is_text ? MEDIA_TEXT : MEDIA_OTHER;
}

static bool has_bytes(struct str base64, size_t at, const char *bytes)
{
    for (size_t i = 0; bytes[i]; i++)
        if (base64_byte(base64, at + i) != (unsigned char)bytes[i])
            return false;
    return true;
}

enum media_kind media_kind_of_data(struct str base64)
{
    if (has_bytes(base64, 0, "\xff\xd8\xff"))
        return MEDIA_JPEG;
    if (has_bytes(base64, 0, "\x89PNG\r\n\x1a\n"))
        return MEDIA_PNG;
    if (has_bytes(base64, 0, "GIF87a") || has_bytes(base64, 0, "GIF89a"))
        return MEDIA_GIF;
    if (has_bytes(base64, 0, "RIFF") && has_bytes(base64, 8, "WEBP"))
        return MEDIA_WEBP;
    return has_bytes(base64, 0, "%PDF-") ? MEDIA_PDF : MEDIA_OTHER;
}

enum media_kind media_kind_of_name(struct str name)
{
    static const struct {
        const char *extension;
        enum media_kind kind;
    } extensions[] = {{".jpg", MEDIA_JPEG}, {".jpeg", MEDIA_JPEG}, {".png", MEDIA_PNG},
                      {".gif", MEDIA_GIF},  {".webp", MEDIA_WEBP}, {".pdf", MEDIA_PDF}};
    for (size_t i = 0; i < PX_ARRAY_LEN(extensions); i++) {
        struct str end = str_of(extensions[i].extension);
        if (name.n > end.n && str_eq_nocase((struct str){name.p + name.n - end.n, end.n}, end))
            return extensions[i].kind;
    }
    return MEDIA_OTHER;
}

bool media_kind_is_image(enum media_kind kind)
{
    return kind >= MEDIA_JPEG && kind <= MEDIA_WEBP;
}

const char *media_kind_name(enum media_kind kind)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(types); i++)
        if (types[i].kind == kind)
            return types[i].type;
    return NULL;
}

/* `n` bytes from `at` as a number, -1 where the data ends. */
static long big_endian(struct str base64, size_t at, size_t n)
{
    long v = 0;
    for (size_t i = 0; i < n; i++) {
        int byte = base64_byte(base64, at + i);
        if (byte < 0)
            return -1;
        v = v << 8 | byte;
    }
    return v;
}

static long little_endian(struct str base64, size_t at, size_t n)
{
    long v = 0;
    for (size_t i = n; i > 0; i--) {
        int byte = base64_byte(base64, at + i - 1);
        if (byte < 0)
            return -1;
        v = v << 8 | byte;
    }
    return v;
}

/* Goes from segment to segment up to the frame header, reading only their heads. */
static bool jpeg_size(struct str base64, long *width, long *height)
{
    enum { SEGMENTS_MAX = 512 };
    size_t at = 2;
    for (int i = 0; i < SEGMENTS_MAX; i++) {
        int marker = base64_byte(base64, at + 1);
        long bytes = big_endian(base64, at + 2, 2);
        if (base64_byte(base64, at) != 0xff || marker < 0 || bytes < 2)
            return false;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
            marker != 0xcc) {
            *height = big_endian(base64, at + 5, 2);
            *width = big_endian(base64, at + 7, 2);
            return true;
        }
        at += 2 + (size_t)bytes;
    }
    return false;
}

static bool webp_size(struct str base64, long *width, long *height)
{
    if (has_bytes(base64, 12, "VP8X")) {
        *width = little_endian(base64, 24, 3) + 1;
        *height = little_endian(base64, 27, 3) + 1;
    } else if (has_bytes(base64, 12, "VP8L")) {
        long bits = little_endian(base64, 21, 4);
        *width = bits < 0 ? -1 : (bits & 0x3fff) + 1;
        *height = bits < 0 ? -1 : (bits >> 14 & 0x3fff) + 1;
    } else if (has_bytes(base64, 12, "VP8 ")) {
        long bits = little_endian(base64, 26, 4);
        *width = bits < 0 ? -1 : bits & 0x3fff;
        *height = bits < 0 ? -1 : bits >> 16 & 0x3fff;
    } else {
        return false;
    }
    return true;
}

bool media_image_size(enum media_kind kind, struct str base64, unsigned *ret_width,
                      unsigned *ret_height)
{
    long width = -1, height = -1;
    if (kind == MEDIA_PNG && has_bytes(base64, 12, "IHDR")) {
        width = big_endian(base64, 16, 4);
        height = big_endian(base64, 20, 4);
    } else if (kind == MEDIA_GIF) {
        width = little_endian(base64, 6, 2);
        height = little_endian(base64, 8, 2);
    } else if ((kind == MEDIA_JPEG && !jpeg_size(base64, &width, &height)) ||
               (kind == MEDIA_WEBP && !webp_size(base64, &width, &height))) {
        return false;
    }
    if (width <= 0 || height <= 0)
        return false;
    *ret_width = (unsigned)width;
    *ret_height = (unsigned)height;
    return true;
}

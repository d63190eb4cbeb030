/*
 * An error as an OpenAI client sees it. Filled once, where the error is noticed; written once.
 */
#ifndef TRANSLATE_API_ERROR_H
#define TRANSLATE_API_ERROR_H

#include <stdarg.h>

#include "base/buf.h"
#include "base/str.h"

struct api_error {
    int status;       /* HTTP status */
    const char *type; /* "invalid_request_error", "server_error", ...: static text */
    char code[64];    /* "" is written as null */
    char param[192]; /* path as the client wrote it, "messages[3].content"; "" is written as null */
    char message[1024]; /* for people; valid UTF-8 */
};

/* Fills `e`. `code` and `param` may be NULL. Texts that are too long are cut between characters. */
void api_error_set(struct api_error *e, int status, const char *type, const char *code,
                   const char *param, const char *format, ...) PX_PRINTF(6, 7);
/* The same with the arguments in a list. */
void api_error_set_v(struct api_error *e, int status, const char *type, const char *code,
                     const char *param, const char *format, va_list args) PX_PRINTF(6, 0);
/* {"error":{"message":...,"type":...,"param":...,"code":...}} */
bool api_error_write(const struct api_error *e, struct buf *out);
/* The same without the closing braces: more members may follow. */
void api_error_write_members(const struct api_error *e, struct buf *out);

#endif

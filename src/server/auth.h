/*
 * Who may use the proxy: one key, sent as OpenAI's clients send it (Authorization: Bearer) or as
 * Anthropic's do (x-api-key).
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include "base/str.h"
#include "http/h1.h"

enum auth_result {
    AUTH_OK,
    AUTH_NO_KEY,
    AUTH_WRONG_KEY,
    AUTH_TWO_KEYS, /* different ones: which is meant must not be guessed */
};

/* `expected` empty: everybody may. */
enum auth_result auth_check(struct str expected, const struct h1_head *head);
/* The key that was sent, the first of several; empty = none. Borrows from the head. */
struct str auth_key(const struct h1_head *head);

#endif

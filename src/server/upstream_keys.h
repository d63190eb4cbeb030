/*
 * The operator's upstream keys (ANTHROPIC_API_KEY, a comma list) and which of them a request is
 * sent with. A conversation stays with its key, for prompt caches and thinking are bound to the
 * account behind it; it moves only while that key is refused or out of its limits.
 */
#ifndef SERVER_UPSTREAM_KEYS_H
#define SERVER_UPSTREAM_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define UPSTREAM_KEYS_MAX 64
/* A key that was refused (401, 403) is left alone for so long. */
#define UPSTREAM_KEY_REFUSED_US INT64_C(300000000)
/* One that is out of its limits, when the upstream does not say for how long; and at most. */
#define UPSTREAM_KEY_LIMITED_US     INT64_C(10000000)
#define UPSTREAM_KEY_LIMITED_MAX_US INT64_C(300000000)

struct upstream_key {
    struct str value;              /* of the header, in upstream_keys.text */
    _Atomic int64_t cool_until_us; /* monotonic; in the past = it may be used */
};

struct upstream_keys {
    struct str header; /* "x-api-key" or "authorization" */
    size_t n;          /* 0: the upstream needs none */
    struct upstream_key all[UPSTREAM_KEYS_MAX];
    char *text; /* owned, wiped */
    size_t text_size;
};

/* `list` as in the settings; `is_bearer`: as `Authorization: Bearer`. False with a reason. */
bool upstream_keys_init(struct upstream_keys *k, const char *list, bool is_bearer, char *why,
                        size_t why_size);
/* Keys that stay keep their cool-down. `k` is new: nobody else has it yet. */
void upstream_keys_inherit(struct upstream_keys *k, const struct upstream_keys *from);
/* Accepts a zeroed one. */
void upstream_keys_done(struct upstream_keys *k);
/*
 * The key for a conversation (any number that stays the same from turn to turn), of those not in
 * `tried`: the one it is bound to, or while that one cools down the next in an order of its own.
 * When all cool down, the one that is through first. UPSTREAM_KEYS_MAX when all were tried.
 */
size_t upstream_keys_choose(const struct upstream_keys *k, int64_t now_us, uint64_t conversation,
                            uint64_t tried);
/* The upstream answered this key with `status`; `retry_after_ms` is 0 when it did not say. True
 * when the key cools down for it and did not before. */
bool upstream_keys_saw(struct upstream_keys *k, size_t i, int64_t now_us, int status,
                       int64_t retry_after_ms);
bool upstream_keys_is_cooling(const struct upstream_keys *k, size_t i, int64_t now_us);
/* Whether there is a key outside of `tried` that is not cooling down. */
bool upstream_keys_has_another(const struct upstream_keys *k, int64_t now_us, uint64_t tried);

#endif

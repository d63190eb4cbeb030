/*
 * Rendezvous hashing: each key has a score for a conversation, and the best one that may be used
 * wins. So a key that cools down sends its conversations to all others evenly, and gets back
 * exactly those when it is well.
 */
#include "server/upstream_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEARER "Bearer "

static bool is_first(const struct upstream_keys *k, struct str value)
{
    for (size_t i = 0; i < k->n; i++)
        if (str_eq(k->all[i].value, value))
            return false;
    return true;
}

bool upstream_keys_init(struct upstream_keys *k, const char *list, bool is_bearer, char *why,
                        size_t why_size)
{
    const char *prefix = is_bearer ? BEARER : "";
    struct str rest = str_of(list), key;
    *k = (struct upstream_keys){.header = is_bearer ? STR("authorization") : STR("x-api-key")};
    k->text_size = strlen(list) + UPSTREAM_KEYS_MAX * sizeof(BEARER);
    k->text = malloc(k->text_size);
    if (!k->text) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    char *to = k->text;
    while (str_split(&rest, ',', &key)) {
        key = str_trim(key);
        if (key.n == 0)
            continue;
        if (k->n == UPSTREAM_KEYS_MAX) {
            snprintf(why, why_size, "ANTHROPIC_API_KEY holds more than %d keys", UPSTREAM_KEYS_MAX);
            return false;
        }
        const int n =
            snprintf(to, k->text_size - (size_t)(to - k->text), "%s%.*s", prefix, STR_ARG(key));
        const struct str value = {to, (size_t)n};
        if (is_first(k, value))
            k->all[k->n++].value = value;
        to += n;
    }
    return true;
}

void upstream_keys_inherit(struct upstream_keys *k, const struct upstream_keys *from)
{
    for (size_t i = 0; i < k->n; i++)
        for (size_t j = 0; j < from->n; j++)
            if (str_eq(k->all[i].value, from->all[j].value))
                atomic_init(&k->all[i].cool_until_us, atomic_load(&from->all[j].cool_until_us));
}

void upstream_keys_done(struct upstream_keys *k)
{
    if (k->text)
        explicit_bzero(k->text, k->text_size);
    free(k->text);
    *k = (struct upstream_keys){0};
}

/* splitmix64's finisher: every bit of the input moves every bit of the output. */
static uint64_t score(uint64_t conversation, size_t i)
{
    uint64_t x = conversation + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int64_t cool_until(const struct upstream_keys *k, size_t i)
{
    return atomic_load_explicit(&k->all[i].cool_until_us, memory_order_relaxed);
}

static bool is_tried(uint64_t tried, size_t i)
{
    return (tried >> i) & 1;
}

size_t upstream_keys_choose(const struct upstream_keys *k, int64_t now_us, uint64_t conversation,
                            uint64_t tried)
{
    size_t best = UPSTREAM_KEYS_MAX, soonest = UPSTREAM_KEYS_MAX;
    for (size_t i = 0; i < k->n; i++) {
        if (is_tried(tried, i))
            continue;
        if (soonest == UPSTREAM_KEYS_MAX || cool_until(k, i) < cool_until(k, soonest))
            soonest = i;
        if (cool_until(k, i) <= now_us &&
            (best == UPSTREAM_KEYS_MAX || score(conversation, i) > score(conversation, best)))
            best = i;
    }
    return best != UPSTREAM_KEYS_MAX ? best : soonest;
}

static int64_t cool_for_us(int status, int64_t retry_after_ms)
{
    if (status == 401 || status == 403)
        return UPSTREAM_KEY_REFUSED_US;
    if (status != 429)
        return 0;
    if (retry_after_ms <= 0)
        return UPSTREAM_KEY_LIMITED_US;
    return retry_after_ms >= UPSTREAM_KEY_LIMITED_MAX_US / 1000 ? UPSTREAM_KEY_LIMITED_MAX_US
                                                                : retry_after_ms * 1000;
}

bool upstream_keys_is_cooling(const struct upstream_keys *k, size_t i, int64_t now_us)
{
    return cool_until(k, i) > now_us;
}

bool upstream_keys_saw(struct upstream_keys *k, size_t i, int64_t now_us, int status,
                       int64_t retry_after_ms)
{
    if (i >= k->n)
        return false;
    const bool was_cooling = upstream_keys_is_cooling(k, i, now_us);
    const int64_t cool_us = cool_for_us(status, retry_after_ms);
    if (cool_us > 0)
        atomic_store_explicit(&k->all[i].cool_until_us, now_us + cool_us, memory_order_relaxed);
    else if (status < 400 && was_cooling) /* it works after all */
        atomic_store_explicit(&k->all[i].cool_until_us, 0, memory_order_relaxed);
    return cool_us > 0 && !was_cooling;
}

bool upstream_keys_has_another(const struct upstream_keys *k, int64_t now_us, uint64_t tried)
{
    for (size_t i = 0; i < k->n; i++)
        if (!is_tried(tried, i) && cool_until(k, i) <= now_us)
            return true;
    return false;
}

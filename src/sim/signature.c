/*
 * A signature is base64: a fixed beginning, the binding, then hashes of binding and text that fill
 * it to the length of a short real one. To verify, it is made again and compared whole.
 */
#include "sim/signature.h"

#include <string.h>

#define START         "EqQB"
#define START_BYTES   4
#define BINDING_BYTES 29
#define RAW_BYTES     117 /* three quarters of what stands behind START */
#define DIGEST_BYTES  16

_Static_assert(START_BYTES + RAW_BYTES / 3 * 4 == SIGNATURE_BYTES, "whole groups of base64");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_word(unsigned char *to, uint64_t word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)(word >> (8 * i));
}

static uint64_t get_word(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint32_t signature_model(const char *model_id)
{
    return (uint32_t)siphash(model_id, strlen(model_id)).a;
}

void signature_write(char to[SIGNATURE_BYTES + 1], const struct binding *b, struct str thinking)
{
    unsigned char raw[RAW_BYTES + DIGEST_BYTES];
    struct digest of_text = siphash(thinking.p, thinking.n);
    raw[0] = b->ordinal;
    put_word(raw + 1, b->model, 4);
    put_word(raw + 5, b->answer, 8);
    put_word(raw + 13, b->prefix.a, 8);
    put_word(raw + 21, b->prefix.b, 8);
    for (size_t at = BINDING_BYTES; at < RAW_BYTES; at += DIGEST_BYTES) {
        unsigned char block[BINDING_BYTES + DIGEST_BYTES + 1];
        memcpy(block, raw, BINDING_BYTES);
        put_word(block + BINDING_BYTES, of_text.a, 8);
        put_word(block + BINDING_BYTES + 8, of_text.b, 8);
        block[sizeof(block) - 1] = (unsigned char)at;
        struct digest proof = siphash(block, sizeof(block));
        put_word(raw + at, proof.a, 8);
        put_word(raw + at + 8, proof.b, 8);
    }
    memcpy(to, START, START_BYTES);
    char *end = to + START_BYTES;
    for (size_t i = 0; i < RAW_BYTES; i += 3) {
        uint32_t group = (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
        for (unsigned shift = 24; shift > 0; shift -= 6)
            *end++ = digits[group >> (shift - 6) & 63];
    }
    *end = '\0';
}

bool signature_read(struct binding *ret, struct str signature, struct str thinking)
{
    unsigned char raw[BINDING_BYTES + 3];
    char again[SIGNATURE_BYTES + 1];
    if (signature.n != SIGNATURE_BYTES || !str_starts(signature, STR(START)))
        return false;
    const char *p = signature.p + START_BYTES;
    for (size_t i = 0; i < BINDING_BYTES; i += 3) {
        uint32_t group = 0;
        for (int k = 0; k < 4; k++) {
            const char *digit = memchr(digits, *p++, sizeof(digits) - 1);
            if (!digit)
                return false;
            group = group << 6 | (uint32_t)(digit - digits);
        }
        raw[i] = (unsigned char)(group >> 16);
        raw[i + 1] = (unsigned char)(group >> 8);
        raw[i + 2] = (unsigned char)group;
    }
    *ret = (struct binding){.ordinal = raw[0],
                            .model = (uint32_t)get_word(raw + 1, 4),
                            .answer = get_word(raw + 5, 8),
                            .prefix = {get_word(raw + 13, 8), get_word(raw + 21, 8)}};
    signature_write(again, ret, thinking);
    return memcmp(again, signature.p, SIGNATURE_BYTES) == 0;
}

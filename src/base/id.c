/*
 * Random identifiers from the kernel's generator, read in batches so that an id costs no
 * system call most of the time.
 */
#include "base/id.h"

#include <string.h>
#include <sys/random.h>

#define ID_CHARS 24

static unsigned char next_byte(void)
{
    static _Thread_local unsigned char pool[256]; /* getentropy's largest request */
    static _Thread_local size_t left;
    if (left == 0) {
        if (getentropy(pool, sizeof(pool)) != 0)
            memset(pool, 0, sizeof(pool)); /* cannot happen after boot; an id need not be secret */
        left = sizeof(pool);
    }
    return pool[--left];
}

uint32_t id_chance(void)
{
    uint32_t chance = 0;
    for (size_t i = 0; i < sizeof(chance); i++)
        chance = chance << 8 | next_byte();
    return chance;
}

static char next_digit(void)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    unsigned char b;
    do
        b = next_byte();
    while (b >= 248); /* 4 * 62: no digit more likely than another */
    return digits[b % 62];
}

void id_random(char *to, size_t size, const char *prefix)
{
    size_t n = 0;
    if (size == 0)
        return;
    for (; prefix[n] && n < size - 1; n++)
        to[n] = prefix[n];
    for (size_t i = 0; i < ID_CHARS && n < size - 1; i++)
        to[n++] = next_digit();
    to[n] = '\0';
}

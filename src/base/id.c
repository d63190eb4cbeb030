/*
 * Random identifiers from the kernel's generator, read in batches so that an id costs no
 * system call most of the time.
 */
#include "base/id.h"

#include <stdio.h>
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

void id_random(char *to, size_t size, const char *prefix)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char chars[ID_CHARS + 1];
    for (size_t i = 0; i < ID_CHARS; i++) {
        unsigned char b;
        do
            b = next_byte();
        while (b >= 248); /* 4 * 62: no digit more likely than another */
        chars[i] = digits[b % 62];
    }
    chars[ID_CHARS] = '\0';
    snprintf(to, size, "%s%s", prefix, chars);
}

/*
 * One key for all that is hashed here.
 */
#include "sim/siphash.h"

/* Any key will do: nothing real is signed with it. */
static const struct siphash_key own_key = {0x73696d756c61746fu, 0x7220736967732e2eu};

struct digest siphash(const void *data, size_t n)
{
    struct siphash s = siphash_begin(own_key);
    siphash_add(&s, (struct str){data, n});
    return siphash_end(&s);
}

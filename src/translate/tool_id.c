/*
 * A pure function of the id: a call and its result need no table to agree.
 */
#include "translate/tool_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HASH_CHARS 9 /* "_" and eight digits */

static bool is_fine(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* FNV-1a, folded. */
uint32_t tool_id_hash(struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return (uint32_t)(h ^ (h >> 32));
}

struct str tool_id_upstream(struct arena *arena, struct str client_id)
{
    size_t fine = 0;
    while (fine < client_id.n && is_fine(client_id.p[fine]))
        fine++;
    if (fine == client_id.n)
        return client_id;
    char *p = arena_alloc(arena, client_id.n + HASH_CHARS + 1);
    size_t n = 0;
    if (!p)
        return (struct str){0};
    for (size_t i = 0; i < client_id.n; i++) {
        if (((unsigned char)client_id.p[i] & 0xc0) == 0x80)
            continue; /* a character becomes one "_", however many bytes it has */
        p[n++] = is_fine(client_id.p[i]) ? client_id.p[i] : '_';
    }
    snprintf(p + n, HASH_CHARS + 1, "_%08" PRIx32, tool_id_hash(client_id));
    return (struct str){p, n + HASH_CHARS};
}

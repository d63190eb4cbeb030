/*
 * Writes the pieces of an answer into JSON strings.
 */
#include "translate/part.h"

#include <inttypes.h>
#include <string.h>

#include "json/json.h"

bool piece_write(struct buf *b, struct piece p)
{
    if (p.is_escaped)
        return buf_append_str(b, p.s);
    size_t at = b->len;
    if (!json_write_string(b, p.s))
        return false;
    b->len -= 2;
    memmove(b->data + at, b->data + at + 1, b->len - at);
    return true;
}

bool part_write_head(struct buf *b, const char *object, struct str id, struct str model,
                     int64_t created_unix_s)
{
    buf_append_z(b, "{\"id\":\"chatcmpl-");
    piece_write(b, (struct piece){.s = id});
    buf_printf(b, "\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", object,
               created_unix_s);
    json_write_string(b, model);
    return buf_append_z(b, ",\"choices\":");
}

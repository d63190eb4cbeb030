/*
 * Writes the pieces of an answer into JSON strings.
 */
#include "translate/part.h"

#include <string.h>

#include "json/json.h"

const struct part_call_words part_call_words[] = {
    [CALL_TOOL] = {"function", "arguments"},
    [CALL_CUSTOM] = {"custom", "input"},
    [CALL_FUNCTION] = {"function_call", "arguments"},
};

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

bool piece_read(struct buf *b, struct piece p)
{
    if (!p.is_escaped)
        return buf_append_str(b, p.s);
    struct buf quoted;
    struct json_error err;
    buf_init(&quoted, p.s.n + 2);
    buf_append_char(&quoted, '"');
    buf_append_str(&quoted, p.s);
    buf_append_char(&quoted, '"');
    yyjson_doc *doc = quoted.failed ? NULL : json_parse(buf_str(&quoted), &err);
    bool is_read = doc && buf_append_str(b, json_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    buf_done(&quoted);
    return is_read;
}

bool part_write_head(struct buf *b, const char *object, struct str id, struct str model,
                     int64_t created_unix_s)
{
    buf_append_z(b, "{\"id\":\"chatcmpl-");
    piece_write(b, (struct piece){.s = id});
    buf_append_z(b, "\",\"object\":\"");
    buf_append_z(b, object);
    buf_append_z(b, "\",\"created\":");
    buf_append_i64(b, created_unix_s);
    buf_append_z(b, ",\"model\":");
    json_write_string(b, model);
    buf_append_z(b, ",\"choices\":");
    return !b->failed;
}

/*
 * The messages stand last in a body: what follows them is its end.
 */
#include "translate/resume.h"

#include "translate/text.h"
#include "json/json.h"

#define BODY_END "]}"

static bool is_empty(yyjson_val *block)
{
    return str_eq(json_str(json_get(block, "type")), STR("text")) &&
           text_is_blank(json_str(json_get(block, "text")));
}

static void write_blocks(yyjson_val *blocks, struct buf *to)
{
    size_t i, n, written = 0;
    yyjson_val *block;
    yyjson_arr_foreach(blocks, i, n, block)
    {
        if (is_empty(block))
            continue;
        if (written++ > 0)
            buf_append_char(to, ',');
        json_write_value(to, block);
    }
}

bool resume_write(struct str body, struct str content, struct buf *ret)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(content, &err);
    if (!doc || !str_ends(body, STR(BODY_END))) {
        yyjson_doc_free(doc);
        return false;
    }
    buf_append(ret, body.p, body.n - (sizeof(BODY_END) - 1));
    buf_append_z(ret, ",{\"role\":\"assistant\",\"content\":[");
    write_blocks(yyjson_doc_get_root(doc), ret);
    buf_append_z(ret, "]}" BODY_END);
    yyjson_doc_free(doc);
    return !ret->failed;
}

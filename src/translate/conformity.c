/*
 * Parses what was collected, once for each of its two coats, and lets json/conform.h judge.
 */
#include "translate/conformity.h"

#include "json/conform.h"

static bool say(struct buf *unmet, const struct conform_fault *fault)
{
    return buf_printf(unmet, "%s: %s", fault->path, fault->why);
}

/* The mended value takes the place of the text. */
static bool replace(struct buf *content, yyjson_val *value)
{
    struct buf text;
    buf_init(&text, content->max);
    buf_reset(content);
    if (json_write_value(&text, value))
        json_write_text(content, buf_str(&text));
    const bool is_written = !text.failed && !content->failed && content->len >= 2;
    buf_done(&text);
    if (!is_written)
        return false;
    content->len--; /* the quotes are the writer's */
    buf_consume(content, 1);
    return true;
}

static bool check_value(yyjson_val *value, yyjson_val *schema, struct buf *content,
                        struct buf *unmet)
{
    struct conform_fault fault;
    if (conform_check(schema, value, &fault) != CONFORM_NO)
        return true;
    if (conform_mend_case(schema, value) == 0)
        return say(unmet, &fault);
    return (conform_check(schema, value, &fault) != CONFORM_NO || say(unmet, &fault)) &&
           replace(content, value);
}

static bool check_text(struct str text, struct str schema, struct buf *content, struct buf *unmet)
{
    static const struct conform_fault no_json = {"$", "not JSON"},
                                      no_object = {"$", "not an object"};
    struct json_error err;
    yyjson_doc *value = json_parse(text, &err), *rule = NULL;
    bool is_done;
    if (schema.n)
        rule = json_parse(schema, &err);
    if (!value)
        is_done = say(unmet, &no_json);
    else if (rule)
        is_done =
            check_value(yyjson_doc_get_root(value), yyjson_doc_get_root(rule), content, unmet);
    else
        is_done = yyjson_is_obj(yyjson_doc_get_root(value)) || say(unmet, &no_object);
    yyjson_doc_free(rule);
    yyjson_doc_free(value);
    return is_done;
}

bool conformity_check(struct buf *content, struct str schema, struct buf *ret_unmet)
{
    struct json_error err;
    struct buf quoted;
    buf_init(&quoted, content->max + 2);
    buf_append_char(&quoted, '"');
    buf_append_str(&quoted, buf_str(content));
    buf_append_char(&quoted, '"');
    yyjson_doc *doc = quoted.failed ? NULL : json_parse(buf_str(&quoted), &err);
    buf_done(&quoted);
    const bool is_done =
        doc && check_text(json_str(yyjson_doc_get_root(doc)), schema, content, ret_unmet);
    yyjson_doc_free(doc);
    return is_done;
}

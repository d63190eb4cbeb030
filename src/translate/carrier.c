/*
 * Writes each block as the upstream would have sent it in one piece: the members it began with, and
 * behind them what its deltas said.
 */
#include "translate/carrier.h"

#include <stdlib.h>

static void init_bufs(struct carrier *c, void (*each)(struct buf *b))
{
    struct buf *bufs[] = {&c->json, &c->text, &c->signature, &c->citations, &c->input};
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++)
        each(bufs[i]);
}

static void init_buf(struct buf *b)
{
    buf_init(b, CARRIER_BYTES_MAX);
}

struct carrier *carrier_create(void)
{
    struct carrier *c = calloc(1, sizeof(*c));
    if (c)
        init_bufs(c, init_buf);
    return c;
}

void carrier_destroy(struct carrier *c)
{
    if (!c)
        return;
    init_bufs(c, buf_done);
    free(c);
}

void carrier_break(struct carrier *c)
{
    if (c)
        c->is_broken = true;
}

static bool is_working(const struct carrier *c)
{
    return c && !c->is_broken;
}

static enum carrier_kind kind_of(struct str type)
{
    static const struct {
        struct str type;
        enum carrier_kind kind;
    } kinds[] = {{STR("text"), CARRIER_TEXT},
                 {STR("thinking"), CARRIER_THINKING},
                 {STR("tool_use"), CARRIER_INPUT},
                 {STR("server_tool_use"), CARRIER_INPUT},
                 {STR("mcp_tool_use"), CARRIER_INPUT}};
    for (size_t i = 0; i < PX_ARRAY_LEN(kinds); i++)
        if (str_eq(type, kinds[i].type))
            return kinds[i].kind;
    return CARRIER_WHOLE;
}

/* Whether the member is written when the block ends, with what deltas add to it. */
static bool is_filled(enum carrier_kind kind, struct str name)
{
    switch (kind) {
    case CARRIER_WHOLE:
        break;
    case CARRIER_TEXT:
        return str_eq(name, STR("text")) || str_eq(name, STR("citations"));
    case CARRIER_THINKING:
        return str_eq(name, STR("thinking")) || str_eq(name, STR("signature"));
    case CARRIER_INPUT:
        return str_eq(name, STR("input"));
    }
    return false;
}

static void write_members(struct carrier *c, yyjson_val *block)
{
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(block, i, n, key, v)
    {
        struct str name = json_str(key);
        if (str_eq(name, STR("type")) || is_filled(c->kind, name))
            continue;
        buf_append_char(&c->json, ',');
        json_write_text(&c->json, name);
        buf_append_char(&c->json, ':');
        json_write_value(&c->json, v);
    }
}

static void begin_filled(struct carrier *c, yyjson_val *block)
{
    yyjson_val *citation, *citations = json_get(block, "citations");
    size_t i, n;
    buf_reset(&c->text);
    buf_reset(&c->signature);
    buf_reset(&c->citations);
    buf_reset(&c->input);
    switch (c->kind) {
    case CARRIER_WHOLE:
        break;
    case CARRIER_TEXT:
        carrier_text(c, (struct piece){.s = json_str(json_get(block, "text"))});
        yyjson_arr_foreach(citations, i, n, citation)
        {
            carrier_cite(c, citation);
        }
        break;
    case CARRIER_THINKING:
        carrier_text(c, (struct piece){.s = json_str(json_get(block, "thinking"))});
        carrier_signature(c, (struct piece){.s = json_str(json_get(block, "signature"))});
        break;
    case CARRIER_INPUT:
        if (yyjson_is_obj(json_get(block, "input")))
            json_write_value(&c->input, json_get(block, "input"));
        break;
    }
}

void carrier_open(struct carrier *c, yyjson_val *block)
{
    if (!is_working(c))
        return;
    struct str type = json_str(json_get(block, "type"));
    bool is_thought = str_eq(type, STR("thinking")) || str_eq(type, STR("redacted_thinking"));
    bool is_flat = str_eq(type, STR("text")) || str_eq(type, STR("tool_use"));
    c->is_needed |= is_thought ? c->is_begun : !is_flat;
    c->is_begun |= !is_thought;
    c->has_thinking |= is_thought;
    c->kind = kind_of(type);
    c->is_open = true;
    buf_append_z(&c->json, c->json.len ? ",{\"type\":" : "{\"type\":");
    json_write_text(&c->json, type);
    write_members(c, block);
    begin_filled(c, block);
}

void carrier_text(struct carrier *c, struct piece text)
{
    if (is_working(c) && c->is_open && text.s.n)
        piece_write(&c->text, text);
}

void carrier_signature(struct carrier *c, struct piece text)
{
    if (!is_working(c) || !c->is_open || text.s.n == 0)
        return;
    buf_reset(&c->signature); /* a second one replaces the first */
    piece_write(&c->signature, text);
}

void carrier_cite(struct carrier *c, yyjson_val *citation)
{
    if (!is_working(c) || !c->is_open || !yyjson_is_obj(citation))
        return;
    if (c->citations.len)
        buf_append_char(&c->citations, ',');
    json_write_value(&c->citations, citation);
    c->is_needed = true;
}

static void write_string(struct buf *to, const char *name, const struct buf *text)
{
    buf_printf(to, ",\"%s\":\"", name);
    buf_append_str(to, buf_str(text));
    buf_append_char(to, '"');
}

/* The deltas of an input hold pieces of JSON, collected as what stands in a JSON string. */
static bool write_input(struct carrier *c)
{
    buf_append_z(&c->json, ",\"input\":");
    if (c->text.len == 0) {
        buf_append_str(&c->json, c->input.len ? buf_str(&c->input) : STR("{}"));
        return true;
    }
    buf_reset(&c->input);
    buf_append_char(&c->input, '"');
    buf_append_str(&c->input, buf_str(&c->text));
    buf_append_char(&c->input, '"');
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&c->input), &err);
    struct str json = json_str(yyjson_doc_get_root(doc));
    buf_append_str(&c->json, json);
    yyjson_doc_free(doc);
    return json.n > 0;
}

void carrier_close(struct carrier *c)
{
    if (!is_working(c) || !c->is_open)
        return;
    c->is_open = false;
    switch (c->kind) {
    case CARRIER_WHOLE:
        break;
    case CARRIER_TEXT:
        write_string(&c->json, "text", &c->text);
        c->is_needed |= c->has_text && c->text.len > 0;
        c->has_text |= c->text.len > 0;
        if (c->citations.len) {
            buf_append_z(&c->json, ",\"citations\":[");
            buf_append_str(&c->json, buf_str(&c->citations));
            buf_append_char(&c->json, ']');
        }
        break;
    case CARRIER_THINKING:
        write_string(&c->json, "thinking", &c->text);
        write_string(&c->json, "signature", &c->signature);
        break;
    case CARRIER_INPUT:
        c->is_broken |= !write_input(c);
        break;
    }
    buf_append_char(&c->json, '}');
    c->is_broken |= c->json.failed || c->text.failed || c->signature.failed ||
                    c->citations.failed || c->input.failed;
}

struct str carrier_array(struct carrier *c)
{
    carrier_close(c);
    if (!is_working(c))
        return (struct str){0};
    /* The array in a buffer that has done its work. A cut input shows here. */
    struct buf *whole = &c->text;
    buf_reset(whole);
    buf_append_char(whole, '[');
    buf_append_str(whole, buf_str(&c->json));
    buf_append_char(whole, ']');
    struct json_error err;
    yyjson_doc *doc = whole->failed ? NULL : json_parse(buf_str(whole), &err);
    bool is_whole = doc != NULL;
    yyjson_doc_free(doc);
    return is_whole ? buf_str(whole) : (struct str){0};
}

struct str carrier_finish(struct carrier *c)
{
    return c && c->is_needed ? carrier_array(c) : (struct str){0};
}

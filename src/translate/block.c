/*
 * Writes blocks. What they hold comes from the parsed request, and so is valid UTF-8, or is ours.
 */
#include "translate/block.h"

#include "translate/fields.h"

/* Rough, as the whole estimate is: an image of a usual size, a page of a PDF. */
#define IMAGE_TOKENS         1600
#define PDF_CHARS_PER_TOKEN  13   /* of base64 */
#define UNKNOWN_MEDIA_TOKENS 4000 /* behind a URL or an id */

void cache_write(struct buf *b, enum cache_ttl ttl)
{
    if (ttl == CACHE_NONE)
        return;
    buf_append_z(b, ",\"cache_control\":{\"type\":\"ephemeral\"");
    if (ttl == CACHE_1H)
        buf_append_z(b, ",\"ttl\":\"1h\"");
    buf_append_char(b, '}');
}

static void write_member(struct buf *b, const char *name, struct str text)
{
    buf_append_z(b, name);
    json_write_text(b, text);
}

static void write_data(struct buf *b, struct media *m)
{
    if (!m->is_referred) {
        write_member(b, ",\"data\":", m->data);
        return;
    }
    buf_append_z(b, ",\"data\":\"");
    m->written_at = b->len;
    buf_append_char(b, '"');
}

static void write_media(struct buf *b, struct media *m)
{
    buf_printf(b, "{\"type\":\"%s\",\"source\":{\"type\":", m->type);
    switch (m->source) {
    case SOURCE_BASE64:
    case SOURCE_TEXT:
        buf_printf(b, "\"%s\",\"media_type\":\"%s\"", m->source == SOURCE_TEXT ? "text" : "base64",
                   m->media_type);
        write_data(b, m);
        break;
    case SOURCE_URL:
        write_member(b, "\"url\",\"url\":", m->data);
        break;
    case SOURCE_FILE:
        write_member(b, "\"file\",\"file_id\":", m->data);
        break;
    }
    buf_append_char(b, '}');
    if (m->title.n)
        write_member(b, ",\"title\":", m->title);
}

static void write_input(struct buf *b, const struct tool_use *use)
{
    switch (use->input) {
    case INPUT_EMPTY:
        buf_append_z(b, "{}");
        break;
    case INPUT_JSON:
        buf_append_str(b, use->text);
        break;
    case INPUT_VALUE:
        json_write_value(b, use->value);
        break;
    case INPUT_RAW:
        buf_append_z(b, "{\"_raw\":");
        buf_append_str(b, use->text);
        buf_append_char(b, '}');
        break;
    case INPUT_RAW_VALUE:
        buf_append_z(b, "{\"_raw\":");
        json_write_value(b, use->value);
        buf_append_char(b, '}');
        break;
    case INPUT_INVALID:
        write_member(b, "{\"INVALID_JSON\":", use->text);
        buf_append_char(b, '}');
        break;
    case INPUT_CUSTOM:
        write_member(b, "{\"input\":", use->text);
        buf_append_char(b, '}');
        break;
    }
}

static void write_tool_use(struct buf *b, const struct tool_use *use)
{
    write_member(b, "{\"type\":\"tool_use\",\"id\":", use->id);
    write_member(b, ",\"name\":", use->name);
    buf_append_z(b, ",\"input\":");
    write_input(b, use);
    if (use->caller) {
        buf_append_z(b, ",\"caller\":");
        json_write_value(b, use->caller);
    }
    if (use->toolset.n)
        write_member(b, ",\"toolset_name\":", use->toolset);
}

static void write_tool_result(struct buf *b, const struct tool_result *result)
{
    write_member(b, "{\"type\":\"tool_result\",\"tool_use_id\":", result->id);
    if (result->content.first) {
        buf_append_z(b, ",\"content\":");
        blocks_write(b, &result->content);
    }
    if (result->is_error)
        buf_append_z(b, ",\"is_error\":true");
}

/* All but the markers, which cache.c has read and may have moved. */
static void write_own(struct buf *b, yyjson_val *value, bool is_uncited)
{
    size_t i, max, n = 0;
    yyjson_val *key, *v;
    buf_append_char(b, '{');
    yyjson_obj_foreach(value, i, max, key, v)
    {
        struct str name = json_str(key);
        if (cache_is_marker(name) || (is_uncited && str_eq(name, STR("citations"))))
            continue;
        if (n++)
            buf_append_char(b, ',');
        json_write_text(b, name);
        buf_append_char(b, ':');
        json_write_value(b, v);
    }
}

static void write_block(struct buf *b, const struct block *block)
{
    switch (block->kind) {
    case BLOCK_TEXT:
        write_member(b, "{\"type\":\"text\",\"text\":", block->text);
        break;
    case BLOCK_VALUE:
    case BLOCK_UNCITED:
        write_own(b, block->value, block->kind == BLOCK_UNCITED);
        break;
    case BLOCK_MEDIA:
        write_media(b, block->media);
        break;
    case BLOCK_THINKING:
        write_member(b, "{\"type\":\"thinking\",\"thinking\":", block->thought->text);
        write_member(b, ",\"signature\":", block->thought->signature);
        break;
    case BLOCK_REDACTED:
        write_member(b, "{\"type\":\"redacted_thinking\",\"data\":", block->text);
        break;
    case BLOCK_TOOL_USE:
        write_tool_use(b, block->tool_use);
        break;
    case BLOCK_TOOL_RESULT:
        write_tool_result(b, block->tool_result);
        break;
    }
    cache_write(b, block->cache);
    buf_append_char(b, '}');
}

bool block_takes_marker(const struct block *block)
{
    return block->kind != BLOCK_THINKING && block->kind != BLOCK_REDACTED;
}

void blocks_write(struct buf *b, const struct blocks *blocks)
{
    buf_append_char(b, '[');
    for (const struct block *it = blocks->first; it; it = it->next) {
        if (it != blocks->first)
            buf_append_char(b, ',');
        write_block(b, it);
    }
    buf_append_char(b, ']');
}

static size_t text_bytes(yyjson_val *v)
{
    size_t i, max, n = 0;
    yyjson_val *key, *item;
    if (yyjson_is_str(v))
        return json_str(v).n;
    if (yyjson_is_obj(v))
        yyjson_obj_foreach(v, i, max, key, item) n += json_str(key).n + text_bytes(item);
    else
        yyjson_arr_foreach(v, i, max, item) n += text_bytes(item);
    return n;
}

static int64_t document_tokens(struct str base64)
{
    return base64.n ? (int64_t)(base64.n / PDF_CHARS_PER_TOKEN) : UNKNOWN_MEDIA_TOKENS;
}

static void weigh_own(yyjson_val *value, size_t *bytes, int64_t *tokens)
{
    struct str type = json_str(json_get(value, "type"));
    yyjson_val *source = json_get(value, "source");
    struct str from = json_str(json_get(source, "type"));
    bool is_text = str_eq(from, STR("text")) || str_eq(from, STR("content"));
    if (str_eq(type, STR("image")))
        *tokens += IMAGE_TOKENS;
    else if (str_eq(type, STR("document")) && !is_text)
        *tokens += document_tokens(json_str(json_get(source, "data")));
    else
        *bytes += text_bytes(value);
}

static void weigh_media(const struct media *m, size_t *bytes, int64_t *tokens)
{
    if (str_eq(str_of(m->type), STR("image")))
        *tokens += IMAGE_TOKENS;
    else if (m->source == SOURCE_TEXT)
        *bytes += m->data.n;
    else
        *tokens += document_tokens(m->source == SOURCE_BASE64 ? m->data : (struct str){0});
}

void block_weigh(const struct block *block, size_t *bytes, int64_t *tokens)
{
    switch (block->kind) {
    case BLOCK_TEXT:
        *bytes += block->text.n;
        break;
    case BLOCK_VALUE:
    case BLOCK_UNCITED:
        weigh_own(block->value, bytes, tokens);
        break;
    case BLOCK_MEDIA:
        weigh_media(block->media, bytes, tokens);
        break;
    case BLOCK_THINKING:
        *bytes += block->thought->text.n;
        break;
    case BLOCK_REDACTED:
        *bytes += block->text.n;
        break;
    case BLOCK_TOOL_USE:
        *bytes += block->tool_use->id.n + block->tool_use->name.n + block->tool_use->text.n +
                  text_bytes(block->tool_use->value);
        break;
    case BLOCK_TOOL_RESULT:
        *bytes += block->tool_result->id.n;
        for (const struct block *it = block->tool_result->content.first; it; it = it->next)
            block_weigh(it, bytes, tokens);
        break;
    }
}

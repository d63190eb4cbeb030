/*
 * Messages, blocks and usage in the key order of recorded answers.
 */
#include "sim/message.h"

#include "base/utf8.h"
#include "json/json.h"

static void write_nullable(struct buf *b, struct str s)
{
    if (s.p)
        json_write_string(b, s);
    else
        buf_append_z(b, "null");
}

void message_write_citation(struct buf *b, const struct script_block *block)
{
    buf_append_z(b, "{\"type\":\"web_search_result_location\",\"cited_text\":");
    json_write_string(b, utf8_cut(block->text, 150));
    buf_append_z(b, ",\"url\":\"https://example.com/\",\"title\":\"An example\","
                    "\"encrypted_index\":\"Eo8BCioIARgBIiQ3YTAwMjY1Mg==\"}");
}

static void write_text(struct buf *b, const struct script_block *block, bool is_start)
{
    if (block->kind == BLOCK_CITED) {
        buf_append_z(b, "{\"citations\":[");
        if (!is_start)
            message_write_citation(b, block);
        buf_append_z(b, "],\"type\":\"text\",\"text\":");
    } else {
        buf_append_z(b, "{\"type\":\"text\",\"text\":");
    }
    json_write_string(b, is_start ? STR("") : block->text);
    buf_append_char(b, '}');
}

static void write_thinking(struct buf *b, const struct script_block *block, bool is_start)
{
    buf_append_z(b, "{\"type\":\"thinking\",\"thinking\":");
    json_write_string(b, is_start ? STR("") : block->text);
    buf_append_z(b, ",\"signature\":\"");
    buf_append_str(b, is_start ? STR("") : block->signature);
    buf_append_z(b, "\"}");
}

/* An input that was cut by max_tokens is no JSON any more: the API then gives what it has as {}. */
static bool is_whole_json(struct str s)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(s, &err);
    yyjson_doc_free(doc);
    return doc != NULL;
}

static void write_tool(struct buf *b, const struct script_block *block, bool is_start)
{
    bool is_client = block->kind == BLOCK_TOOL;
    buf_printf(b, "{\"type\":\"%s\",\"id\":", is_client ? "tool_use" : "server_tool_use");
    json_write_string(b, block->id);
    buf_append_z(b, ",\"name\":");
    json_write_string(b, block->name);
    buf_append_z(b, ",\"input\":");
    buf_append_str(b, !is_start && is_whole_json(block->text) ? block->text : STR("{}"));
    buf_append_z(b, is_client ? ",\"caller\":{\"type\":\"direct\"}}" : "}");
}

static void write_block(struct buf *b, const struct script_block *block, bool is_start)
{
    switch (block->kind) {
    case BLOCK_TEXT:
    case BLOCK_EMPTY:
    case BLOCK_CITED:
        write_text(b, block, is_start);
        return;
    case BLOCK_THINK:
        write_thinking(b, block, is_start);
        return;
    case BLOCK_TOOL:
    case BLOCK_SEARCH:
        write_tool(b, block, is_start);
        return;
    case BLOCK_REDACTED:
        buf_append_z(b, "{\"type\":\"redacted_thinking\",\"data\":");
        json_write_string(b, block->text);
        buf_append_char(b, '}');
        return;
    case BLOCK_RESULT:
        buf_append_z(b, "{\"type\":\"web_search_tool_result\",\"tool_use_id\":");
        json_write_string(b, block->id);
        buf_append_z(b, ",\"content\":");
        buf_append_str(b, block->text);
        buf_append_char(b, '}');
        return;
    case BLOCK_UNKNOWN:
        buf_append_z(b, "{\"type\":\"future_block\",\"text\":\"not an answer\"}");
        return;
    }
}

void message_write_block(struct buf *b, const struct script_block *block)
{
    write_block(b, block, false);
}

void message_write_block_start(struct buf *b, const struct script_block *block)
{
    write_block(b, block, true);
}

static void write_content(struct buf *b, const struct script *s)
{
    buf_append_char(b, '[');
    for (size_t i = 0; i < s->n_blocks; i++) {
        if (i > 0)
            buf_append_char(b, ',');
        write_block(b, &s->blocks[i], false);
    }
    buf_append_char(b, ']');
}

static void write_stop(struct buf *b, const struct script *s)
{
    buf_append_z(b, "\"stop_reason\":");
    write_nullable(b, s->stop_reason);
    buf_append_z(b, ",\"stop_sequence\":");
    write_nullable(b, s->stop_sequence);
    buf_append_z(b, ",\"stop_details\":");
    if (!str_eq(s->stop_reason, STR("refusal"))) {
        buf_append_z(b, "null");
        return;
    }
    buf_append_z(b, "{\"type\":\"refusal\",\"category\":");
    write_nullable(b, s->category);
    buf_append_z(b, ",\"explanation\":");
    write_nullable(b, s->explanation);
    buf_append_char(b, '}');
}

static void write_input(struct buf *b, const struct script_usage *u, int64_t input)
{
    buf_printf(b,
               "\"input_tokens\":%lld,\"cache_creation_input_tokens\":%lld,"
               "\"cache_read_input_tokens\":%lld",
               (long long)input, (long long)u->cache_write, (long long)u->cache_read);
}

static void write_searches(struct buf *b, const struct script_usage *u)
{
    if (u->searches)
        buf_printf(b,
                   ",\"server_tool_use\":{\"web_search_requests\":%lld,\"web_fetch_requests\":0}",
                   (long long)u->searches);
}

static void write_details(struct buf *b, const struct script_usage *u)
{
    buf_printf(b, ",\"output_tokens_details\":{\"thinking_tokens\":%lld}", (long long)u->thinking);
}

/* As a message carries it. At the start the output is what the first token cost. */
static void write_usage(struct buf *b, const struct script_usage *u, bool is_start)
{
    buf_append_z(b, "\"usage\":{");
    write_input(b, u, is_start ? u->input : u->delta_input);
    buf_printf(b,
               ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":%lld,"
               "\"ephemeral_1h_input_tokens\":%lld},\"output_tokens\":%lld",
               (long long)(u->cache_write - u->cache_write_1h), (long long)u->cache_write_1h,
               (long long)(is_start && u->output > 1 ? 1 : u->output));
    if (!is_start) {
        write_details(b, u);
        write_searches(b, u);
    }
    buf_append_z(b, ",\"service_tier\":\"standard\",\"inference_geo\":\"global\"}");
}

static void write_head(struct buf *b, const struct script *s)
{
    buf_append_z(b, "{\"model\":");
    json_write_string(b, s->model);
    buf_append_z(b, ",\"id\":");
    json_write_string(b, s->id);
    buf_append_z(b, ",\"type\":\"message\",\"role\":\"assistant\",\"content\":");
}

void message_write(struct buf *b, const struct script *s)
{
    write_head(b, s);
    write_content(b, s);
    buf_append_char(b, ',');
    write_stop(b, s);
    buf_append_char(b, ',');
    write_usage(b, &s->usage, false);
    buf_append_char(b, '}');
}

void message_write_start(struct buf *b, const struct script *s)
{
    if (s->d->whole) {
        message_write(b, s);
        return;
    }
    write_head(b, s);
    buf_append_z(b, "[],\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null,");
    write_usage(b, &s->usage, true);
    buf_append_char(b, '}');
}

void message_write_end(struct buf *b, const struct script *s)
{
    const struct script_usage *u = &s->usage;
    buf_append_z(b, ",\"delta\":{");
    write_stop(b, s);
    buf_append_z(b, "},\"usage\":{");
    if (s->d->usage == USAGE_FULL) {
        write_input(b, u, u->delta_input);
        buf_append_char(b, ',');
    }
    buf_printf(b, "\"output_tokens\":%lld", (long long)u->output);
    if (s->d->usage == USAGE_FULL) {
        write_details(b, u);
        write_searches(b, u);
    }
    buf_append_char(b, '}');
}

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

/* What stands around the cited text. */
static const struct {
    const char *type, *rest;
} citations[] = {
    [CITES_WEB] = {"web_search_result_location",
                   "\"url\":\"https://example.com/\",\"title\":\"An example\",\"encrypted_index\":"
                   "\"Eo8BCioIARgBIiQ3YTAwMjY1Mg==\""},
    [CITES_CHARS] =
        {"char_location",
         "\"document_index\":0,\"document_title\":\"A document\",\"start_char_index\":0,"
         "\"end_char_index\":9,\"file_id\":null"},
    [CITES_PAGES] = {"page_location",
                     "\"document_index\":0,\"document_title\":null,\"start_page_number\":1,"
                     "\"end_page_number\":2,\"file_id\":null"},
    [CITES_BLOCKS] = {"content_block_location",
                      "\"document_index\":0,\"document_title\":\"A document\","
                      "\"start_block_index\":0,\"end_block_index\":1,\"file_id\":null"},
    [CITES_RESULT] =
        {"search_result_location",
         "\"search_result_index\":0,\"source\":\"https://example.com/found\",\"title\":"
         "\"Found\",\"start_block_index\":0,\"end_block_index\":1"},
};

void message_write_citation(struct buf *b, const struct script_block *block)
{
    buf_printf(b, "{\"type\":\"%s\",\"cited_text\":", citations[block->citation].type);
    json_write_string(b, utf8_cut(block->text, 150));
    buf_printf(b, ",%s}", citations[block->citation].rest);
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

static void write_call(struct buf *b, const struct script_block *block, bool is_start)
{
    const struct block_form *form = block_form(block->kind);
    buf_printf(b, "{\"type\":\"%s\",\"id\":", form->type);
    json_write_string(b, block->id);
    buf_append_z(b, ",\"name\":");
    json_write_string(b, block->name);
    buf_append_z(b, ",\"input\":");
    buf_append_str(b, !is_start && is_whole_json(block->text) ? block->text : STR("{}"));
    if (block->caller.p)
        buf_printf(b, ",\"caller\":{\"type\":\"code_execution_20250825\",\"tool_id\":\"%.*s\"}",
                   STR_ARG(block->caller));
    else
        buf_append_z(b, form->more ? form->more : ",\"caller\":{\"type\":\"direct\"}");
    buf_append_char(b, '}');
}

static void write_result(struct buf *b, const struct script_block *block)
{
    const struct block_form *form = block_form(block->kind);
    buf_printf(b, "{\"type\":\"%s\",\"tool_use_id\":", form->type);
    json_write_string(b, block->id);
    buf_printf(b, ",\"content\":%s%s}", form->body, form->more ? form->more : "");
}

static void write_whole(struct buf *b, const struct script_block *block, bool is_start)
{
    const struct block_form *form = block_form(block->kind);
    bool comes_later = is_start && block->kind == BLOCK_COMPACTION; /* in its delta */
    buf_printf(b, "{\"type\":\"%s\",%s}", form->type,
               comes_later ? "\"content\":null,\"encrypted_content\":null" : form->body);
}

static void write_block(struct buf *b, const struct script_block *block, bool is_start)
{
    switch (block_form(block->kind)->shape) {
    case BLOCK_IS_TEXT:
        write_text(b, block, is_start);
        return;
    case BLOCK_IS_THINKING:
        write_thinking(b, block, is_start);
        return;
    case BLOCK_IS_CALL:
        write_call(b, block, is_start);
        return;
    case BLOCK_IS_RESULT:
        write_result(b, block);
        return;
    case BLOCK_IS_WHOLE:
        write_whole(b, block, is_start);
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
    if (u->searches || u->fetches)
        buf_printf(b,
                   ",\"server_tool_use\":{\"web_search_requests\":%lld,"
                   "\"web_fetch_requests\":%lld}",
                   (long long)u->searches, (long long)u->fetches);
}

static void write_details(struct buf *b, const struct script_usage *u)
{
    buf_printf(b, ",\"output_tokens_details\":{\"thinking_tokens\":%lld}", (long long)u->thinking);
}

/* A compaction is a request of its own: top-level counts are those of the answer alone. */
static void write_iterations(struct buf *b, const struct script *s)
{
    if (!s->was_compacted)
        return;
    buf_append_z(b, ",\"iterations\":[{\"type\":\"compaction\",\"input_tokens\":1000,"
                    "\"output_tokens\":50,\"cache_creation_input_tokens\":0,"
                    "\"cache_read_input_tokens\":0,\"cache_creation\":null},"
                    "{\"type\":\"message\",\"model\":null,\"cache_creation\":null,");
    write_input(b, &s->usage, s->usage.delta_input);
    buf_printf(b, ",\"output_tokens\":%lld}]", (long long)s->usage.output);
}

/* Where code ran; what it left there is kept until then. */
static void write_container(struct buf *b, const struct script *s)
{
    if (s->container.p)
        buf_printf(b,
                   "\"container\":{\"id\":\"%.*s\",\"expires_at\":\"2099-01-01T00:00:00Z\","
                   "\"skills\":null},",
                   STR_ARG(s->container));
    else
        buf_append_z(b, "\"container\":null,");
}

/* As a message carries it. At the start the output is what the first token cost. */
static void write_usage(struct buf *b, const struct script *s, bool is_start)
{
    const struct script_usage *u = &s->usage;
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
        write_iterations(b, s);
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
    write_container(b, s);
    write_stop(b, s);
    buf_append_char(b, ',');
    write_usage(b, s, false);
    buf_append_char(b, '}');
}

void message_write_start(struct buf *b, const struct script *s)
{
    if (s->d->whole) {
        message_write(b, s);
        return;
    }
    write_head(b, s);
    buf_append_z(
        b,
        "[],\"container\":null,\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null,");
    write_usage(b, s, true);
    buf_append_char(b, '}');
}

void message_write_end(struct buf *b, const struct script *s)
{
    const struct script_usage *u = &s->usage;
    buf_append_z(b, ",\"delta\":{");
    write_container(b, s);
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
        write_iterations(b, s);
    }
    buf_append_char(b, '}');
}

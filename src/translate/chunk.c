/*
 * The chunk writer: every chunk is a head that is copied, a delta, and a fixed tail. It allocates
 * nothing of its own.
 */
#include "translate/chunk.h"

#include "translate/reasoning_form.h"
#include "json/json.h"

/* Id and model, escaped, and what stands around them. */
#define HEAD_BYTES_MAX 8192

void chunk_init(struct chunk *c, const struct tr_stream_params *params)
{
    *c = (struct chunk){.choice = params->choice, .include_usage = params->include_usage};
    c->reasoning_forms = params->reasoning_forms ? params->reasoning_forms : TR_REASONING_USUAL;
    buf_init(&c->head, HEAD_BYTES_MAX);
}

void chunk_done(struct chunk *c)
{
    buf_done(&c->head);
}

bool chunk_begin(struct chunk *c, struct str id, struct str model, int64_t created_unix_s)
{
    buf_append_z(&c->head, "data: ");
    return part_write_head(&c->head, "chat.completion.chunk", id, model, created_unix_s);
}

_Static_assert(TR_CHOICES_MAX <= 10, "a choice has one digit");

static void open_delta(const struct chunk *c, unsigned choice, struct buf *out)
{
    buf_append_str(out, buf_str(&c->head));
    buf_append_str(out, STR("[{\"index\":"));
    buf_append_char(out, (char)('0' + choice));
    buf_append_str(out, STR(",\"delta\":{"));
}

static void close_choices(const struct chunk *c, struct buf *out)
{
    if (c->include_usage)
        buf_append_str(out, STR(",\"usage\":null"));
    buf_append_str(out, STR("}\n\n"));
}

static void close_delta(const struct chunk *c, struct buf *out)
{
    buf_append_str(out, STR("},\"logprobs\":null,\"finish_reason\":null}]"));
    close_choices(c, out);
}

void chunk_write_role(const struct chunk *c, unsigned choice, struct buf *out)
{
    open_delta(c, choice, out);
    buf_append_str(out, STR("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"));
    close_delta(c, out);
}

static void write_member(struct buf *out, struct str opening, struct piece text)
{
    buf_append_str(out, opening);
    piece_write(out, text);
    buf_append_char(out, '"');
}

/* {"name":"f","arguments":"": the texts of a call, the second one open. */
static void write_named(const struct part *part, struct buf *out)
{
    buf_append_str(out, STR("{\"name\":"));
    json_write_string(out, part->name);
    buf_printf(out, ",\"%s\":\"\"}", part_call_words[part->form].arguments);
}

static void write_call(const struct part *part, struct buf *out)
{
    const char *type = part_call_words[part->form].type;
    if (part->form == CALL_FUNCTION) {
        buf_append_str(out, STR("\"function_call\":"));
        write_named(part, out);
        return;
    }
    buf_printf(out, "\"tool_calls\":[{\"index\":%u,\"id\":", part->index);
    json_write_string(out, part->id);
    buf_printf(out, ",\"type\":\"%s\",\"%s\":", type, type);
    write_named(part, out);
    buf_append_str(out, part->extra);
    buf_append_str(out, STR("}]"));
}

/* Only the index: the OpenAI SDK refuses a call whose identity is said twice. */
static void write_arguments(const struct part *part, struct buf *out)
{
    switch (part->form) {
    case CALL_FUNCTION:
        write_member(out, STR("\"function_call\":{\"arguments\":\""), part->text);
        buf_append_char(out, '}');
        return;
    case CALL_CUSTOM:
        buf_printf(out, "\"tool_calls\":[{\"index\":%u,\"custom\":{", part->index);
        write_member(out, STR("\"input\":\""), part->text);
        break;
    case CALL_TOOL:
        buf_printf(out, "\"tool_calls\":[{\"index\":%u,\"function\":{", part->index);
        write_member(out, STR("\"arguments\":\""), part->text);
        break;
    }
    buf_append_str(out, STR("}}]"));
}

/* Behind the text of the block that they belong to. */
static void write_citations(const struct part *part, struct buf *out)
{
    if (part->text.s.n) {
        buf_append_str(out, STR("\"annotations\":["));
        buf_append_str(out, part->text.s);
        buf_append_str(out, STR("],"));
    }
    buf_append_str(out, STR("\"citations\":["));
    buf_append_str(out, part->name);
    buf_append_char(out, ']');
}

static void write_refusal(const struct part *part, struct buf *out)
{
    write_member(out, STR("\"refusal\":\""), part->text);
    if (part->name.n)
        write_member(out, STR(",\"refusal_category\":\""), (struct piece){.s = part->name});
}

void chunk_write_part(const struct chunk *c, const struct part *part, struct buf *out)
{
    const size_t from = out->len;
    bool is_said = true;
    open_delta(c, c->choice, out);
    switch (part->kind) {
    case PART_TEXT:
        write_member(out,
                     part->is_apart ? STR("\"content\":\"" PART_SEPARATOR) : STR("\"content\":\""),
                     part->text);
        if (c->reasoning_forms & TR_REASONING_CONTENT_BLOCKS)
            reasoning_delta_write(c->reasoning_forms, part, true, out);
        break;
    case PART_REASONING:
    case PART_SIGNATURE:
    case PART_ENCRYPTED:
    case PART_CARRIER:
        is_said = reasoning_delta_write(c->reasoning_forms, part, false, out);
        break;
    case PART_CALL:
        write_call(part, out);
        break;
    case PART_ARGUMENTS:
        write_arguments(part, out);
        break;
    case PART_CITATIONS:
        write_citations(part, out);
        break;
    case PART_REFUSAL:
        write_refusal(part, out);
        break;
    }
    if (is_said)
        close_delta(c, out);
    else
        out->len = from;
}

void chunk_write_finish(const struct chunk *c, const char *finish_reason, const char *service_tier,
                        struct buf *out)
{
    open_delta(c, c->choice, out);
    buf_append_str(out, STR("},\"logprobs\":null,\"finish_reason\":\""));
    buf_append_z(out, finish_reason);
    buf_append_str(out, STR("\"}]"));
    if (service_tier) {
        buf_append_str(out, STR(",\"service_tier\":\""));
        buf_append_z(out, service_tier);
        buf_append_char(out, '"');
    }
    close_choices(c, out);
}

void chunk_write_end(const struct chunk *c, const struct usage_report *usage, struct buf *out)
{
    if (c->include_usage) {
        buf_append_str(out, buf_str(&c->head));
        buf_append_str(out, STR("[],\"usage\":"));
        usage_write(usage, out);
        buf_append_str(out, STR("}\n\n"));
    }
    buf_append_str(out, STR("data: [DONE]\n\n"));
}

void chunk_write_error(const struct api_error *e, const struct tr_usage *used, struct buf *out)
{
    const struct usage_report usage = {.counts = *used};
    buf_append_str(out, STR("data: "));
    api_error_write_members(e, out);
    if (usage_is_known(used)) { /* in the error: SDKs show nothing that stands beside it */
        buf_append_str(out, STR(",\"usage\":"));
        usage_write(&usage, out);
    }
    buf_append_str(out, STR("}}\n\n"));
}

void chunk_write_ping(struct buf *out)
{
    buf_append_str(out, STR(": ping\n\n"));
}

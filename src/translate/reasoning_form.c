/*
 * One row of code for each form; a form that is not asked for costs nothing.
 */
#include "translate/reasoning_form.h"

#include "translate/carrier.h"

/* Deltas ---------------------------------------------------------------------------------- */

static void write_string(struct buf *out, const char *opening, struct piece text)
{
    buf_append_z(out, opening);
    piece_write(out, text);
    buf_append_char(out, '"');
}

static void separate(struct buf *out, bool *has_members)
{
    if (*has_members)
        buf_append_char(out, ',');
    *has_members = true;
}

static const char *format_of(enum part_kind kind)
{
    return kind == PART_CARRIER ? CARRIER_FORMAT : PART_REASONING_FORMAT;
}

/* One entry of reasoning_details; clients join those of the same index. */
static void write_detail(const struct part *part, struct buf *out)
{
    static const char *const openings[] = {
        [PART_REASONING] = "text\",\"text\":\"",
        [PART_SIGNATURE] = "text\",\"signature\":\"",
        [PART_ENCRYPTED] = "encrypted\",\"data\":\"",
        [PART_CARRIER] = "encrypted\",\"data\":\"",
    };
    buf_append_str(out, STR("\"reasoning_details\":[{\"type\":\"reasoning."));
    write_string(out, openings[part->kind], part->text);
    buf_printf(out, ",\"index\":%u,\"format\":\"%s\"}]", part->index, format_of(part->kind));
}

/* A piece of a block has all of its members, as LiteLLM's have. */
static void write_thinking_block(const struct part *part, struct buf *out)
{
    buf_append_str(out, STR("\"thinking_blocks\":[{\"type\":\""));
    if (part->kind == PART_ENCRYPTED) {
        write_string(out, "redacted_thinking\",\"data\":\"", part->text);
    } else if (part->kind == PART_REASONING) {
        write_string(out, "thinking\",\"thinking\":\"", part->text);
        buf_append_str(out, STR(",\"signature\":\"\""));
    } else {
        write_string(out, "thinking\",\"thinking\":\"\",\"signature\":\"", part->text);
    }
    buf_append_str(out, STR("}]"));
}

static void write_content_block(const struct part *part, struct buf *out)
{
    static const char *const openings[] = {
        [PART_TEXT] = "\"text\":\"",
        [PART_REASONING] = "\"thinking\":\"",
        [PART_SIGNATURE] = "\"signature\":\"",
        [PART_ENCRYPTED] = "\"type\":\"redacted_thinking\",\"data\":\"",
    };
    buf_printf(out, "\"content_blocks\":[{\"index\":%u,\"delta\":{", part->block);
    write_string(out, openings[part->kind], part->text);
    buf_append_str(out, STR("}}]"));
}

bool reasoning_delta_write(unsigned forms, const struct part *part, bool has_members,
                           struct buf *out)
{
    if (part->kind == PART_REASONING && forms & TR_REASONING_CONTENT) {
        separate(out, &has_members);
        write_string(out, "\"reasoning_content\":\"", part->text);
    }
    if (part->kind == PART_REASONING && forms & TR_REASONING_PLAIN) {
        separate(out, &has_members);
        write_string(out, "\"reasoning\":\"", part->text);
    }
    if (part->kind != PART_TEXT && forms & TR_REASONING_DETAILS) {
        separate(out, &has_members);
        write_detail(part, out);
    }
    const bool is_thought = part->kind != PART_TEXT && part->kind != PART_CARRIER;
    if (is_thought && forms & TR_REASONING_BLOCKS) {
        separate(out, &has_members);
        write_thinking_block(part, out);
    }
    if (part->kind != PART_CARRIER && forms & TR_REASONING_CONTENT_BLOCKS) {
        separate(out, &has_members);
        write_content_block(part, out);
    }
    return has_members;
}

/* Messages -------------------------------------------------------------------------------- */

static void each_buf(struct reasoning_message *m, void (*run)(struct buf *b, size_t max),
                     size_t max)
{
    struct buf *bufs[] = {&m->text,    &m->open,   &m->signature,
                          &m->details, &m->blocks, &m->content_blocks};
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++)
        run(bufs[i], max);
}

static void free_buf(struct buf *b, size_t max)
{
    (void)max;
    buf_done(b);
}

void reasoning_message_init(struct reasoning_message *m, unsigned forms, size_t max)
{
    *m = (struct reasoning_message){.forms = forms};
    each_buf(m, buf_init, max);
}

void reasoning_message_done(struct reasoning_message *m)
{
    each_buf(m, free_buf, 0);
}

static void write_open(struct buf *to, const char *opening, const struct buf *text)
{
    buf_append_z(to, opening);
    buf_append_str(to, buf_str(text));
    buf_append_char(to, '"');
}

static void write_signature(const struct reasoning_message *m, struct buf *to)
{
    if (m->signature.len)
        write_open(to, ",\"signature\":\"", &m->signature);
}

static void close_detail(struct reasoning_message *m)
{
    const bool is_text = m->kind == PART_REASONING;
    buf_append_z(&m->details,
                 m->details.len ? ",{\"type\":\"reasoning." : "{\"type\":\"reasoning.");
    write_open(&m->details, is_text ? "text\",\"text\":\"" : "encrypted\",\"data\":\"", &m->open);
    write_signature(m, &m->details);
    buf_printf(&m->details, ",\"index\":%u,\"format\":\"%s\"}", m->index, format_of(m->kind));
}

/* As the upstream has its blocks. */
static void close_block(const struct reasoning_message *m, struct buf *to)
{
    static const char *const openings[] = {
        [PART_TEXT] = "text\",\"text\":\"",
        [PART_REASONING] = "thinking\",\"thinking\":\"",
        [PART_ENCRYPTED] = "redacted_thinking\",\"data\":\"",
    };
    buf_append_z(to, to->len ? ",{\"type\":\"" : "{\"type\":\"");
    write_open(to, openings[m->kind], &m->open);
    write_signature(m, to);
    buf_append_char(to, '}');
}

static void close_open(struct reasoning_message *m)
{
    if (!m->is_open)
        return;
    m->is_open = false;
    if (m->kind != PART_TEXT && m->forms & TR_REASONING_DETAILS)
        close_detail(m);
    if (m->kind != PART_TEXT && m->kind != PART_CARRIER && m->forms & TR_REASONING_BLOCKS)
        close_block(m, &m->blocks);
    if (m->kind != PART_CARRIER && m->forms & TR_REASONING_CONTENT_BLOCKS)
        close_block(m, &m->content_blocks);
    buf_reset(&m->open);
    buf_reset(&m->signature);
}

static void open_block(struct reasoning_message *m, const struct part *part)
{
    const enum part_kind kind = part->kind == PART_SIGNATURE ? PART_REASONING : part->kind;
    if (m->is_open && m->kind == kind && m->block == part->block)
        return;
    close_open(m);
    m->is_open = true;
    m->kind = kind;
    m->index = part->index;
    m->block = part->block;
}

void reasoning_message_add(struct reasoning_message *m, const struct part *part)
{
    if (part->kind == PART_TEXT && !(m->forms & TR_REASONING_CONTENT_BLOCKS))
        return;
    if (part->kind == PART_REASONING && m->forms & (TR_REASONING_CONTENT | TR_REASONING_PLAIN))
        piece_write(&m->text, part->text);
    open_block(m, part);
    if (part->kind == PART_SIGNATURE)
        buf_reset(&m->signature); /* a second one replaces the first */
    piece_write(part->kind == PART_SIGNATURE ? &m->signature : &m->open, part->text);
}

void reasoning_message_end(struct reasoning_message *m)
{
    close_open(m);
}

size_t reasoning_message_bytes(const struct reasoning_message *m, bool *ret_failed)
{
    const struct buf *bufs[] = {&m->text,    &m->open,   &m->signature,
                                &m->details, &m->blocks, &m->content_blocks};
    size_t bytes = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++) {
        *ret_failed |= bufs[i]->failed;
        bytes += bufs[i]->len;
    }
    return bytes;
}

static void write_text(const struct reasoning_message *m, unsigned form, const char *opening,
                       struct buf *out)
{
    if (m->text.len && m->forms & form)
        write_open(out, opening, &m->text);
}

static void write_elements(const char *name, const struct buf *elements, struct buf *out)
{
    if (elements->len == 0)
        return;
    buf_printf(out, ",\"%s\":[", name);
    buf_append_str(out, buf_str(elements));
    buf_append_char(out, ']');
}

void reasoning_message_write(const struct reasoning_message *m, bool is_refused, struct buf *out)
{
    write_text(m, TR_REASONING_CONTENT, ",\"reasoning_content\":\"", out);
    write_text(m, TR_REASONING_PLAIN, ",\"reasoning\":\"", out);
    write_elements("reasoning_details", &m->details, out);
    write_elements("thinking_blocks", &m->blocks, out);
    if (!is_refused) /* it holds texts that are withheld */
        write_elements("content_blocks", &m->content_blocks, out);
}

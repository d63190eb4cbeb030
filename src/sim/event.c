/*
 * One function for each step of the grammar, and one that decides which comes next.
 */
#include "sim/event.h"

#include <string.h>

#include "sim/message.h"
#include "json/json.h"

#define PADDING_MAX 15

/* Appends a text literal without measuring it at run time: deltas are written by the million. */
#define append_lit(b, lit) buf_append((b), (lit), sizeof(lit) - 1)

static void append_number(struct buf *b, size_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    buf_append(b, digits + at, sizeof(digits) - at);
}

/* The last brace, behind its padding, and the end of the event. */
static void append_end(struct event_cursor *c, const struct script *s, struct buf *b)
{
    static const char blanks[] = "               ";
    _Static_assert(sizeof(blanks) - 1 == PADDING_MAX, "one blank for each byte of padding");
    c->random ^= c->random << 13; /* xorshift */
    c->random ^= c->random >> 17;
    c->random ^= c->random << 5;
    if (!s->d->no_padding)
        buf_append(b, blanks, c->random % (PADDING_MAX + 1));
    append_lit(b, "}\n\n");
}

void event_begin(struct event_cursor *c, const struct script *s)
{
    *c = (struct event_cursor){.step = EVENT_START, .random = s->seed};
}

static bool block_has_signature(const struct script_block *block)
{
    return block->kind == BLOCK_THINK;
}

/* Deltas in front of the text's pieces: the empty first input_json_delta, the citation, the empty
 * thinking_delta of an omitted text. */
static int64_t count_leading(const struct script_block *block)
{
    if (block->kind == BLOCK_CITED || block->kind == BLOCK_UNKNOWN ||
        block->kind == BLOCK_COMPACTION)
        return 1;
    if (block->kind == BLOCK_THINK)
        return block->display == THINK_OMITTED;
    return block_form(block->kind)->shape == BLOCK_IS_CALL;
}

/* Whether the text comes in deltas; else it is whole in content_block_start. */
static bool has_pieces(const struct script_block *block)
{
    enum block_shape shape = block_form(block->kind)->shape;
    return shape == BLOCK_IS_TEXT || shape == BLOCK_IS_THINKING || shape == BLOCK_IS_CALL;
}

static bool has_more_deltas(const struct event_cursor *c, const struct script_block *block)
{
    if (c->piece < count_leading(block))
        return true;
    if (has_pieces(block) && c->offset < block->text.n)
        return true;
    /* The signature is one more, past the text: offset stands behind it once it is out. */
    return block_has_signature(block) && c->offset <= block->text.n;
}

static void enter_block(struct event_cursor *c, const struct script *s)
{
    c->offset = 0;
    c->piece = 0;
    c->step = c->block < s->n_blocks ? EVENT_BLOCK_START : EVENT_MESSAGE_DELTA;
}

static void enter_deltas(struct event_cursor *c, const struct script *s)
{
    c->step = has_more_deltas(c, &s->blocks[c->block]) ? EVENT_DELTA : EVENT_BLOCK_STOP;
}

/* Repeats the step `times` in all; true while it is to be repeated. */
static bool repeat(struct event_cursor *c, int64_t times)
{
    if (++c->n_repeats < times)
        return true;
    c->n_repeats = 0;
    return false;
}

static void write_start(struct event_cursor *c, const struct script *s, struct buf *b)
{
    append_lit(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    message_write_start(b, s);
    append_end(c, s, b);
    if (repeat(c, s->d->starts))
        return;
    if (s->d->whole)
        c->step = EVENT_STOP;
    else if (s->d->unknown)
        c->step = EVENT_FUTURE;
    else
        enter_block(c, s);
}

static void write_future(struct event_cursor *c, const struct script *s, struct buf *b)
{
    append_lit(b, "event: future_event\ndata: {\"type\":\"future_event\",\"index\":0,"
                  "\"delta\":{\"type\":\"text_delta\",\"text\":\"not an answer\"}");
    append_end(c, s, b);
    enter_block(c, s);
}

static void write_block_start(struct event_cursor *c, const struct script *s, struct buf *b)
{
    append_lit(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
    append_number(b, c->block);
    append_lit(b, ",\"content_block\":");
    message_write_block_start(b, &s->blocks[c->block]);
    append_end(c, s, b);
    if (!c->has_pinged && s->d->pings != 0) {
        c->has_pinged = true;
        c->step = EVENT_PING;
    } else {
        enter_deltas(c, s);
    }
}

static void append_ping(struct buf *b)
{
    append_lit(b, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/* A delta in front of the text. */
static void write_leading(const struct script_block *block, struct buf *b)
{
    if (block->kind == BLOCK_CITED) {
        append_lit(b, "{\"type\":\"citations_delta\",\"citation\":");
        message_write_citation(b, block);
        append_lit(b, "}");
    } else if (block->kind == BLOCK_THINK) {
        append_lit(b, "{\"type\":\"thinking_delta\",\"thinking\":\"\"}");
    } else if (block->kind == BLOCK_UNKNOWN) {
        append_lit(b, "{\"type\":\"future_delta\",\"text\":\"not an answer\"}");
    } else if (block->kind == BLOCK_COMPACTION) {
        append_lit(b, "{\"type\":\"compaction_delta\",");
        buf_append_z(b, block_form(block->kind)->body);
        append_lit(b, "}");
    } else {
        append_lit(b, "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}");
    }
}

static void append_stamp(struct buf *b, int64_t now_us)
{
    append_lit(b, "{\"type\":\"text_delta\",\"text\":\"@");
    append_number(b, (size_t)now_us);
    append_lit(b, " \"}");
}

/* The next piece of the block's text, or the signature behind it. */
static void write_piece(struct event_cursor *c, const struct script *s,
                        const struct script_block *block, struct buf *b)
{
    if (c->offset == block->text.n) {
        append_lit(b, "{\"type\":\"signature_delta\",\"signature\":\"");
        buf_append_str(b, block->signature);
        append_lit(b, "\"}");
        c->offset++;
        return;
    }
    size_t n = script_piece(s, block, c->offset);
    if (block->kind == BLOCK_THINK)
        append_lit(b, "{\"type\":\"thinking_delta\",\"thinking\":");
    else if (block_form(block->kind)->shape == BLOCK_IS_CALL)
        append_lit(b, "{\"type\":\"input_json_delta\",\"partial_json\":");
    else
        append_lit(b, "{\"type\":\"text_delta\",\"text\":");
    json_write_string(b, (struct str){block->text.p + c->offset, n});
    append_lit(b, "}");
    c->offset += n;
}

static void write_delta(struct event_cursor *c, const struct script *s, int64_t now_us,
                        struct buf *b)
{
    const struct script_block *block = &s->blocks[c->block];
    append_lit(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    append_number(b, c->block);
    append_lit(b, ",\"delta\":");
    if (c->piece < count_leading(block)) {
        write_leading(block, b);
    } else if (s->d->stamp && block->kind == BLOCK_TEXT) {
        append_stamp(b, now_us);
        c->offset += script_piece(s, block, c->offset);
    } else {
        write_piece(c, s, block, b);
    }
    append_end(c, s, b);
    c->piece++;
    c->n_deltas++;
    if (s->d->pings > 0 && c->n_deltas % s->d->pings == 0)
        append_ping(b);
    enter_deltas(c, s);
}

static void write_block_stop(struct event_cursor *c, const struct script *s, struct buf *b)
{
    append_lit(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    append_number(b, c->block);
    append_end(c, s, b);
    c->block++;
    enter_block(c, s);
}

static void write_message_delta(struct event_cursor *c, const struct script *s, struct buf *b)
{
    append_lit(b, "event: message_delta\ndata: {\"type\":\"message_delta\"");
    message_write_end(b, s);
    append_end(c, s, b);
    if (!repeat(c, s->d->deltas))
        c->step = EVENT_STOP;
}

static void write_step(struct event_cursor *c, const struct script *s, int64_t now_us,
                       struct buf *b)
{
    switch (c->step) {
    case EVENT_START:
        write_start(c, s, b);
        return;
    case EVENT_FUTURE:
        write_future(c, s, b);
        return;
    case EVENT_BLOCK_START:
        write_block_start(c, s, b);
        return;
    case EVENT_PING:
        append_ping(b);
        enter_deltas(c, s);
        return;
    case EVENT_DELTA:
        write_delta(c, s, now_us, b);
        return;
    case EVENT_BLOCK_STOP:
        write_block_stop(c, s, b);
        return;
    case EVENT_MESSAGE_DELTA:
        write_message_delta(c, s, b);
        return;
    case EVENT_STOP:
        append_lit(b, "event: message_stop\ndata: {\"type\":\"message_stop\"");
        append_end(c, s, b);
        c->step = EVENT_DONE;
        return;
    case EVENT_DONE:
        return;
    }
}

/* Rewrites the line ends behind `from` in the form that the directives ask for. */
static void convert_line_ends(struct buf *b, size_t from, enum line_end eol)
{
    size_t n = b->len - from, n_lines = 0;
    for (size_t i = from; i < b->len; i++)
        n_lines += b->data[i] == '\n';
    if (eol == EOL_CR) {
        for (size_t i = from; i < b->len; i++)
            if (b->data[i] == '\n')
                b->data[i] = '\r';
        return;
    }
    if (!buf_reserve(b, n_lines))
        return;
    size_t to = from + n + n_lines;
    b->len = to;
    for (size_t i = from + n; i-- > from;) { /* from the back, so that nothing is overwritten */
        b->data[--to] = b->data[i];
        if (b->data[i] == '\n')
            b->data[--to] = '\r';
    }
}

void event_write(struct event_cursor *c, const struct script *s, int64_t now_us, struct buf *b)
{
    size_t from = b->len;
    write_step(c, s, now_us, b);
    if (s->d->eol != EOL_LF && !b->failed)
        convert_line_ends(b, from, s->d->eol);
}

void event_write_ping(const struct script *s, struct buf *b)
{
    size_t from = b->len;
    append_ping(b);
    if (s->d->eol != EOL_LF && !b->failed)
        convert_line_ends(b, from, s->d->eol);
}

void event_write_error(const struct script *s, const struct sim_error *e, struct str request_id,
                       struct buf *b)
{
    size_t from = b->len;
    append_lit(b, "event: error\ndata: ");
    sim_error_write_event(b, e, request_id);
    append_lit(b, "\n\n");
    if (s->d->eol != EOL_LF && !b->failed)
        convert_line_ends(b, from, s->d->eol);
}

void event_write_garbage(struct buf *b)
{
    append_lit(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"ind\n\n"
                  "\x00\xff\xfe<html>\n\ndata: ]]]\n\n");
}

int64_t event_count_deltas(const struct script *s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->n_blocks && !s->d->whole; i++) {
        const struct script_block *block = &s->blocks[i];
        n += count_leading(block) + block_has_signature(block);
        if (!has_pieces(block))
            continue;
        for (size_t at = 0; at < block->text.n; at += script_piece(s, block, at))
            n++;
    }
    return n;
}

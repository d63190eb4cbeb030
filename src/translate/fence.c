/*
 * The fence filter, one character at a time.
 *
 * A closing fence is three backticks at the start of a line, where no JSON can have them, or at the
 * very end of the text.
 */
#include "translate/fence.h"

#define FENCE_TICKS 3

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void let_go(struct fence *f, struct buf *out)
{
    buf_append(out, f->held, f->held_bytes);
    f->held_bytes = 0;
    f->ticks = 0;
}

static void hold(struct fence *f, char c, struct buf *out)
{
    if (f->held_bytes == FENCE_HELD_MAX)
        let_go(f, out);
    f->held[f->held_bytes++] = c;
}

static void to_body(struct fence *f, bool is_line_start)
{
    f->state = FENCE_BODY;
    f->held_bytes = 0;
    f->ticks = 0;
    f->is_line_start = is_line_start;
}

static void body_char(struct fence *f, char c, struct buf *out)
{
    if (is_blank(c)) {
        if (f->ticks > 0 && f->ticks < FENCE_TICKS)
            let_go(f, out);
        hold(f, c, out);
        f->is_line_start |= c == '\n';
        return;
    }
    bool is_run = f->ticks == 0 || f->held[f->held_bytes - 1] == '`';
    if (c == '`' && f->ticks < FENCE_TICKS && is_run) {
        hold(f, c, out);
        if (++f->ticks == FENCE_TICKS && f->is_line_start)
            f->state = FENCE_CLOSED;
        return;
    }
    let_go(f, out);
    f->is_line_start = false;
    if (c == '`') {
        hold(f, c, out);
        f->ticks = 1;
    } else {
        buf_append_char(out, c);
    }
}

/* Behind the opening backticks: a word, blanks, a line end, all of it optional. */
static void info_char(struct fence *f, char c, struct buf *out)
{
    if (c == '\n') {
        to_body(f, true);
    } else if (is_blank(c)) {
        f->is_info_over = true;
    } else if (!is_word(c) || f->is_info_over) {
        to_body(f, false);
        body_char(f, c, out);
    }
}

/* False when `c` is the first character of the text and no fence. */
static bool opening_char(struct fence *f, char c, struct buf *out)
{
    if (c == '`') {
        hold(f, c, out);
        f->state = ++f->ticks == FENCE_TICKS ? FENCE_INFO : FENCE_OPENING;
        return true;
    }
    if (f->state == FENCE_LEADING && is_blank(c))
        return true;
    let_go(f, out);
    f->state = FENCE_NONE;
    return false;
}

void fence_feed(struct fence *f, struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        switch (f->state) {
        case FENCE_LEADING:
        case FENCE_OPENING:
            if (!opening_char(f, c, out))
                buf_append_char(out, c);
            break;
        case FENCE_INFO:
            info_char(f, c, out);
            break;
        case FENCE_BODY:
            body_char(f, c, out);
            break;
        case FENCE_CLOSED:
            return;
        case FENCE_NONE:
            buf_append(out, in.p + i, in.n - i);
            return;
        }
    }
}

void fence_end(struct fence *f, struct buf *out)
{
    bool is_partial = f->ticks > 0 && f->ticks < FENCE_TICKS;
    if (is_partial && (f->state == FENCE_OPENING || f->state == FENCE_BODY))
        let_go(f, out);
    f->state = FENCE_CLOSED;
}

/*
 * Reads one string out of JSON that comes in pieces. The text goes out as it was escaped, checked
 * so that every piece of it is a valid JSON string by itself; nothing is decoded.
 */
#include "translate/custom_input.h"

#include <string.h>

#include "translate/part.h"

#define REPLACEMENT "\\ufffd" /* for half of a surrogate pair */

void custom_input_init(struct custom_input *c)
{
    *c = (struct custom_input){.state = CUSTOM_INPUT_HEAD};
    buf_init(&c->head, CUSTOM_INPUT_HEAD_MAX);
}

void custom_input_done(struct custom_input *c)
{
    buf_done(&c->head);
}

/* Ready for the next call. */
static void reset(struct custom_input *c)
{
    c->state = CUSTOM_INPUT_HEAD;
    c->held_n = 0;
    buf_reset(&c->head);
}

static bool is_json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

enum match { MATCH_NO, MATCH_SO_FAR, MATCH_ALL };

/* Whether `s` begins with {"input":" and blanks in between; *ret_n: how long that is. */
static enum match match_head(struct str s, size_t *ret_n)
{
    static const char *const tokens[] = {"{", "\"input\"", ":", "\""};
    size_t at = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(tokens); i++) {
        while (at < s.n && is_json_blank(s.p[at]))
            at++;
        for (const char *c = tokens[i]; *c; c++, at++) {
            if (at == s.n)
                return MATCH_SO_FAR;
            if (s.p[at] != *c)
                return MATCH_NO;
        }
    }
    *ret_n = at;
    return MATCH_ALL;
}

/* The value of `n` hexadecimal digits; -1 when they are none. */
static int hex_of(const char *p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static void take_text(struct custom_input *c, struct str s, struct buf *out);

/* `lead` stands for what was held up to `n`; the rest is text like any other. */
static void give_up(struct custom_input *c, const char *lead, size_t n, struct buf *out)
{
    char rest[CUSTOM_INPUT_HELD_MAX];
    size_t rest_n = c->held_n - n;
    memcpy(rest, c->held + n, rest_n);
    c->held_n = 0;
    buf_append_z(out, lead);
    take_text(c, (struct str){rest, rest_n}, out);
}

static void release(struct custom_input *c, struct buf *out)
{
    buf_append(out, c->held, c->held_n);
    c->held_n = 0;
}

/* \uD83D is half a character: it waits for \uDE00. */
static void settle_pair(struct custom_input *c, struct buf *out)
{
    size_t n = c->held_n;
    bool is_pair = c->held[6] == '\\' && (n < 8 || c->held[7] == 'u') &&
                   (n < 9 || hex_of(c->held + 8, n - 8) >= 0);
    int low = n == 12 ? hex_of(c->held + 8, 4) : 0xdc00;
    if (!is_pair || low < 0xdc00 || low > 0xdfff)
        give_up(c, REPLACEMENT, 6, out);
    else if (n == 12)
        release(c, out);
}

/* A character was added to the escape that is held. */
static void settle_escape(struct custom_input *c, struct buf *out)
{
    size_t n = c->held_n;
    if (n > 6) {
        settle_pair(c, out);
        return;
    }
    if (c->held[1] != 'u') {
        if (c->held[1] && strchr("\"\\/bfnrt", c->held[1]))
            release(c, out);
        else
            give_up(c, "\\\\", 1, out); /* no escape of JSON: the backslash is meant */
        return;
    }
    int code = hex_of(c->held + 2, n - 2);
    if (code < 0)
        give_up(c, "\\\\", 1, out);
    else if (n == 6 && code >= 0xdc00 && code <= 0xdfff)
        give_up(c, REPLACEMENT, 6, out);
    else if (n == 6 && (code < 0xd800 || code > 0xdbff))
        release(c, out);
}

static void take_text(struct custom_input *c, struct str s, struct buf *out)
{
    size_t at = 0;
    while (at < s.n && c->state == CUSTOM_INPUT_TEXT) {
        if (c->held_n > 0 && (unsigned char)s.p[at] >= 0x80) {
            bool is_half = c->held_n >= 6;
            give_up(c, is_half ? REPLACEMENT : "\\\\", is_half ? 6 : 1, out);
            continue;
        }
        if (c->held_n > 0) {
            c->held[c->held_n++] = s.p[at++];
            settle_escape(c, out);
            continue;
        }
        size_t from = at;
        while (at < s.n && s.p[at] != '"' && s.p[at] != '\\')
            at++;
        if (at > from)
            piece_write(out, (struct piece){.s = {s.p + from, at - from}});
        if (at == s.n)
            return;
        if (s.p[at] == '"')
            c->state = CUSTOM_INPUT_END;
        else
            c->held[c->held_n++] = '\\';
        at++;
    }
}

static void take_head(struct custom_input *c, struct str json, struct buf *out)
{
    size_t before = c->head.len, room = CUSTOM_INPUT_HEAD_MAX - before, n;
    if (!buf_append(&c->head, json.p, json.n < room ? json.n : room)) {
        out->failed = true;
        return;
    }
    enum match match = match_head(buf_str(&c->head), &n);
    if (match == MATCH_ALL) {
        c->state = CUSTOM_INPUT_TEXT;
        take_text(c, (struct str){json.p + (n - before), json.n - (n - before)}, out);
    } else if (match == MATCH_NO || json.n > room) {
        c->state = CUSTOM_INPUT_OTHER;
        piece_write(out, (struct piece){.s = {c->head.data, before}});
        piece_write(out, (struct piece){.s = json});
    }
}

void custom_input_feed(struct custom_input *c, struct str json, struct buf *out)
{
    switch (c->state) {
    case CUSTOM_INPUT_HEAD:
        take_head(c, json, out);
        break;
    case CUSTOM_INPUT_TEXT:
        take_text(c, json, out);
        break;
    case CUSTOM_INPUT_OTHER:
        piece_write(out, (struct piece){.s = json});
        break;
    case CUSTOM_INPUT_END:
        break;
    }
}

void custom_input_end(struct custom_input *c, struct buf *out)
{
    if (c->held_n >= 6) /* the second half never came */
        buf_append_z(out, REPLACEMENT);
    reset(c);
}

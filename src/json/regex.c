/*
 * Thompson's construction, and all its threads at once over the text. A piece of program is
 * position-independent (ways are relative), so that a quantifier can repeat it by copying.
 */
#include "json/regex.h"

#include <string.h>

#define NESTING_MAX 64
#define REPEAT_MAX  1000
#define NO_CHAR     0xffffffffu

enum op_kind {
    OP_CHAR,
    OP_CLASS,
    OP_SPLIT,
    OP_JUMP,
    OP_START,
    OP_END,
    OP_EDGE,
    OP_NO_EDGE,
    OP_YES
};

struct parser {
    struct regex *re;
    struct str s;
    size_t at, depth;
    bool failed;
};

/* Characters -------------------------------------------------------------------------------- */

/* The character at *at, which moves behind it; NO_CHAR at the end. */
static uint32_t next_char(struct str s, size_t *at)
{
    if (*at >= s.n)
        return NO_CHAR;
    const unsigned char *p = (const unsigned char *)s.p + *at;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n > s.n - *at)
        n = 1;
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    *at += n;
    return c;
}

static bool is_word(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static uint32_t peek(const struct parser *p)
{
    size_t at = p->at;
    return next_char(p->s, &at);
}

static bool accept(struct parser *p, char c)
{
    if (p->at >= p->s.n || p->s.p[p->at] != c)
        return false;
    p->at++;
    return true;
}

static bool fail(struct parser *p)
{
    p->failed = true;
    return false;
}

/* Writing ----------------------------------------------------------------------------------- */

/* Room for `n` operations at `at`; what stands there moves behind them. */
static bool make_room(struct parser *p, size_t at, size_t n)
{
    struct regex *re = p->re;
    if (n > REGEX_OPS_MAX - re->n_ops)
        return fail(p);
    memmove(re->ops + at + n, re->ops + at, (re->n_ops - at) * sizeof(*re->ops));
    re->n_ops += n;
    return true;
}

static bool insert(struct parser *p, size_t at, enum op_kind kind, size_t x, size_t y)
{
    if (!make_room(p, at, 1))
        return false;
    p->re->ops[at] = (struct regex_op){.kind = (uint8_t)kind, .x = (int32_t)x, .y = (int32_t)y};
    return true;
}

static bool emit(struct parser *p, enum op_kind kind, size_t x)
{
    return insert(p, p->re->n_ops, kind, x, 0);
}

static bool emit_back(struct parser *p, enum op_kind kind, size_t back, size_t y)
{
    if (!insert(p, p->re->n_ops, kind, 0, y))
        return false;
    p->re->ops[p->re->n_ops - 1].x = -(int32_t)back;
    return true;
}

static bool emit_class(struct parser *p, size_t first, bool is_negated)
{
    if (!insert(p, p->re->n_ops, OP_CLASS, first, p->re->n_ranges - first))
        return false;
    p->re->ops[p->re->n_ops - 1].is_negated = is_negated;
    return true;
}

static bool add_range(struct parser *p, uint32_t from, uint32_t to)
{
    struct regex *re = p->re;
    if (re->n_ranges == REGEX_RANGES_MAX || from > to)
        return fail(p);
    re->ranges[re->n_ranges].from = from;
    re->ranges[re->n_ranges++].to = to;
    return true;
}

/* Ranges of \d, \w, \s, or of all others for \D, \W, \S. */
static bool add_set(struct parser *p, uint32_t letter)
{
    static const struct {
        char letter;
        uint32_t from, to;
    } sets[] = {{'d', '0', '9'},       {'w', '0', '9'},       {'w', 'A', 'Z'},
                {'w', '_', '_'},       {'w', 'a', 'z'},       {'s', 9, 13},
                {'s', ' ', ' '},       {'s', 0xa0, 0xa0},     {'s', 0x1680, 0x1680},
                {'s', 0x2000, 0x200a}, {'s', 0x2028, 0x2029}, {'s', 0x202f, 0x202f},
                {'s', 0x205f, 0x205f}, {'s', 0x3000, 0x3000}, {'s', 0xfeff, 0xfeff}};
    const bool is_rest = letter < 'a';
    uint32_t next = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(sets); i++) {
        if ((uint32_t)sets[i].letter != (letter | 0x20))
            continue;
        if (!is_rest && !add_range(p, sets[i].from, sets[i].to))
            return false;
        if (is_rest && sets[i].from > next && !add_range(p, next, sets[i].from - 1))
            return false;
        next = sets[i].to + 1;
    }
    return !is_rest || add_range(p, next, 0x10ffff);
}

static bool is_set(uint32_t c)
{
    return c == 'd' || c == 'w' || c == 's' || c == 'D' || c == 'W' || c == 'S';
}

/* Reading ----------------------------------------------------------------------------------- */

static bool read_hex(struct parser *p, size_t digits, uint32_t *ret)
{
    uint32_t v = 0;
    for (size_t i = 0; i < digits; i++) {
        uint32_t c = next_char(p->s, &p->at), low = c | 0x20;
        if (is_digit(c))
            v = v * 16 + (c - '0');
        else if (c < 0x80 && low >= 'a' && low <= 'f')
            v = v * 16 + (low - 'a' + 10);
        else
            return fail(p);
    }
    *ret = v;
    return true;
}

/* Behind "\u": four digits (two times four for the upper planes), or any in braces. */
static bool read_unicode(struct parser *p, uint32_t *ret)
{
    uint32_t low;
    if (accept(p, '{')) {
        size_t n = 0;
        while (p->at + n < p->s.n && p->s.p[p->at + n] != '}')
            n++;
        return n > 0 && n <= 6 && read_hex(p, n, ret) && accept(p, '}') && *ret <= 0x10ffff
                   ? true
                   : fail(p);
    }
    if (!read_hex(p, 4, ret))
        return false;
    if (*ret < 0xd800 || *ret > 0xdfff)
        return true;
    if (*ret > 0xdbff || !accept(p, '\\') || !accept(p, 'u') || !read_hex(p, 4, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return fail(p);
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* Behind a backslash, what is one character. */
static bool read_escape(struct parser *p, uint32_t *ret)
{
    static const char from[] = "tnvfr0", to[] = "\t\n\v\f\r";
    uint32_t c = next_char(p->s, &p->at);
    if (c == 'u')
        return read_unicode(p, ret);
    if (c == 'x')
        return read_hex(p, 2, ret);
    if (c == 'c') {
        c = next_char(p->s, &p->at);
        *ret = c & 0x1f;
        return c < 0x80 && (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? true : fail(p);
    }
    const char *known = c < 0x80 && c ? strchr(from, (int)c) : NULL;
    *ret = known ? (unsigned char)to[known - from] : c;
    if (known)
        return c != '0' || !is_digit(peek(p)) ? true : fail(p);
    return c != NO_CHAR && !is_word(c) ? true : fail(p);
}

static bool read_class_char(struct parser *p, uint32_t *ret, bool *ret_is_set)
{
    *ret_is_set = false;
    *ret = next_char(p->s, &p->at);
    if (*ret == NO_CHAR)
        return fail(p);
    if (*ret != '\\')
        return true;
    *ret = peek(p);
    if (is_set(*ret)) {
        p->at++;
        *ret_is_set = true;
        return add_set(p, *ret);
    }
    if (accept(p, 'b')) {
        *ret = '\b';
        return true;
    }
    return accept(p, '-') ? (*ret = '-', true) : read_escape(p, ret);
}

/* Behind "[". */
static bool read_class(struct parser *p)
{
    const bool is_negated = accept(p, '^');
    const size_t first = p->re->n_ranges;
    while (!accept(p, ']')) {
        uint32_t from, to;
        bool is_from_set, is_to_set;
        if (!read_class_char(p, &from, &is_from_set))
            return false;
        const bool is_range =
            p->at + 1 < p->s.n && p->s.p[p->at] == '-' && p->s.p[p->at + 1] != ']';
        if (is_range) {
            p->at++;
            if (!read_class_char(p, &to, &is_to_set) || is_from_set || is_to_set)
                return fail(p);
        } else {
            to = from;
        }
        if (!is_from_set && !add_range(p, from, to))
            return false;
    }
    return emit_class(p, first, is_negated);
}

/* Everything but line ends. */
static bool emit_any(struct parser *p)
{
    const size_t first = p->re->n_ranges;
    return add_range(p, '\n', '\n') && add_range(p, '\r', '\r') && add_range(p, 0x2028, 0x2029) &&
           emit_class(p, first, true);
}

static bool read_alternatives(struct parser *p);

static bool read_group(struct parser *p)
{
    if (accept(p, '?')) {
        if (accept(p, '<')) { /* a name, unless it is a look-behind */
            if (peek(p) == '=' || peek(p) == '!')
                return fail(p);
            while (p->at < p->s.n && is_word(peek(p)))
                p->at++;
            if (!accept(p, '>'))
                return fail(p);
        } else if (!accept(p, ':')) {
            return fail(p);
        }
    }
    if (p->depth == NESTING_MAX)
        return fail(p);
    p->depth++;
    bool is_read = read_alternatives(p) && accept(p, ')');
    p->depth--;
    return is_read ? true : fail(p);
}

static bool read_backslash(struct parser *p)
{
    const size_t first = p->re->n_ranges;
    uint32_t c = peek(p);
    if (is_set(c)) {
        p->at++;
        return add_set(p, c) && emit_class(p, first, false);
    }
    if (accept(p, 'b'))
        return emit(p, OP_EDGE, 0);
    if (accept(p, 'B'))
        return emit(p, OP_NO_EDGE, 0);
    return read_escape(p, &c) && emit(p, OP_CHAR, c);
}

static bool read_atom(struct parser *p)
{
    uint32_t c = next_char(p->s, &p->at);
    switch (c) {
    case '(':
        return read_group(p);
    case '[':
        return read_class(p);
    case '.':
        return emit_any(p);
    case '^':
        return emit(p, OP_START, 0);
    case '$':
        return emit(p, OP_END, 0);
    case '\\':
        return read_backslash(p);
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(p);
    default:
        return emit(p, OP_CHAR, c);
    }
}

/* Quantifiers ------------------------------------------------------------------------------- */

static bool read_number(struct parser *p, size_t *ret)
{
    const size_t from = p->at;
    size_t n = 0;
    while (p->at < p->s.n && is_digit(peek(p)) && n <= REPEAT_MAX)
        n = n * 10 + (peek(p) - '0'), p->at++;
    *ret = n;
    return p->at > from && n <= REPEAT_MAX;
}

/* {n}, {n,} or {n,m}; *ret_most is SIZE_MAX without an end. */
static bool read_counts(struct parser *p, size_t *ret_least, size_t *ret_most)
{
    if (!read_number(p, ret_least))
        return fail(p);
    *ret_most = *ret_least;
    if (accept(p, ',')) {
        *ret_most = SIZE_MAX;
        if (peek(p) != '}' && (!read_number(p, ret_most) || *ret_most < *ret_least))
            return fail(p);
    }
    return accept(p, '}') ? true : fail(p);
}

static bool emit_copy(struct parser *p, const struct regex_op *ops, size_t n)
{
    if (!make_room(p, p->re->n_ops, n))
        return false;
    memcpy(p->re->ops + p->re->n_ops - n, ops, n * sizeof(*ops));
    return true;
}

/* Repeats what stands from `from` on. */
static bool repeat(struct parser *p, size_t from, size_t least, size_t most)
{
    struct regex_op piece[REGEX_OPS_MAX];
    const size_t n = p->re->n_ops - from;
    memcpy(piece, p->re->ops + from, n * sizeof(*piece));
    p->re->n_ops = from;
    for (size_t i = 0; i < least; i++)
        if (!emit_copy(p, piece, n))
            return false;
    if (most == SIZE_MAX)
        return insert(p, p->re->n_ops, OP_SPLIT, 1, n + 2) && emit_copy(p, piece, n) &&
               emit_back(p, OP_JUMP, n + 1, 0);
    for (size_t i = least; i < most; i++)
        if (!insert(p, p->re->n_ops, OP_SPLIT, 1, n + 1) || !emit_copy(p, piece, n))
            return false;
    return true;
}

static bool read_quantifier(struct parser *p, size_t from)
{
    size_t least = 0, most = SIZE_MAX;
    if (accept(p, '+'))
        least = 1;
    else if (accept(p, '?'))
        most = 1;
    else if (accept(p, '{')) {
        if (!read_counts(p, &least, &most))
            return false;
    } else if (!accept(p, '*')) {
        return true;
    }
    accept(p, '?'); /* which of several matches makes no difference here */
    return repeat(p, from, least, most);
}

static bool read_sequence(struct parser *p)
{
    while (p->at < p->s.n && p->s.p[p->at] != '|' && p->s.p[p->at] != ')') {
        const size_t from = p->re->n_ops;
        if (!read_atom(p) || !read_quantifier(p, from))
            return false;
    }
    return true;
}

static bool read_alternatives(struct parser *p)
{
    const size_t from = p->re->n_ops;
    if (!read_sequence(p))
        return false;
    if (!accept(p, '|'))
        return true;
    const size_t n = p->re->n_ops - from;
    if (!insert(p, from, OP_SPLIT, 1, n + 2) || !emit(p, OP_JUMP, 0))
        return false;
    const size_t jump = p->re->n_ops - 1;
    if (p->depth == NESTING_MAX)
        return fail(p);
    p->depth++; /* one for each "|" of a row */
    bool is_read = read_alternatives(p);
    p->depth--;
    p->re->ops[jump].x = (int32_t)(p->re->n_ops - jump);
    return is_read;
}

bool regex_compile(struct regex *re, struct str pattern)
{
    struct parser p = {.re = re, .s = pattern};
    re->n_ops = re->n_ranges = 0;
    return read_alternatives(&p) && p.at == pattern.n && emit(&p, OP_YES, 0) && !p.failed;
}

/* Matching ---------------------------------------------------------------------------------- */

struct threads {
    uint16_t at[REGEX_OPS_MAX];
    size_t n;
};

struct match {
    const struct regex *re;
    struct threads now, then;
    uint32_t seen[REGEX_OPS_MAX]; /* the turn in which an operation was last reached */
    uint16_t stack[2 * REGEX_OPS_MAX + 1];
    uint32_t turn;
    uint32_t before, after; /* the characters around the place */
    size_t *steps;
};

static bool passes(const struct match *m, const struct regex_op *op)
{
    const bool is_edge =
        (m->before != NO_CHAR && is_word(m->before)) != (m->after != NO_CHAR && is_word(m->after));
    switch ((enum op_kind)op->kind) {
    case OP_START:
        return m->before == NO_CHAR;
    case OP_END:
        return m->after == NO_CHAR;
    case OP_EDGE:
        return is_edge;
    case OP_NO_EDGE:
        return !is_edge;
    case OP_CHAR:
    case OP_CLASS:
    case OP_SPLIT:
    case OP_JUMP:
    case OP_YES:
        break;
    }
    return false;
}

/* Adds what can be reached from `start` without a character. True: the end is among it. */
static bool reach(struct match *m, struct threads *list, size_t start)
{
    size_t n = 0;
    m->stack[n++] = (uint16_t)start;
    while (n > 0) {
        const uint16_t at = m->stack[--n];
        const struct regex_op *op = &m->re->ops[at];
        if (m->seen[at] == m->turn)
            continue;
        m->seen[at] = m->turn;
        *m->steps -= *m->steps > 0;
        if (op->kind == OP_YES)
            return true;
        if (op->kind == OP_CHAR || op->kind == OP_CLASS) {
            list->at[list->n++] = at;
        } else if (op->kind == OP_SPLIT || op->kind == OP_JUMP) {
            m->stack[n++] = (uint16_t)(at + op->x);
            if (op->kind == OP_SPLIT)
                m->stack[n++] = (uint16_t)(at + op->y);
        } else if (passes(m, op)) {
            m->stack[n++] = (uint16_t)(at + 1);
        }
    }
    return false;
}

static bool takes(const struct match *m, const struct regex_op *op, uint32_t c)
{
    if (op->kind == OP_CHAR)
        return (uint32_t)op->x == c;
    bool is_in = false;
    for (int32_t i = op->x; i < op->x + op->y && !is_in; i++)
        is_in = c >= m->re->ranges[i].from && c <= m->re->ranges[i].to;
    *m->steps -= *m->steps > (size_t)op->y / 4 ? (size_t)op->y / 4 : *m->steps;
    return is_in != op->is_negated;
}

bool regex_matches(const struct regex *re, struct str text, size_t *steps)
{
    struct match m = {.re = re, .before = NO_CHAR, .steps = steps};
    size_t at = 0;
    for (;;) {
        const uint32_t c = next_char(text, &at);
        /* m.now holds what the last character led to; here everything begins anew, too. */
        m.after = c;
        m.turn++;
        m.then.n = 0;
        for (size_t i = 0; i < m.now.n; i++)
            if (reach(&m, &m.then, m.now.at[i]))
                return true;
        if (reach(&m, &m.then, 0))
            return true;
        if (c == NO_CHAR || *steps == 0)
            return false;
        m.now.n = 0;
        for (size_t i = 0; i < m.then.n; i++)
            if (takes(&m, &re->ops[m.then.at[i]], c))
                m.now.at[m.now.n++] = (uint16_t)(m.then.at[i] + 1);
        m.before = c;
    }
}

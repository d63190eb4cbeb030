/*
 * The .env parser: one pass over the text, a line at a time, except where a quoted value spans
 * lines. Nothing is expanded: "$NAME" is that text.
 */
#include "config/dotenv.h"

#include <string.h>

#include "base/utf8.h"

struct parser {
    struct arena *arena;
    const char *p, *end;
    int line;
    const char *error; /* set once, at the first fault */
};

static bool fail(struct parser *s, const char *message)
{
    s->error = message;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Some frameworks put dots and dashes into names; a shared file must not stop us. */
static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static void skip_blanks(struct parser *s)
{
    while (s->p < s->end && is_blank(*s->p))
        s->p++;
}

/* At the end of the text, or at a line's end: LF or CR LF (the last LF may be missing). */
static bool at_line_end(const struct parser *s)
{
    if (s->p == s->end || *s->p == '\n')
        return true;
    return *s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n');
}

static void skip_line_end(struct parser *s)
{
    if (s->p < s->end && *s->p == '\r')
        s->p++;
    if (s->p < s->end && *s->p == '\n') {
        s->p++;
        s->line++;
    }
}

static void skip_to_line_end(struct parser *s)
{
    while (!at_line_end(s))
        s->p++;
}

/* The rest of a line behind its value: nothing, or a comment. */
static bool expect_line_end(struct parser *s)
{
    skip_blanks(s);
    if (s->p < s->end && *s->p == '#')
        skip_to_line_end(s);
    if (!at_line_end(s))
        return fail(s, "there is text behind the closing quote");
    return true;
}

static bool parse_unquoted(struct parser *s, struct str *ret)
{
    const char *from = s->p, *value_end = s->p;
    for (; !at_line_end(s); s->p++) {
        unsigned char c = (unsigned char)*s->p;
        /* A comment needs a blank in front: keys and colours may contain "#". */
        if (c == '#' && is_blank(s->p[-1])) {
            skip_to_line_end(s);
            break;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return fail(s, "a control character stands in a value without quotes");
        if (!is_blank(*s->p))
            value_end = s->p + 1;
    }
    *ret = (struct str){from, (size_t)(value_end - from)};
    return true;
}

/* Up to the next single quote, as it stands. */
static bool parse_single_quoted(struct parser *s, struct str *ret)
{
    const char *from = ++s->p;
    const char *quote = memchr(from, '\'', (size_t)(s->end - from));
    if (!quote)
        return fail(s, "the single quote is never closed");
    for (; s->p < quote; s->p++)
        if (*s->p == '\n')
            s->line++;
    s->p++;
    *ret = (struct str){from, (size_t)(quote - from)};
    return expect_line_end(s);
}

/* The character that backslash and `c` stand for; '\0' when they stand for themselves. */
static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '"':
    case '\\':
    case '$':
        return c;
    default:
        return '\0';
    }
}

static bool parse_double_quoted(struct parser *s, struct str *ret)
{
    const char *from = ++s->p;
    size_t left = (size_t)(s->end - from), n_quoted = 0;
    while (n_quoted < left && from[n_quoted] != '"')
        n_quoted += from[n_quoted] == '\\' ? 2 : 1;
    if (n_quoted >= left)
        return fail(s, "the double quote is never closed");
    const char *quote = from + n_quoted;
    char *to = arena_alloc(s->arena, n_quoted + 1);
    if (!to)
        return fail(s, "out of memory");
    size_t n = 0;
    while (s->p < quote) {
        char c = *s->p, meant = c == '\\' ? escaped(s->p[1]) : '\0';
        if (meant) {
            to[n++] = meant;
            s->p += 2;
            continue;
        }
        if (c == '\n')
            s->line++;
        /* A line end inside quotes is one LF, whatever the editor wrote. */
        if (!(c == '\r' && s->p[1] == '\n'))
            to[n++] = c;
        s->p++;
    }
    s->p = quote + 1;
    *ret = (struct str){to, n};
    return expect_line_end(s);
}

static bool parse_value(struct parser *s, struct str *ret)
{
    skip_blanks(s);
    if (s->p < s->end && *s->p == '\'')
        return parse_single_quoted(s, ret);
    if (s->p < s->end && *s->p == '"')
        return parse_double_quoted(s, ret);
    return parse_unquoted(s, ret);
}

static struct str take_name(struct parser *s)
{
    const char *from = s->p;
    while (s->p < s->end && is_name_char(*s->p))
        s->p++;
    return (struct str){from, (size_t)(s->p - from)};
}

/* NAME = value, with the blanks and the `export` that may stand around them. */
static bool parse_pair(struct parser *s, struct str *ret_name, struct str *ret_value)
{
    struct str name = take_name(s);
    if (str_eq(name, STR("export")) && s->p < s->end && is_blank(*s->p)) {
        skip_blanks(s);
        if (s->p < s->end && is_name_char(*s->p))
            name = take_name(s);
    }
    if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9'))
        return fail(s, "a name must begin with a letter or an underscore");
    skip_blanks(s);
    if (s->p == s->end || *s->p != '=')
        return fail(s, "there is no \"=\" behind the name");
    s->p++;
    *ret_name = name;
    return parse_value(s, ret_value);
}

/* The number of the first line that is no text, or 0. UTF-8 never has an LF inside a character. */
static int find_binary_line(struct str text)
{
    struct str rest = text, part;
    for (int line = 1; str_split(&rest, '\n', &part); line++)
        if (memchr(part.p, '\0', part.n) || !utf8_is_valid(part))
            return line;
    return 0;
}

bool dotenv_parse(struct arena *arena, struct str text,
                  void (*each)(void *arg, struct str name, struct str value, int line), void *arg,
                  struct dotenv_error *err)
{
    if (text.n > DOTENV_BYTES_MAX) {
        *err = (struct dotenv_error){1, "the file is larger than 1 MB"};
        return false;
    }
    int binary_line = find_binary_line(text);
    if (binary_line) {
        *err = (struct dotenv_error){binary_line, "this is not UTF-8 text"};
        return false;
    }
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = (struct str){text.p + 3, text.n - 3};
    struct parser s = {.arena = arena, .p = text.p, .end = text.p + text.n, .line = 1};
    while (s.p < s.end) {
        skip_blanks(&s);
        if (s.p < s.end && *s.p == '#')
            skip_to_line_end(&s);
        if (!at_line_end(&s)) {
            struct str name, value;
            int line = s.line;
            if (!parse_pair(&s, &name, &value)) {
                *err = (struct dotenv_error){line, s.error};
                return false;
            }
            each(arg, name, value, line);
        }
        skip_line_end(&s);
    }
    return true;
}

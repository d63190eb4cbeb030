/*
 * One table of names and kinds; a parser for each kind.
 */
#include "sim/directive.h"

#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum kind {
    KIND_FLAG,
    KIND_COUNT,
    KIND_DURATION,
    KIND_TEXT,
    KIND_PLACE,
    KIND_CHOICE, /* one of `choices`, stored as its index plus `base` */
    KIND_BLOCKS,
    KIND_EXACT_TEXT, /* text, and remember that it was given, for it may be empty */
};

struct entry {
    const char *name;
    enum kind kind;
    size_t offset;
    int64_t max;         /* counts */
    const char *choices; /* space-separated */
};

#define AT(member) offsetof(struct directives, member)
#define COUNT_MAX  1000000000

static const struct entry entries[] = {
    {"text", KIND_EXACT_TEXT, AT(text), 0, NULL},
    {"words", KIND_COUNT, AT(words), DIRECTIVE_WORDS_MAX, NULL},
    {"tokens", KIND_COUNT, AT(tokens), DIRECTIVE_WORDS_MAX, NULL},
    {"piece", KIND_COUNT, AT(piece), COUNT_MAX, NULL},
    {"fence", KIND_FLAG, AT(fence), 0, NULL},
    {"json", KIND_FLAG, AT(json), 0, NULL},
    {"blocks", KIND_BLOCKS, AT(blocks), 0, NULL},
    {"think", KIND_CHOICE, AT(think), 0, "unset none signature omitted text"},
    {"citation", KIND_CHOICE, AT(citation), 0, "web chars pages blocks result"},
    {"unknown", KIND_FLAG, AT(unknown), 0, NULL},
    {"then", KIND_TEXT, AT(then), 0, NULL},
    {"tool", KIND_TEXT, AT(tool), 0, NULL},
    {"args", KIND_TEXT, AT(args), 0, NULL},
    {"calls", KIND_COUNT, AT(calls), DIRECTIVE_BLOCKS_MAX, NULL},
    {"loop", KIND_COUNT, AT(loop), 1000, NULL},
    {"stop", KIND_TEXT, AT(stop), 0, NULL},
    {"pauses", KIND_COUNT, AT(pauses), DIRECTIVE_BLOCKS_MAX, NULL},
    {"sequence", KIND_TEXT, AT(sequence), 0, NULL},
    {"category", KIND_TEXT, AT(category), 0, NULL},
    {"explanation", KIND_TEXT, AT(explanation), 0, NULL},
    {"first", KIND_DURATION, AT(first_us), 0, NULL},
    {"lull", KIND_DURATION, AT(lull_us), 0, NULL},
    {"gap", KIND_DURATION, AT(gap_us), 0, NULL},
    {"ping_every", KIND_DURATION, AT(ping_us), 0, NULL},
    {"input", KIND_COUNT, AT(input), COUNT_MAX, NULL},
    {"output", KIND_COUNT, AT(output), COUNT_MAX, NULL},
    {"cached", KIND_COUNT, AT(cached), COUNT_MAX, NULL},
    {"cache_write", KIND_COUNT, AT(cache_write), COUNT_MAX, NULL},
    {"delta_input", KIND_COUNT, AT(delta_input), COUNT_MAX, NULL},
    {"usage", KIND_CHOICE, AT(usage), 0, "full short"},
    {"pings", KIND_COUNT, AT(pings), COUNT_MAX, NULL},
    {"split", KIND_COUNT, AT(split), COUNT_MAX, NULL},
    {"deltas", KIND_COUNT, AT(deltas), 10, NULL},
    {"starts", KIND_COUNT, AT(starts), 10, NULL},
    {"nopad", KIND_FLAG, AT(no_padding), 0, NULL},
    {"stamp", KIND_FLAG, AT(stamp), 0, NULL},
    {"whole", KIND_FLAG, AT(whole), 0, NULL},
    {"eol", KIND_CHOICE, AT(eol), 0, "lf crlf cr"},
    {"status", KIND_COUNT, AT(status), 599, NULL},
    {"body", KIND_CHOICE, AT(body), 0, "json html empty garbage"},
    {"message", KIND_TEXT, AT(message), 0, NULL},
    {"type", KIND_TEXT, AT(type), 0, NULL},
    {"details", KIND_TEXT, AT(details), 0, NULL},
    {"error", KIND_TEXT, AT(error), 0, NULL},
    {"refuse", KIND_TEXT, AT(refuse), 0, NULL},
    {"after", KIND_PLACE, AT(after), 0, NULL},
    {"cut", KIND_PLACE, AT(cut), 0, NULL},
    {"cut_bytes", KIND_COUNT, AT(cut_bytes), COUNT_MAX, NULL},
    {"stall", KIND_PLACE, AT(stall), 0, NULL},
    {"stall_for", KIND_DURATION, AT(stall_us), 0, NULL},
    {"end", KIND_PLACE, AT(end), 0, NULL},
    {"garbage", KIND_PLACE, AT(garbage), 0, NULL},
    {"retry_after", KIND_COUNT, AT(retry_after), COUNT_MAX, NULL},
    {"remaining", KIND_COUNT, AT(remaining), COUNT_MAX, NULL},
    {"no_rate_limits", KIND_FLAG, AT(no_rate_limits), 0, NULL},
    {"no_request_id", KIND_FLAG, AT(no_request_id), 0, NULL},
};

size_t directives_count(void)
{
    return PX_ARRAY_LEN(entries);
}

const char *directives_name(size_t i)
{
    return entries[i].name;
}

void directives_init(struct directives *d)
{
    *d = (struct directives){
        .words = -1, .tokens = -1, .piece = -1, .calls = 1, .loop = -1, .pauses = 1};
    d->input = d->output = d->cached = d->cache_write = d->delta_input = -1;
    d->pings = -1;
    d->deltas = d->starts = 1;
    d->after = PLACE_START;
    d->cut = d->stall = d->end = d->garbage = PLACE_NEVER;
    d->cut_bytes = d->retry_after = d->remaining = -1;
}

/* Index of `s` in a space-separated list, -1 when it is not there. */
static int choice_index(const char *choices, struct str s)
{
    struct str rest = str_of(choices), part;
    for (int i = 0; str_split(&rest, ' ', &part); i++)
        if (str_eq(part, s))
            return i;
    return -1;
}

static bool parse_duration(struct str s, int64_t *ret_us)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {
        {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"", 1000}}; /* "s" is the end of the others */
    for (size_t i = 0; i < PX_ARRAY_LEN(units); i++) {
        struct str unit = str_of(units[i].unit);
        uint64_t n;
        if (!str_ends(s, unit))
            continue;
        if (!str_to_u64((struct str){s.p, s.n - unit.n}, &n) || n > COUNT_MAX)
            return false;
        *ret_us = (int64_t)n * units[i].us;
        return true;
    }
    return false;
}

static bool parse_place(struct str s, int64_t *ret)
{
    uint64_t n;
    if (str_eq(s, STR("head")))
        *ret = PLACE_HEAD;
    else if (str_eq(s, STR("start")))
        *ret = PLACE_START;
    else if (str_to_u64(s, &n) && n <= COUNT_MAX)
        *ret = (int64_t)n;
    else
        return false;
    return true;
}

static bool parse_blocks(struct directives *d, struct str s)
{
    d->n_blocks = 0;
    d->has_blocks = true;
    if (str_eq(s, STR("none")))
        return true;
    for (struct str part; str_split(&s, ',', &part);) {
        enum block_kind kind = block_find(part);
        if (kind == BLOCK_KINDS || d->n_blocks == DIRECTIVE_BLOCKS_MAX)
            return false;
        d->blocks[d->n_blocks++] = kind;
    }
    return true;
}

static bool store(struct directives *d, const struct entry *e, struct str value)
{
    void *to = (char *)d + e->offset;
    uint64_t n;
    switch (e->kind) {
    case KIND_FLAG:
        if (!str_to_u64(value, &n) || n > 1)
            return false;
        *(bool *)to = n == 1;
        return true;
    case KIND_COUNT:
        if (!str_to_u64(value, &n) || n > (uint64_t)e->max)
            return false;
        *(int64_t *)to = (int64_t)n;
        return true;
    case KIND_DURATION:
        return parse_duration(value, to);
    case KIND_EXACT_TEXT:
        d->has_text = true;
        *(struct str *)to = value;
        return true;
    case KIND_TEXT:
        *(struct str *)to = value;
        return true;
    case KIND_PLACE:
        return parse_place(value, to);
    case KIND_CHOICE: {
        int i = choice_index(e->choices, value);
        if (i >= 0)
            *(unsigned *)to = (unsigned)i; /* every such member is an enum without negatives */
        return i >= 0;
    }
    case KIND_BLOCKS:
        return parse_blocks(d, value);
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * A value at s[*at]: up to the next blank, or in double quotes with \n, \t, \" and \\.
 * .p is NULL when the quotes do not end or memory ran out.
 */
static struct str read_value(struct str s, size_t *at, struct arena *a)
{
    size_t i = *at;
    if (i == s.n || s.p[i] != '"') {
        while (i < s.n && !is_blank(s.p[i]))
            i++;
        struct str plain = {s.p + *at, i - *at};
        *at = i;
        return arena_strdup(a, plain);
    }
    char *to = arena_alloc(a, s.n - i);
    size_t n = 0;
    if (!to)
        return (struct str){0};
    for (i++; i < s.n && s.p[i] != '"'; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[n++] = c;
    }
    if (i >= s.n)
        return (struct str){0};
    *at = i + 1;
    return (struct str){to, n};
}

bool directives_parse(struct directives *d, struct str s, struct arena *a, struct sim_error *err)
{
    for (size_t i = 0;;) {
        while (i < s.n && is_blank(s.p[i]))
            i++;
        if (i == s.n)
            return true;
        size_t from = i;
        while (i < s.n && s.p[i] != '=' && !is_blank(s.p[i]))
            i++;
        struct str name = {s.p + from, i - from};
        const struct entry *e = NULL;
        for (size_t k = 0; k < PX_ARRAY_LEN(entries); k++)
            if (str_eq(name, str_of(entries[k].name)))
                e = &entries[k];
        name = utf8_cut(name, 40);
        if (!e)
            return sim_error_bad(err, a, "sim: unknown directive `%.*s`", STR_ARG(name));
        struct str value = STR("1"); /* a bare name switches a flag on */
        if (i < s.n && s.p[i] == '=') {
            i++;
            value = read_value(s, &i, a);
        } else if (e->kind != KIND_FLAG) {
            value.p = NULL;
        }
        if (!value.p || !store(d, e, value))
            return sim_error_bad(err, a, "sim: bad value for directive `%s`", e->name);
    }
}

/* Offset of the "]]" that ends a directive which began before `from`, not one inside quotes. */
static size_t find_close(struct str s, size_t from)
{
    bool in_quotes = false;
    for (size_t i = from; i + 1 < s.n; i++) {
        if (s.p[i] == '\\' && in_quotes)
            i++;
        else if (s.p[i] == '"')
            in_quotes = !in_quotes;
        else if (!in_quotes && s.p[i] == ']' && s.p[i + 1] == ']')
            return i;
    }
    return s.n;
}

bool directives_take(struct directives *d, struct str prompt, struct arena *a,
                     struct sim_error *err, struct str *ret_rest)
{
    static const struct str opening = {"[[sim:", 6};
    if (str_find(prompt, opening) < 0) {
        *ret_rest = str_trim(prompt);
        return true;
    }
    char *rest = arena_alloc(a, prompt.n);
    size_t n = 0;
    if (!rest)
        return sim_error_set(err, a, 500, "sim: out of memory");
    for (ptrdiff_t at; (at = str_find(prompt, opening)) >= 0;) {
        size_t from = (size_t)at + opening.n;
        size_t close = find_close(prompt, from);
        if (close == prompt.n)
            return sim_error_bad(err, a, "sim: a directive does not end with ]]");
        if (!directives_parse(d, (struct str){prompt.p + from, close - from}, a, err))
            return false;
        memcpy(rest + n, prompt.p, (size_t)at);
        n += (size_t)at;
        prompt = (struct str){prompt.p + close + 2, prompt.n - close - 2};
    }
    if (prompt.n)
        memcpy(rest + n, prompt.p, prompt.n);
    *ret_rest = str_trim((struct str){rest, n + prompt.n});
    return true;
}

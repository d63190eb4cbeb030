/*
 * JSON on yyjson: bounded parsing, reading numbers kept as text, writing.
 */
#include "json/json.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/spliced.h"
#include "base/utf8.h"

/*
 * Up to this size it is parsed first: with few values, as the parser counts them, a document cannot
 * be deep. Longer ones may take much memory and are looked at before.
 */
#define SHORT_BYTES_MAX 65536
/* Of larger objects the members must come in the same order: the search is quadratic. */
#define SEARCHED_MEMBERS_MAX 256
/* Of a long string, looked at in one go. */
#define PIECE_BYTES 256

/* Sixteen bytes at a time, with what every compiler for every processor has. */
typedef unsigned char bytes16 __attribute__((vector_size(16)));
typedef signed char chars16 __attribute__((vector_size(16)));

/* Whether a string of them is ASCII without escapes. */
static bool is_plain(const char *p, size_t n)
{
    size_t i = 0;
    for (bytes16 special = {0}; n - i >= PIECE_BYTES;) {
        for (const size_t end = i + PIECE_BYTES; i < end; i += sizeof(chars16)) {
            chars16 v;
            memcpy(&v, p + i, sizeof(v));
            special |= (bytes16)((v < 0x20) | (v == '\\'));
        }
        uint64_t half[2];
        memcpy(half, &special, sizeof(half));
        if (half[0] | half[1])
            return false;
    }
    while (i < n && (signed char)p[i] >= 0x20 && p[i] != '\\')
        i++;
    return i == n;
}

/* Offset of the quote that ends the string beginning at `i`; s.n when there is none. */
static size_t string_end(struct str s, size_t i)
{
    for (;;) {
        const char *quote = memchr(s.p + i, '"', s.n - i);
        if (!quote)
            return s.n;
        size_t at = (size_t)(quote - s.p), slashes = 0;
        while (at - slashes > i && s.p[at - slashes - 1] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return at;
        i = at + 1;
    }
}

/* A text without its long strings: each is empty in what the parser is shown. */
struct cut {
    size_t min;         /* bytes of a long string */
    struct buf own;     /* what is left, up to `from` */
    struct buf splices; /* struct splice */
    size_t from;
};

/* Leaves out the string s.p[from..end), if the parser would find nothing in it. False without
 * memory. Rare, and so kept out of the scan's loop. */
__attribute__((noinline)) static bool cut_string(struct cut *cut, struct str s, size_t from,
                                                 size_t end)
{
    if (end == s.n || !is_plain(s.p + from, end - from))
        return true;
    buf_append(&cut->own, s.p + cut->from, from - cut->from);
    const struct splice splice = {cut->own.len, {s.p + from, end - from}};
    cut->from = end;
    return buf_append(&cut->splices, &splice, sizeof(splice)) && !cut->own.failed;
}

static bool fail(struct json_error *err, size_t offset, const char *message)
{
    *err = (struct json_error){offset, message, false};
    return false;
}

static bool fail_memory(struct json_error *err)
{
    *err = (struct json_error){0, "out of memory", true};
    return false;
}

/*
 * Whether the document keeps the limits on depth and number of values; cuts it. A scan, so that a
 * hostile one costs no memory; text that is not JSON is left to the parser, which sees of it what
 * is in front of the first fault, but for strings without one.
 */
static bool scan(struct str s, struct cut *cut, struct json_error *err)
{
    const size_t min = cut->min;
    size_t depth = 0, values = 1, end;
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '"':
            end = string_end(s, i + 1);
            if (end - i > min && !cut_string(cut, s, i + 1, end))
                return fail_memory(err);
            i = end;
            break;
        case '[':
        case '{':
            values++;
            if (++depth > JSON_DEPTH_MAX)
                return fail(err, i, "the document is nested too deeply");
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case ',':
        case ':':
            if (++values > JSON_VALUES_MAX)
                return fail(err, i, "the document holds too many values");
            break;
        default:
            break;
        }
    }
    return cut->from == 0 || buf_append(&cut->own, s.p + cut->from, s.n - cut->from) ||
           fail_memory(err);
}

static bool is_within_limits(struct str text, struct json_error *err)
{
    struct cut none = {.min = SIZE_MAX};
    return scan(text, &none, err);
}

static yyjson_doc *parse(struct str text, struct json_error *err)
{
    yyjson_read_err e = {0};
    /* yyjson takes a non-const pointer but writes only with YYJSON_READ_INSITU. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &e);
    if (!doc)
        *err = (struct json_error){e.pos, e.msg ? e.msg : "invalid JSON",
                                   e.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION};
    return doc;
}

static bool has_few_values(yyjson_doc *doc)
{
    return doc && yyjson_doc_get_val_count(doc) <= JSON_DEPTH_MAX;
}

yyjson_doc *json_parse(struct str text, struct json_error *err)
{
    const bool is_short = text.n <= SHORT_BYTES_MAX;
    if (!is_short && !is_within_limits(text, err))
        return NULL;
    yyjson_doc *doc = parse(text, err);
    if (!is_short || has_few_values(doc) || is_within_limits(text, err))
        return doc;
    yyjson_doc_free(doc);
    return NULL;
}

/*
 * The parser reads strings in place in its copy of the text and keeps values in the order of the
 * text: so each empty string that stands where one was cut out is found again.
 */
static void put_back(yyjson_doc *doc, const struct splice *splices, size_t n)
{
    yyjson_val *v = doc->root;
    for (size_t i = 0, left = doc->val_read; i < n && left > 0; v++, left--) {
        if (yyjson_is_str(v) && yyjson_get_str(v) == doc->str_pool + splices[i].at) {
            yyjson_set_strn(v, splices[i].text.p, splices[i].text.n);
            i++;
        }
    }
}

static yyjson_doc *parse_cut(const struct cut *cut, struct json_error *err)
{
    const struct splice *splices = (const struct splice *)(const void *)cut->splices.data;
    const size_t n = cut->splices.len / sizeof(*splices);
    yyjson_doc *doc = parse(buf_str(&cut->own), err);
    if (doc) {
        put_back(doc, splices, n);
        return doc;
    }
    const size_t offset = err->offset;
    for (size_t i = 0; i < n && splices[i].at < offset; i++)
        err->offset += splices[i].text.n;
    return NULL;
}

yyjson_doc *json_parse_in_place(struct str text, size_t long_bytes_min, struct json_error *err)
{
    if (long_bytes_min == 0 || text.n < long_bytes_min)
        return json_parse(text, err);
    struct cut cut = {.min = long_bytes_min};
    buf_init(&cut.own, text.n);
    buf_init(&cut.splices, text.n / (long_bytes_min + 1) * sizeof(struct splice));
    yyjson_doc *doc = NULL;
    if (scan(text, &cut, err))
        doc = cut.from ? parse_cut(&cut, err) : parse(text, err);
    buf_done(&cut.own);
    buf_done(&cut.splices);
    return doc;
}

struct str json_str(yyjson_val *v)
{
    if (!yyjson_is_str(v))
        return (struct str){0};
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

yyjson_val *json_get_n(yyjson_val *obj, struct str name)
{
    yyjson_val *last = NULL;
    if (!yyjson_is_obj(obj)) /* the loop would step from a null pointer */
        return NULL;
    yyjson_val *key = unsafe_yyjson_get_first(obj);
    for (size_t left = unsafe_yyjson_get_len(obj); left > 0; left--) {
        if (unsafe_yyjson_equals_strn(key, name.p, name.n)) /* a key is always a string */
            last = key + 1;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return yyjson_is_null(last) ? NULL : last;
}

bool json_is_number(yyjson_val *v)
{
    return yyjson_is_raw(v) || yyjson_is_num(v);
}

struct str json_number_text(yyjson_val *v)
{
    if (!yyjson_is_raw(v))
        return (struct str){0};
    return (struct str){yyjson_get_raw(v), yyjson_get_len(v)};
}

bool json_to_double(yyjson_val *v, double *ret)
{
    return str_to_double(json_number_text(v), ret);
}

bool json_to_int(yyjson_val *v, int64_t *ret)
{
    struct str s = json_number_text(v);
    if (s.n == 0)
        return false;
    bool is_negative = s.n && s.p[0] == '-';
    uint64_t magnitude;
    if (str_to_u64((struct str){s.p + is_negative, s.n - is_negative}, &magnitude)) {
        if (magnitude > (uint64_t)INT64_MAX)
            return false;
        *ret = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
        return true;
    }
    double d; /* "1.0" and "1e3" are integers too, as far as a double holds them exactly */
    if (!str_to_double(s, &d) || d != floor(d) || fabs(d) > 9007199254740992.0)
        return false;
    *ret = (int64_t)d;
    return true;
}

static bool is_same_number(yyjson_val *a, yyjson_val *b)
{
    double x, y;
    return str_eq(json_number_text(a), json_number_text(b)) ||
           (json_to_double(a, &x) && json_to_double(b, &y) && !(x < y) && !(x > y));
}

static bool is_same_array(yyjson_val *a, yyjson_val *b)
{
    yyjson_arr_iter ia = yyjson_arr_iter_with(a), ib = yyjson_arr_iter_with(b);
    yyjson_val *x;
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    while ((x = yyjson_arr_iter_next(&ia)) != NULL)
        if (!json_is_same(x, yyjson_arr_iter_next(&ib)))
            return false;
    return true;
}

/* Members are mostly in the same order: a search is needed for those that are not. */
static bool is_same_object(yyjson_val *a, yyjson_val *b)
{
    yyjson_obj_iter ia = yyjson_obj_iter_with(a), ib = yyjson_obj_iter_with(b);
    yyjson_val *key;
    bool may_search = yyjson_obj_size(a) <= SEARCHED_MEMBERS_MAX;
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return false;
    while ((key = yyjson_obj_iter_next(&ia)) != NULL) {
        yyjson_val *other = yyjson_obj_iter_next(&ib), *v = NULL;
        if (str_eq(json_str(key), json_str(other)))
            v = yyjson_obj_iter_get_val(other);
        else if (may_search)
            v = yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key));
        if (!v || !json_is_same(yyjson_obj_iter_get_val(key), v))
            return false;
    }
    return true;
}

bool json_is_same(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_obj(a) && yyjson_is_obj(b))
        return is_same_object(a, b);
    if (yyjson_is_arr(a) && yyjson_is_arr(b))
        return is_same_array(a, b);
    if (yyjson_is_str(a) && yyjson_is_str(b))
        return str_eq(json_str(a), json_str(b));
    if (json_is_number(a) && json_is_number(b))
        return is_same_number(a, b);
    return (yyjson_is_null(a) && yyjson_is_null(b)) ||
           (yyjson_is_bool(a) && yyjson_is_bool(b) && yyjson_get_bool(a) == yyjson_get_bool(b));
}

/* How a byte is written in a string: 0 as it is, else what stands behind the backslash. */
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',           'n', 'u',
    'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static char *write_escape(char *to, char escape, char c)
{
    *to++ = '\\';
    *to++ = escape;
    if (escape != 'u')
        return to;
    *to++ = '0';
    *to++ = '0';
    *to++ = c & 0x10 ? '1' : '0';
    *to++ = "0123456789abcdef"[c & 0xf];
    return to;
}

/* Copies sixteen bytes; the number of those in front of the first that needs an escape. */
static inline size_t copy_plain(char *to, const char *from)
{
    bytes16 v;
    memcpy(&v, from, sizeof(v));
    memcpy(to, &v, sizeof(v));
    const bytes16 hits = (bytes16)((v < 0x20) | (v == '"') | (v == '\\'));
    uint64_t half[2];
    memcpy(half, &hits, sizeof(half));
    if (!(half[0] | half[1]))
        return sizeof(v);
    return half[0] ? (size_t)__builtin_ctzll(le64toh(half[0])) / 8
                   : 8 + (size_t)__builtin_ctzll(le64toh(half[1])) / 8;
}

/* What stands between the quotes. Escapes are few: room for each is made when it comes. */
static bool write_inside(struct buf *b, struct str s)
{
    size_t i = 0;
    char *to = buf_reserve(b, s.n);
    if (!to)
        return false;
    for (;;) {
        for (size_t n = 16; n == 16 && s.n - i >= 16; i += n, to += n)
            n = copy_plain(to, s.p + i);
        while (i < s.n && !escapes[(unsigned char)s.p[i]])
            *to++ = s.p[i++];
        b->len = (size_t)(to - b->data);
        if (i == s.n)
            return true;
        const char escape = escapes[(unsigned char)s.p[i]];
        to = buf_reserve(b, (escape == 'u' ? 6 : 2) + s.n - i - 1);
        if (!to)
            return false;
        to = write_escape(to, escape, s.p[i++]);
    }
}

static void write_replaced(struct buf *b, struct str s)
{
    /* Character by character: rare, only for text that is not UTF-8. */
    for (size_t i = 0; i < s.n;) {
        size_t n = 1;
        while (n < 4 && i + n < s.n && !utf8_is_valid((struct str){s.p + i, n}))
            n++;
        if (!utf8_is_valid((struct str){s.p + i, n})) {
            buf_append_z(b, "\xef\xbf\xbd");
            i++;
        } else {
            write_inside(b, (struct str){s.p + i, n});
            i += n;
        }
    }
}

bool json_write_text(struct buf *b, struct str s)
{
    buf_append_char(b, '"');
    write_inside(b, s);
    buf_append_char(b, '"');
    return !b->failed;
}

bool json_write_string(struct buf *b, struct str s)
{
    if (utf8_is_valid(s))
        return json_write_text(b, s);
    buf_append_char(b, '"');
    write_replaced(b, s);
    buf_append_char(b, '"');
    return !b->failed;
}

static void write_members(struct buf *b, yyjson_val *v)
{
    size_t i, max;
    yyjson_val *key, *item;
    if (yyjson_is_obj(v)) {
        buf_append_char(b, '{');
        yyjson_obj_foreach(v, i, max, key, item)
        {
            if (i)
                buf_append_char(b, ',');
            json_write_text(b, json_str(key));
            buf_append_char(b, ':');
            json_write_value(b, item);
        }
        buf_append_char(b, '}');
        return;
    }
    buf_append_char(b, '[');
    yyjson_arr_foreach(v, i, max, item)
    {
        if (i)
            buf_append_char(b, ',');
        json_write_value(b, item);
    }
    buf_append_char(b, ']');
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
bool json_write_value(struct buf *b, yyjson_val *v)
{
    if (yyjson_is_str(v))
        json_write_text(b, json_str(v));
    else if (yyjson_is_raw(v))
        buf_append_str(b, json_number_text(v));
    else if (yyjson_is_bool(v))
        buf_append_z(b, yyjson_get_bool(v) ? "true" : "false");
    else if (yyjson_is_ctn(v))
        write_members(b, v);
    else
        buf_append_z(b, "null");
    return !b->failed;
}

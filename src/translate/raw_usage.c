/*
 * The upstream's own usage objects, kept as they come. Several messages make one answer where the
 * upstream paused or the client asked for several choices: their numbers are added, lists joined.
 */
#include "translate/usage.h"

#include <inttypes.h>

#define RAW_BYTES_MAX (64u << 10)
/* Deeper than this the last message's value stands. */
#define SUM_DEPTH_MAX 4
/* Of one object; each is looked for in the other. */
#define MEMBERS_MAX 64

static bool is_count(int64_t n)
{
    return n >= 0 && n <= USAGE_TOKENS_MAX;
}

void raw_usage_init(struct raw_usage *r, bool is_on)
{
    *r = (struct raw_usage){.is_on = is_on};
    buf_init(&r->before, RAW_BYTES_MAX);
    buf_init(&r->now, RAW_BYTES_MAX);
}

void raw_usage_done(struct raw_usage *r)
{
    buf_done(&r->before);
    buf_done(&r->now);
}

/* What the value of one key is in both together; `b` is NULL where it says nothing. */
typedef void write_both(struct buf *out, yyjson_val *a, yyjson_val *b, int depth);

static void open_member(struct buf *out, bool *is_open, yyjson_val *key)
{
    buf_append_char(out, *is_open ? ',' : '{');
    *is_open = true;
    json_write_text(out, json_str(key));
    buf_append_char(out, ':');
}

/* An object with the members of both, in the order of `a`. */
static void write_union(struct buf *out, yyjson_val *a, yyjson_val *b, write_both *write, int depth)
{
    size_t i, n;
    yyjson_val *key, *v;
    bool is_open = false;
    yyjson_obj_foreach(a, i, n, key, v)
    {
        open_member(out, &is_open, key);
        write(out, v, json_get_n(b, json_str(key)), depth);
    }
    yyjson_obj_foreach(b, i, n, key, v)
    {
        if (yyjson_obj_getn(a, json_str(key).p, json_str(key).n))
            continue;
        open_member(out, &is_open, key);
        json_write_value(out, v);
    }
    buf_append_z(out, is_open ? "}" : "{}");
}

static void write_later(struct buf *out, yyjson_val *a, yyjson_val *b, int depth)
{
    (void)depth;
    json_write_value(out, b ? b : a);
}

static void write_list(struct buf *out, yyjson_val *a, yyjson_val *b)
{
    yyjson_val *const lists[] = {a, b};
    const char *opening = "";
    buf_append_char(out, '[');
    for (size_t k = 0; k < PX_ARRAY_LEN(lists); k++) {
        size_t i, n;
        yyjson_val *v;
        yyjson_arr_foreach(lists[k], i, n, v)
        {
            buf_append_z(out, opening);
            json_write_value(out, v);
            opening = ",";
        }
    }
    buf_append_char(out, ']');
}

static bool is_small(yyjson_val *v)
{
    return yyjson_is_obj(v) && yyjson_obj_size(v) <= MEMBERS_MAX;
}

static void write_sum(struct buf *out, yyjson_val *a, yyjson_val *b, int depth)
{
    int64_t x, y;
    if (json_to_int(a, &x) && json_to_int(b, &y) && is_count(x) && is_count(y))
        buf_printf(out, "%" PRId64, x + y);
    else if (is_small(a) && is_small(b) && depth < SUM_DEPTH_MAX)
        write_union(out, a, b, write_sum, depth + 1);
    else if (yyjson_is_arr(a) && yyjson_is_arr(b))
        write_list(out, a, b);
    else
        write_later(out, a, b, depth);
}

/* Whether it failed for want of memory, and not because there is too much to tell. */
static bool is_without_memory(const struct buf *b)
{
    return b->failed && b->len < RAW_BYTES_MAX / 2;
}

/* What does not fit is not told at all: half of it would be wrong. */
static void replace(struct raw_usage *r, struct buf *kept, yyjson_val *a, yyjson_val *b,
                    write_both *write)
{
    struct buf both;
    buf_init(&both, RAW_BYTES_MAX);
    const bool is_told = is_small(a) && is_small(b);
    if (is_told)
        write_union(&both, a, b, write, 0);
    r->has_no_memory |= is_without_memory(&both);
    both.failed |= !is_told;
    buf_done(kept);
    *kept = both;
}

static yyjson_doc *parse(struct raw_usage *r, struct str json)
{
    struct json_error err = {0};
    yyjson_doc *doc = json_parse(json, &err);
    r->has_no_memory |= err.is_memory;
    return doc;
}

/* `more` with what is kept. */
static void combine(struct raw_usage *r, struct buf *kept, yyjson_val *more, write_both *write)
{
    if (kept->failed)
        return;
    yyjson_doc *doc = parse(r, kept->len ? buf_str(kept) : STR("{}"));
    replace(r, kept, yyjson_doc_get_root(doc), more, write);
    yyjson_doc_free(doc);
}

static void add(struct raw_usage *r, struct buf *more)
{
    if (more->len == 0 && !more->failed)
        return;
    yyjson_doc *doc = more->failed ? NULL : parse(r, buf_str(more));
    combine(r, &r->before, yyjson_doc_get_root(doc), write_sum);
    yyjson_doc_free(doc);
    buf_reset(more);
}

void raw_usage_read(struct raw_usage *r, yyjson_val *usage)
{
    if (r->is_on && usage)
        combine(r, &r->now, usage, write_later);
}

void raw_usage_next(struct raw_usage *r)
{
    add(r, &r->now);
}

void raw_usage_add(struct raw_usage *r, struct raw_usage *other)
{
    raw_usage_next(r);
    raw_usage_next(other);
    r->has_no_memory |= other->has_no_memory;
    add(r, &other->before);
}

struct str raw_usage_sum(struct raw_usage *r)
{
    raw_usage_next(r);
    return r->before.failed ? (struct str){0} : buf_str(&r->before);
}

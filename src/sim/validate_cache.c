/*
 * cache_control over the whole request: how many marks, and which lives longer.
 */
#include <stdio.h>

#include "sim/validate_part.h"

#define CACHE_MARKS_MAX 4

struct marks {
    struct check *c;
    bool has_short; /* a mark of five minutes was met */
};

static bool take_mark(struct marks *m, const char *path, yyjson_val *holder)
{
    yyjson_val *mark = json_get(holder, "cache_control");
    if (!mark)
        return true;
    struct str ttl = json_str(yyjson_obj_get(mark, "ttl"));
    bool is_long = str_eq(ttl, STR("1h"));
    if (is_long && m->has_short)
        return bad(m->c,
                   "%s.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
                   "ttl='5m' cache_control block. Note that blocks are processed in the following "
                   "order: `tools`, `system`, `messages`.",
                   path);
    m->has_short |= !is_long;
    return true;
}

static bool take_list(struct marks *m, const char *path, yyjson_val *list)
{
    yyjson_val *one;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)); i++) {
        char where[96], inside[112];
        snprintf(where, sizeof(where), "%s.%zu", path, i);
        snprintf(inside, sizeof(inside), "%s.content", where); /* a message's or a result's */
        if (!take_list(m, inside, json_get(one, "content")) || !take_mark(m, where, one))
            return false;
    }
    return true;
}

bool check_cache_marks(struct check *c)
{
    struct marks m = {.c = c};
    if (c->n_cache_marks > CACHE_MARKS_MAX)
        return bad(c, "A maximum of 4 blocks with cache_control may be provided. Found %zu.",
                   c->n_cache_marks);
    return c->n_cache_marks < 2 || (take_list(&m, "tools", json_get(c->root, "tools")) &&
                                    take_list(&m, "system", json_get(c->root, "system")) &&
                                    take_list(&m, "messages", json_get(c->root, "messages")) &&
                                    take_mark(&m, "request", c->root));
}

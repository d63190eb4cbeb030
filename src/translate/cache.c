/*
 * Prompt caching: what the client asks for, and where the upstream's markers go. The upstream
 * takes four markers, longer-lived ones first; the automatic one counts and stands last.
 */
#include "translate/fields.h"

#define MARKERS_MAX 4

static enum cache_ttl longer(enum cache_ttl a, enum cache_ttl b)
{
    return a > b ? a : b;
}

/* {"type":"ephemeral","ttl":"5m"|"1h"} */
static bool read_cache_control(struct translation *t, const char *path, yyjson_val *v,
                               enum cache_ttl *ret)
{
    if (!want_object(t, path, v))
        return false;
    if (!str_eq(json_str(json_get(v, "type")), STR("ephemeral")))
        return refuse(t, "invalid_value", path_of(t, "%s.type", path),
                      "Invalid value for '%s.type': expected \"ephemeral\".", path);
    yyjson_val *ttl = json_get(v, "ttl");
    *ret = CACHE_5M;
    if (!ttl || str_eq(json_str(ttl), STR("5m")))
        return true;
    *ret = CACHE_1H;
    return str_eq(json_str(ttl), STR("1h")) ||
           refuse(t, "invalid_value", path_of(t, "%s.ttl", path),
                  "Invalid value for '%s.ttl': expected \"5m\" or \"1h\".", path);
}

/* {"mode":"explicit","ttl":"30m"|"12h"}: five minutes would be shorter than promised. */
static bool read_breakpoint(struct translation *t, const char *path, yyjson_val *v,
                            enum cache_ttl *ret)
{
    if (!want_object(t, path, v))
        return false;
    yyjson_val *mode = json_get(v, "mode"), *ttl = json_get(v, "ttl");
    if (mode && !str_eq(json_str(mode), STR("explicit")))
        return refuse(t, "invalid_value", path_of(t, "%s.mode", path),
                      "Invalid value for '%s.mode': expected \"explicit\".", path);
    *ret = ttl ? CACHE_1H : CACHE_5M;
    if (!ttl || str_eq(json_str(ttl), STR("30m")))
        return true;
    if (!str_eq(json_str(ttl), STR("12h")))
        return refuse(t, "invalid_value", path_of(t, "%s.ttl", path),
                      "Invalid value for '%s.ttl': expected \"30m\" or \"12h\".", path);
    return modify_param(t, "unsupported_value", path_of(t, "%s.ttl", path),
                        "prompt_cache_breakpoint=1h(longest)");
}

bool cache_has_marker(yyjson_val *holder)
{
    return json_get(holder, "cache_control") || json_get(holder, "prompt_cache_breakpoint");
}

bool cache_is_marker(struct str name)
{
    return str_eq(name, STR("cache_control")) || str_eq(name, STR("prompt_cache_breakpoint"));
}

bool cache_read_marker(struct translation *t, const char *path, yyjson_val *holder,
                       enum cache_ttl *ret)
{
    yyjson_val *control = json_get(holder, "cache_control");
    yyjson_val *breakpoint = json_get(holder, "prompt_cache_breakpoint");
    t->cache.has_hint = true;
    if (control)
        return read_cache_control(t, path_of(t, "%s.cache_control", path), control, ret);
    return read_breakpoint(t, path_of(t, "%s.prompt_cache_breakpoint", path), breakpoint, ret);
}

bool cache_read_top_level(struct translation *t, const char *name, yyjson_val *v)
{
    enum cache_ttl ttl;
    if (!read_cache_control(t, name, v, &ttl))
        return false;
    if (t->policy->cache == TR_CACHE_OFF)
        return ignore_param(t, str_of(name));
    t->cache.has_hint = t->cache.is_implicit = true;
    t->cache.ttl = longer(t->cache.ttl, ttl);
    return true;
}

bool cache_read_options(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    yyjson_val *mode = json_get(v, "mode"), *ttl = json_get(v, "ttl");
    struct str word = json_str(mode);
    bool is_implicit = str_eq(word, STR("implicit")), is_explicit = str_eq(word, STR("explicit"));
    if (mode && !is_implicit && !is_explicit)
        return refuse(t, "invalid_value", "prompt_cache_options.mode",
                      "Invalid value for 'prompt_cache_options.mode': expected \"implicit\" or "
                      "\"explicit\".");
    if (ttl && !str_eq(json_str(ttl), STR("30m")))
        return refuse(t, "invalid_value", "prompt_cache_options.ttl",
                      "Invalid value for 'prompt_cache_options.ttl': expected \"30m\".");
    if (t->policy->cache == TR_CACHE_OFF && !is_explicit)
        return ignore_param(t, str_of(name));
    t->cache.has_hint = true;
    t->cache.is_implicit |= is_implicit;
    t->cache.is_explicit = is_explicit;
    if (ttl)
        t->cache.ttl = longer(t->cache.ttl, CACHE_1H);
    return true;
}

bool cache_read_retention(struct translation *t, const char *name, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, name, v, &word))
        return false;
    bool is_short = str_eq(word, STR("in_memory")) || str_eq(word, STR("in-memory"));
    if (!is_short && !str_eq(word, STR("24h")))
        return refuse(t, "invalid_value", name,
                      "Invalid value for '%s': expected \"in_memory\" or \"24h\".", name);
    if (t->policy->cache == TR_CACHE_OFF)
        return ignore_param(t, str_of(name));
    t->cache.has_hint = true;
    t->cache.ttl = longer(t->cache.ttl, is_short ? CACHE_5M : CACHE_1H);
    return is_short || modify_param(t, "unsupported_value", name, "%s=1h(longest)", name);
}

bool cache_read_key(struct translation *t, const char *name, yyjson_val *v)
{
    struct str key; /* the upstream finds a prefix by its content */
    t->cache.has_hint = true;
    return want_string(t, name, v, &key);
}

/* Walks the blocks of the prompt in the order in which the upstream reads them. */
struct walk {
    const struct translation *t;
    const struct turn *turn; /* the next one */
    struct block *block;
    bool is_past_tools;
};

static struct block *walk_next(struct walk *w)
{
    if (!w->block && !w->is_past_tools) {
        w->block = w->t->system.first;
        w->is_past_tools = true;
    }
    while (!w->block && w->turn) {
        w->block = w->turn->blocks.first;
        w->turn = w->turn->next;
    }
    struct block *b = w->block;
    if (b)
        w->block = b->next;
    return b;
}

static struct walk walk_start(const struct translation *t)
{
    return (struct walk){.t = t, .turn = t->turns, .block = t->tool_markers.first};
}

/*
 * One-shot requests get no automatic marker: it costs a quarter more than plain input, and nobody
 * would read what it wrote.
 */
static bool wants_auto(const struct translation *t)
{
    const struct cache_wish *c = &t->cache;
    if (t->policy->cache == TR_CACHE_OFF)
        return false;
    if (c->is_implicit)
        return true;
    if (c->is_explicit)
        return false;
    return t->policy->cache == TR_CACHE_ON || c->has_hint || t->has_assistant;
}

/* A marker may not outlive one before it: earlier ones are raised. */
static bool put_in_order(struct translation *t)
{
    bool is_long_behind = t->auto_cache == CACHE_1H, is_changed = false;
    for (;;) {
        /* The last marker below the ones already long. Four markers: four rounds at most. */
        struct block *last_long = NULL, *short_one = NULL, *b;
        for (struct walk w = walk_start(t); (b = walk_next(&w));)
            if (b->cache == CACHE_1H)
                last_long = b;
        for (struct walk w = walk_start(t); (b = walk_next(&w));) {
            if (b == last_long && !is_long_behind)
                break;
            if (b->cache == CACHE_5M) {
                short_one = b;
                break;
            }
        }
        if (!short_one || (!last_long && !is_long_behind))
            break;
        short_one->cache = CACHE_1H;
        is_changed = true;
    }
    return !is_changed ||
           modify_param(t, "unsupported_value", "cache_control", "cache_control=1h(order)");
}

bool cache_settle(struct translation *t)
{
    size_t markers = 0;
    struct block *b, *last = NULL;
    for (struct walk w = walk_start(t); (b = walk_next(&w)); last = b)
        markers += b->cache != CACHE_NONE;
    if (wants_auto(t))
        t->auto_cache = t->cache.ttl == CACHE_NONE ? CACHE_5M : t->cache.ttl;
    /* The automatic marker falls on the last block: one of another length there is an error. */
    if (last && last->cache != CACHE_NONE && last->cache != t->auto_cache)
        t->auto_cache = CACHE_NONE;
    if (t->policy->strict && markers >= MARKERS_MAX && !t->cache.is_implicit)
        t->auto_cache = CACHE_NONE; /* rather ours than one of the client's */
    size_t room = MARKERS_MAX - (t->auto_cache != CACHE_NONE);
    if (markers > room && !modify_param(t, "unsupported_value", "cache_control",
                                        "cache_control(last %zu kept)", room))
        return false;
    for (struct walk w = walk_start(t); markers > room && (b = walk_next(&w));) {
        if (b->cache == CACHE_NONE)
            continue;
        b->cache = CACHE_NONE;
        markers--;
    }
    return put_in_order(t);
}

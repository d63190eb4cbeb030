/*
 * What a model can do, and which model serves a name. The list of models itself (reading the
 * upstream's pages, writing OpenAI's) is in model_list.c.
 */
#include <string.h>

#include "translate/model_list.h"
#include "translate/request.h"

enum model_class {
#define CLASS(name, ...) CLASS_##name,
#include "translate/model_table.def"
};

/* One model of the table. */
struct row {
    struct str id, date;
    enum model_class class;
    enum model_line line;
    enum model_life life;
    int64_t created_unix_s, retires_unix_s, context_tokens, output_tokens;
};

static const struct row rows[] = {
#define MODEL(id, date, class, ...) {STR(id), STR(date), CLASS_##class, __VA_ARGS__},
#include "translate/model_table.def"
};

static const struct model_info classes[] = {
#define CLASS(name, adaptive, enabled, disabled, between, by_default, low, medium, high, xhigh,    \
              max, effort, forced, prefill, sampling, both, system, structured, binds)             \
    [CLASS_##name] = {.thinking_adaptive = adaptive,                                               \
                      .thinking_enabled = enabled,                                                 \
                      .thinking_disabled = disabled,                                               \
                      .thinking_between_tools = between,                                           \
                      .thinks_by_default = by_default,                                             \
                      .effort_low = low,                                                           \
                      .effort_medium = medium,                                                     \
                      .effort_high = high,                                                         \
                      .effort_xhigh = xhigh,                                                       \
                      .effort_max = max,                                                           \
                      .default_effort = effort,                                                    \
                      .takes_forced_tools = forced,                                                \
                      .takes_prefill = prefill,                                                    \
                      .takes_sampling = sampling,                                                  \
                      .takes_both_sampling = both,                                                 \
                      .takes_system_role = system,                                                 \
                      .takes_structured_outputs = structured,                                      \
                      .binds_thinking = binds},
#include "translate/model_table.def"
};

#define DATE_SUFFIX_BYTES 9

/* "-20250929" behind an id names a dated form of it. */
static bool is_date_suffix(struct str s)
{
    if (s.p[0] != '-')
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* Whether `id` is `base` or a dated form of it. */
static bool is_form_of(struct str id, struct str base)
{
    if (id.n == base.n)
        return str_eq(id, base);
    return id.n == base.n + DATE_SUFFIX_BYTES && str_starts(id, base) &&
           is_date_suffix((struct str){id.p + base.n, DATE_SUFFIX_BYTES});
}

static const struct row *row_of(struct str id)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(rows); i++)
        if (is_form_of(id, rows[i].id))
            return &rows[i];
    return NULL;
}

/* What the upstream lists under the id, or under a dated form where the id has no date. */
static const struct model_info *listed(const struct tr_models *m, struct str id)
{
    const struct model_info *dated = NULL;
    for (size_t i = 0; m && i < m->n; i++) {
        if (str_eq(m->entries[i].id, id))
            return &m->entries[i];
        if (!dated && is_form_of(m->entries[i].id, id))
            dated = &m->entries[i];
    }
    return dated;
}

enum model_line model_line_of(struct str text)
{
    static const struct {
        struct str word;
        enum model_line line;
    } words[] = {{STR("haiku"), LINE_HAIKU},
                 {STR("sonnet"), LINE_SONNET},
                 {STR("opus"), LINE_OPUS},
                 {STR("fable"), LINE_FABLE},
                 {STR("mythos"), LINE_MYTHOS}};
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        if (str_find(text, words[i].word) >= 0)
            return words[i].line;
    return LINE_NONE;
}

static void info_of_row(const struct row *row, struct model_info *ret)
{
    *ret = classes[row->class];
    ret->line = row->line;
    ret->life = row->life;
    ret->created_unix_s = row->created_unix_s;
    ret->retires_unix_s = row->retires_unix_s;
    ret->max_input_tokens = row->context_tokens;
    ret->max_output_tokens = row->output_tokens;
}

static void info_of_unknown(struct str id, struct model_info *ret)
{
    *ret = classes[CLASS_UNKNOWN];
    ret->line = model_line_of(id);
    ret->max_input_tokens = 200000;
    ret->max_output_tokens = 128000;
}

void model_info_static(struct str id, struct model_info *ret)
{
    const struct row *row = row_of(id);
    if (row)
        info_of_row(row, ret);
    else
        info_of_unknown(id, ret);
    ret->id = id;
}

void tr_model_info(const struct tr_models *models, struct str id, struct model_info *ret)
{
    const struct model_info *entry = listed(models, id);
    if (entry)
        *ret = *entry;
    else
        model_info_static(id, ret);
    ret->id = id;
}

size_t model_table_len(void)
{
    return PX_ARRAY_LEN(rows);
}

void model_table_at(size_t i, struct model_info *ret, struct str *ret_date)
{
    info_of_row(&rows[i], ret);
    ret->id = rows[i].id;
    *ret_date = rows[i].date;
}

enum model_known model_known(const struct tr_models *models, struct str id)
{
    const struct model_info *entry = listed(models, id);
    if (entry)
        return entry->life == LIFE_RETIRED ? MODEL_RETIRED : MODEL_LIVE;
    const struct row *row = row_of(id);
    if (!row)
        return MODEL_UNKNOWN;
    /* What was going away when the table was written and is no longer listed is gone. */
    bool is_gone = row->life == LIFE_DEPRECATED && models && models->n > 0;
    return row->life == LIFE_RETIRED || is_gone ? MODEL_RETIRED : MODEL_LIVE;
}

/* The newest active model of a line; empty when there is none. */
static struct str newest_of(const struct tr_models *models, enum model_line line)
{
    const struct model_info *best = NULL;
    if (line == LINE_NONE)
        return (struct str){0};
    for (size_t i = 0; models && i < models->n; i++) {
        const struct model_info *m = &models->entries[i];
        if (m->line != line || m->life != LIFE_ACTIVE)
            continue;
        if (!best || m->created_unix_s > best->created_unix_s)
            best = m;
    }
    if (best)
        return best->id;
    for (size_t i = 0; i < PX_ARRAY_LEN(rows); i++)
        if (rows[i].line == line && rows[i].life == LIFE_ACTIVE)
            return rows[i].id;
    return (struct str){0};
}

/* The operator's entry for `name`; empty when there is none. */
static struct str mapped(struct str aliases, struct str name)
{
    struct str entry;
    while (str_split(&aliases, ',', &entry)) {
        struct str to = entry, from;
        if (!str_split(&to, '=', &from))
            continue;
        if (str_eq(str_trim(from), name) && str_trim(to).n)
            return str_trim(to);
    }
    return (struct str){0};
}

static struct str without_prefix(struct str s, struct str prefix)
{
    return str_starts(s, prefix) ? (struct str){s.p + prefix.n, s.n - prefix.n} : s;
}

static struct str dots_to_dashes(struct arena *arena, struct str s)
{
    if (!str_starts(s, STR("claude-")) || !memchr(s.p, '.', s.n))
        return s;
    struct str copy = arena_strdup(arena, s);
    for (size_t i = 0; i < copy.n; i++)
        if (copy.p[i] == '.')
            ((char *)(uintptr_t)copy.p)[i] = '-'; /* our own copy, made one line above */
    return copy;
}

/* The id behind a provider's spelling of it. */
static struct str normalised(struct arena *arena, const struct tr_models *models, struct str name)
{
    if (model_known(models, name) != MODEL_UNKNOWN)
        return name;
    struct str s = without_prefix(without_prefix(name, STR("anthropic/")), STR("claude/"));
    if (model_known(models, s) != MODEL_UNKNOWN)
        return s;
    s = dots_to_dashes(arena, s);
    const struct str latest = STR("-latest");
    if (!str_ends(s, latest))
        return s;
    struct str base = {s.p, s.n - latest.n};
    if (model_known(models, base) != MODEL_UNKNOWN)
        return base;
    static const char *const lines[] = {"claude-haiku", "claude-sonnet", "claude-opus",
                                        "claude-fable", "claude-mythos"};
    for (size_t i = 0; i < PX_ARRAY_LEN(lines); i++)
        if (str_eq(base, str_of(lines[i])))
            return newest_of(models, model_line_of(base));
    return s;
}

/*
 * The served id for one that is known, live or retired; false when nothing is known to serve it.
 * Where the upstream told us no list and succession is off, it decides itself about a retired one.
 */
static bool serve_known(const struct tr_models *models, bool succession, struct str id,
                        struct str *ret_id, bool *ret_is_succeeded)
{
    enum model_known known = model_known(models, id);
    if (known == MODEL_UNKNOWN)
        return false;
    *ret_is_succeeded = false;
    *ret_id = id;
    if (known == MODEL_LIVE)
        return true;
    if (!succession)
        return models == NULL || models->n == 0;
    struct model_info info;
    tr_model_info(models, id, &info);
    struct str successor = newest_of(models, info.line);
    if (successor.n == 0)
        return false;
    *ret_id = successor;
    *ret_is_succeeded = true;
    return true;
}

/* The target of an operator's entry; taken as it is where we know nothing of it. */
static void serve_target(struct arena *arena, const struct tr_models *models, bool succession,
                         struct str target, struct str *ret_id, bool *ret_is_succeeded)
{
    struct str id = normalised(arena, models, target);
    if (serve_known(models, succession, id, ret_id, ret_is_succeeded))
        return;
    *ret_id = id;
    *ret_is_succeeded = false;
}

bool tr_model_resolve(struct arena *arena, const struct tr_models *models,
                      const struct tr_policy *policy, struct str asked, struct str *ret_id,
                      bool *ret_is_succeeded)
{
    const struct str aliases = policy->model_aliases;
    const bool succession = policy->model_succession;
    if (model_known(models, asked) == MODEL_LIVE) {
        *ret_id = asked;
        *ret_is_succeeded = false;
        return true;
    }
    struct str target = mapped(aliases, asked);
    if (target.n) {
        serve_target(arena, models, succession, target, ret_id, ret_is_succeeded);
        return true;
    }
    struct str id = normalised(arena, models, asked);
    if (id.n && serve_known(models, succession, id, ret_id, ret_is_succeeded))
        return true;
    /* "*" is for what nothing else knows; the operator knows a default that nothing here does. */
    bool is_default = asked.n && str_eq(asked, policy->default_model);
    if (is_default && model_known(models, id) == MODEL_UNKNOWN) {
        *ret_id = str_starts(id, STR("claude-")) ? id : asked;
        *ret_is_succeeded = false;
        return true;
    }
    target = mapped(aliases, STR("*"));
    if (target.n) {
        serve_target(arena, models, succession, target, ret_id, ret_is_succeeded);
        return true;
    }
    /* A future model: the upstream knows better than the table. */
    if (!str_starts(id, STR("claude-")) || model_known(models, id) != MODEL_UNKNOWN)
        return false;
    *ret_id = id;
    *ret_is_succeeded = false;
    return true;
}

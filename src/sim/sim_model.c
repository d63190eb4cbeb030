/*
 * The table of models and classes (as Anthropic's model overview has them), look-up by name, and
 * the pages of GET /v1/models.
 */
#include "sim/sim_model.h"

#include <string.h>

#include "json/json.h"

#define PAGE_DEFAULT 20
#define PAGE_MAX     1000

#define EFFORT_UP_TO_HIGH (SIM_EFFORT_LOW | SIM_EFFORT_MEDIUM | SIM_EFFORT_HIGH)
#define EFFORT_ALL        (EFFORT_UP_TO_HIGH | SIM_EFFORT_XHIGH | SIM_EFFORT_MAX)
#define MILLION           1000000

/* Fable and Mythos 5.1, then 5.2. */
static const struct sim_class class_z1 = {.thinking = SIM_THINK_ADAPTIVE,
                                          .effort = EFFORT_ALL,
                                          .thinks_by_default = true,
                                          .thinks_always = true,
                                          .takes_system_role = true,
                                          .binding = SIM_BINDS_NEW_ACCOUNTS,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
static const struct sim_class class_z2 = {.thinking = SIM_THINK_ADAPTIVE,
                                          .effort = EFFORT_ALL,
                                          .thinks_by_default = true,
                                          .thinks_always = true,
                                          .takes_system_role = true,
                                          .binding = SIM_BINDS_ALL,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
static const struct sim_class class_z0 = {.thinking = SIM_THINK_ADAPTIVE,
                                          .effort = EFFORT_ALL,
                                          .thinks_by_default = true,
                                          .thinks_always = true,
                                          .takes_forced_tools = true,
                                          .takes_system_role = true,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
static const struct sim_class class_o55 = {.thinking = SIM_THINK_ADAPTIVE,
                                           .effort = EFFORT_ALL,
                                           .thinks_by_default = true,
                                           .thinks_always = true,
                                           .takes_system_role = true,
                                           .binding = SIM_BINDS_NEW_ACCOUNTS,
                                           .thinks_less = true,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 130};
static const struct sim_class class_s55 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_BETWEEN_TOOLS,
                                           .effort = EFFORT_ALL,
                                           .thinks_by_default = true,
                                           .takes_system_role = true,
                                           .binding = SIM_BINDS_NEW_ACCOUNTS,
                                           .refuses_high_effort_unthinking = true,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 130};
static const struct sim_class class_h55 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_DISABLED,
                                           .effort = EFFORT_ALL,
                                           .thinks_by_default = true,
                                           .takes_forced_tools = true,
                                           .takes_system_role = true,
                                           .binding = SIM_BINDS_NEW_ACCOUNTS,
                                           .thinks_less = true,
                                           .refuses_high_effort_unthinking = true,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 130};
static const struct sim_class class_o5 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_DISABLED,
                                          .effort = EFFORT_ALL,
                                          .thinks_by_default = true,
                                          .takes_forced_tools = true,
                                          .takes_system_role = true,
                                          .refuses_high_effort_unthinking = true,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
static const struct sim_class class_s5 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_DISABLED,
                                          .effort = EFFORT_ALL,
                                          .thinks_by_default = true,
                                          .takes_forced_tools = true,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
static const struct sim_class class_o48 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_DISABLED,
                                           .effort = EFFORT_ALL,
                                           .takes_forced_tools = true,
                                           .takes_system_role = true,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 130};
static const struct sim_class class_o47 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_DISABLED,
                                           .effort = EFFORT_ALL,
                                           .takes_forced_tools = true,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 130};
static const struct sim_class class_g46 = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_ENABLED |
                                                       SIM_THINK_DISABLED,
                                           .effort = EFFORT_UP_TO_HIGH | SIM_EFFORT_MAX,
                                           .takes_forced_tools = true,
                                           .shows_thinking = true,
                                           .sampling = SIM_SAMPLING_ONE,
                                           .max_input_tokens = MILLION,
                                           .max_tokens = 128000,
                                           .token_percent = 100};
static const struct sim_class class_o45 = {.thinking = SIM_THINK_ENABLED | SIM_THINK_DISABLED,
                                           .effort = EFFORT_UP_TO_HIGH,
                                           .takes_forced_tools = true,
                                           .takes_prefill = true,
                                           .shows_thinking = true,
                                           .sampling = SIM_SAMPLING_ONE,
                                           .max_input_tokens = 200000,
                                           .max_tokens = 64000,
                                           .token_percent = 100};
static const struct sim_class class_g45 = {.thinking = SIM_THINK_ENABLED | SIM_THINK_DISABLED,
                                           .takes_forced_tools = true,
                                           .takes_prefill = true,
                                           .shows_thinking = true,
                                           .sampling = SIM_SAMPLING_ONE,
                                           .max_input_tokens = 200000,
                                           .max_tokens = 64000,
                                           .token_percent = 100};
static const struct sim_class class_mp = {.thinking = SIM_THINK_ADAPTIVE | SIM_THINK_ENABLED,
                                          .effort = EFFORT_UP_TO_HIGH | SIM_EFFORT_MAX,
                                          .thinks_by_default = true,
                                          .thinks_always = true,
                                          .max_input_tokens = MILLION,
                                          .max_tokens = 128000,
                                          .token_percent = 130};
/* Everything that no longer answers: its abilities no longer matter. */
static const struct sim_class class_old = {.thinking = SIM_THINK_DISABLED,
                                           .takes_forced_tools = true,
                                           .takes_prefill = true,
                                           .sampling = SIM_SAMPLING_BOTH,
                                           .max_input_tokens = 200000,
                                           .max_tokens = 4096,
                                           .token_percent = 100};

#define ACTIVE  SIM_ACTIVE, NULL, NULL
#define RETIRED SIM_RETIRED
/* Newest first: the order of GET /v1/models. */
static const struct sim_model models[] = {
    {"claude-fable-5-2", NULL, "Claude Fable 5.2", "fable", "2026-11-09T00:00:00Z", ACTIVE,
     &class_z2},
    {"claude-mythos-5-2", NULL, "Claude Mythos 5.2", "mythos", "2026-11-09T00:00:00Z", ACTIVE,
     &class_z2},
    {"claude-haiku-5-5", NULL, "Claude Haiku 5.5", "haiku", "2026-10-07T00:00:00Z", ACTIVE,
     &class_h55},
    {"claude-opus-5-5", NULL, "Claude Opus 5.5", "opus", "2026-09-22T00:00:00Z", ACTIVE,
     &class_o55},
    {"claude-sonnet-5-5", NULL, "Claude Sonnet 5.5", "sonnet", "2026-09-15T00:00:00Z", ACTIVE,
     &class_s55},
    {"claude-fable-5-1", NULL, "Claude Fable 5.1", "fable", "2026-09-01T00:00:00Z", ACTIVE,
     &class_z1},
    {"claude-mythos-5-1", NULL, "Claude Mythos 5.1", "mythos", "2026-09-01T00:00:00Z", ACTIVE,
     &class_z1},
    {"claude-opus-5", NULL, "Claude Opus 5", "opus", "2026-07-24T00:00:00Z", ACTIVE, &class_o5},
    {"claude-sonnet-5", NULL, "Claude Sonnet 5", "sonnet", "2026-06-29T00:00:00Z", ACTIVE,
     &class_s5},
    {"claude-fable-5", NULL, "Claude Fable 5", "fable", "2026-06-07T00:00:00Z", ACTIVE, &class_z0},
    {"claude-mythos-5", NULL, "Claude Mythos 5", "mythos", "2026-06-07T00:00:00Z", ACTIVE,
     &class_z0},
    {"claude-opus-4-8", NULL, "Claude Opus 4.8", "opus", "2026-05-28T00:00:00Z", ACTIVE,
     &class_o48},
    {"claude-opus-4-7", NULL, "Claude Opus 4.7", "opus", "2026-04-14T00:00:00Z", ACTIVE,
     &class_o47},
    {"claude-mythos-preview", NULL, "Claude Mythos Preview", "mythos", "2026-04-07T00:00:00Z",
     SIM_DEPRECATED, "2026-06-07T00:00:00Z", NULL, &class_mp},
    {"claude-sonnet-4-6", NULL, "Claude Sonnet 4.6", "sonnet", "2026-02-17T00:00:00Z", ACTIVE,
     &class_g46},
    {"claude-opus-4-6", NULL, "Claude Opus 4.6", "opus", "2026-02-04T00:00:00Z", ACTIVE,
     &class_g46},
    {"claude-opus-4-5-20251101", "claude-opus-4-5", "Claude Opus 4.5", "opus",
     "2025-11-24T00:00:00Z", ACTIVE, &class_o45},
    {"claude-haiku-4-5-20251001", "claude-haiku-4-5", "Claude Haiku 4.5", "haiku",
     "2025-10-15T00:00:00Z", ACTIVE, &class_g45},
    {"claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "Claude Sonnet 4.5", "sonnet",
     "2025-09-29T00:00:00Z", SIM_DEPRECATED, "2026-08-31T00:00:00Z", "2026-11-30T00:00:00Z",
     &class_g45},
    {"claude-opus-4-1-20250805", "claude-opus-4-1", "Claude Opus 4.1", "opus",
     "2025-08-05T00:00:00Z", RETIRED, "2026-06-05T00:00:00Z", "2026-08-05T00:00:00Z", &class_old},
    {"claude-opus-4-20250514", "claude-opus-4-0", "Claude Opus 4", "opus", "2025-05-22T00:00:00Z",
     RETIRED, "2026-04-14T00:00:00Z", "2026-06-15T00:00:00Z", &class_old},
    {"claude-sonnet-4-20250514", "claude-sonnet-4-0", "Claude Sonnet 4", "sonnet",
     "2025-05-22T00:00:00Z", RETIRED, "2026-04-14T00:00:00Z", "2026-06-15T00:00:00Z", &class_old},
    {"claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest", "Claude Sonnet 3.7", "sonnet",
     "2025-02-24T00:00:00Z", RETIRED, "2025-10-28T00:00:00Z", "2026-02-19T00:00:00Z", &class_old},
    {"claude-3-5-haiku-20241022", "claude-3-5-haiku-latest", "Claude Haiku 3.5", "haiku",
     "2024-10-22T00:00:00Z", RETIRED, "2025-12-19T00:00:00Z", "2026-02-19T00:00:00Z", &class_old},
    {"claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest", "Claude Sonnet 3.5 (New)", "sonnet",
     "2024-10-22T00:00:00Z", RETIRED, "2025-08-13T00:00:00Z", "2025-10-28T00:00:00Z", &class_old},
    {"claude-3-5-sonnet-20240620", NULL, "Claude Sonnet 3.5 (Old)", "sonnet",
     "2024-06-20T00:00:00Z", RETIRED, "2025-08-13T00:00:00Z", "2025-10-28T00:00:00Z", &class_old},
    {"claude-3-haiku-20240307", NULL, "Claude Haiku 3", "haiku", "2024-03-07T00:00:00Z", RETIRED,
     "2026-02-19T00:00:00Z", "2026-04-20T00:00:00Z", &class_old},
    {"claude-3-opus-20240229", "claude-3-opus-latest", "Claude Opus 3", "opus",
     "2024-02-29T00:00:00Z", RETIRED, "2025-06-30T00:00:00Z", "2026-01-05T00:00:00Z", &class_old},
};

static const char *const life_names[] = {"active", "deprecated", "retired"};

const struct sim_model *sim_model_find(struct str name)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(models); i++)
        if (str_eq(name, str_of(models[i].id)) ||
            (models[i].alias && str_eq(name, str_of(models[i].alias))))
            return &models[i];
    return NULL;
}

static void write_flag(struct buf *b, const char *name, bool is_supported)
{
    buf_printf(b, "%s\"%s\":{\"supported\":%s}", b->len && b->data[b->len - 1] == '{' ? "" : ",",
               name, is_supported ? "true" : "false");
}

static void write_effort(struct buf *b, const struct sim_class *c)
{
    static const struct {
        const char *name;
        unsigned bit;
    } levels[] = {{"low", SIM_EFFORT_LOW},
                  {"medium", SIM_EFFORT_MEDIUM},
                  {"high", SIM_EFFORT_HIGH},
                  {"xhigh", SIM_EFFORT_XHIGH},
                  {"max", SIM_EFFORT_MAX}};
    buf_printf(b, ",\"effort\":{\"supported\":%s", c->effort ? "true" : "false");
    for (size_t i = 0; i < PX_ARRAY_LEN(levels); i++)
        write_flag(b, levels[i].name, c->effort & levels[i].bit);
    buf_append_char(b, '}');
}

static void write_capabilities(struct buf *b, const struct sim_class *c)
{
    buf_append_z(b, ",\"capabilities\":{");
    write_flag(b, "batch", true);
    write_flag(b, "citations", true);
    write_flag(b, "code_execution", c->effort != 0);
    buf_append_z(b, ",\"context_management\":{\"supported\":true");
    write_flag(b, "clear_tool_uses_20250919", true);
    write_flag(b, "clear_thinking_20251015", true);
    write_flag(b, "compact_20260112", c->max_input_tokens == MILLION);
    buf_append_char(b, '}');
    write_effort(b, c);
    write_flag(b, "image_input", true);
    write_flag(b, "pdf_input", true);
    buf_append_z(b, ",\"server_tools\":{\"supported\":true");
    write_flag(b, "web_search", true);
    write_flag(b, "code_execution", true);
    buf_append_char(b, '}');
    write_flag(b, "structured_outputs", c != &class_old);
    bool thinks = c->thinking & (SIM_THINK_ADAPTIVE | SIM_THINK_ENABLED);
    buf_printf(b, ",\"thinking\":{\"supported\":%s,\"types\":{", thinks ? "true" : "false");
    write_flag(b, "adaptive", c->thinking & SIM_THINK_ADAPTIVE);
    write_flag(b, "between_tools", c->thinking & SIM_THINK_BETWEEN_TOOLS);
    write_flag(b, "disabled", c->thinking & SIM_THINK_DISABLED);
    write_flag(b, "enabled", c->thinking & SIM_THINK_ENABLED);
    buf_append_z(b, "}}}");
}

static void write_date(struct buf *b, const char *name, const char *date)
{
    buf_printf(b, ",\"%s\":", name);
    if (date)
        buf_printf(b, "\"%s\"", date);
    else
        buf_append_z(b, "null");
}

void sim_model_write(struct buf *b, const struct sim_model *m)
{
    buf_printf(b, "{\"type\":\"model\",\"id\":\"%s\",\"display_name\":\"%s\",\"created_at\":\"%s\"",
               m->id, m->display_name, m->created_at);
    buf_printf(b, ",\"lifecycle\":\"%s\",\"line\":\"%s\"", life_names[m->life], m->line);
    write_date(b, "deprecated_at", m->deprecated_at);
    write_date(b, "retires_at", m->retires_at);
    buf_printf(b, ",\"max_input_tokens\":%lld,\"max_tokens\":%lld",
               (long long)m->cls->max_input_tokens, (long long)m->cls->max_tokens);
    write_capabilities(b, m->cls);
    buf_append_char(b, '}');
}

struct page_query {
    uint64_t limit;
    struct str after_id, before_id;
    unsigned lives; /* bits of enum sim_life */
};

static bool parse_query(struct str query, struct page_query *q, struct arena *a,
                        struct sim_error *err)
{
    *q = (struct page_query){.limit = PAGE_DEFAULT};
    for (struct str part; str_split(&query, '&', &part);) {
        struct str value = part, name;
        if (!str_split(&value, '=', &name))
            continue;
        if (str_eq(name, STR("limit"))) {
            if (!str_to_u64(value, &q->limit))
                return sim_error_bad(err, a, "limit: Input should be a valid integer");
            if (q->limit < 1)
                return sim_error_bad(err, a, "limit: Input should be greater than or equal to 1");
            if (q->limit > PAGE_MAX)
                return sim_error_bad(err, a, "limit: Input should be less than or equal to 1000");
        } else if (str_eq(name, STR("after_id"))) {
            q->after_id = value;
        } else if (str_eq(name, STR("before_id"))) {
            q->before_id = value;
        } else if (str_eq(name, STR("lifecycle")) || str_eq(name, STR("lifecycle[]")) ||
                   str_eq(name, STR("lifecycle%5B%5D"))) {
            size_t i = 0;
            while (i < PX_ARRAY_LEN(life_names) && !str_eq(value, str_of(life_names[i])))
                i++;
            if (i == PX_ARRAY_LEN(life_names))
                return sim_error_bad(
                    err, a, "lifecycle: Input should be 'active', 'deprecated' or 'retired'");
            q->lives |= 1u << i;
        }
    }
    if (!q->lives)
        q->lives = 1u << SIM_ACTIVE | 1u << SIM_DEPRECATED;
    if (q->after_id.n && q->before_id.n)
        return sim_error_bad(err, a, "after_id: only one of after_id and before_id may be given");
    return true;
}

bool sim_model_write_page(struct buf *b, struct str query, struct arena *a, struct sim_error *err)
{
    struct page_query q;
    if (!parse_query(query, &q, a, err))
        return false;
    const struct sim_model *listed[PX_ARRAY_LEN(models)];
    size_t n = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(models); i++)
        if (q.lives & 1u << models[i].life)
            listed[n++] = &models[i];

    size_t from = 0, to = n;
    struct str cursor = q.after_id.n ? q.after_id : q.before_id;
    if (cursor.n) {
        size_t at = 0;
        while (at < n && !str_eq(cursor, str_of(listed[at]->id)))
            at++;
        if (at == n)
            return sim_error_bad(err, a, "%s: Unknown model id",
                                 q.after_id.n ? "after_id" : "before_id");
        if (q.after_id.n)
            from = at + 1;
        else
            to = at;
    }
    bool has_more = to - from > q.limit;
    if (has_more && q.before_id.n)
        from = to - q.limit;
    else if (has_more)
        to = from + q.limit;

    buf_append_z(b, "{\"data\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_append_char(b, ',');
        sim_model_write(b, listed[i]);
    }
    buf_printf(b, "],\"has_more\":%s", has_more ? "true" : "false");
    if (from == to)
        buf_append_z(b, ",\"first_id\":null,\"last_id\":null}");
    else
        buf_printf(b, ",\"first_id\":\"%s\",\"last_id\":\"%s\"}", listed[from]->id,
                   listed[to - 1]->id);
    return true;
}

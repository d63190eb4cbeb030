/*
 * The list of models: the upstream's pages read and joined, OpenAI's list and single model
 * written. What a model can do and how names resolve is model.c.
 */
#include "translate/model_list.h"

#include <stdlib.h>
#include <string.h>

#include "translate/instant.h"
#include "translate/request.h"
#include "json/json.h"

#define MODEL_LIST_BYTES_MAX (4u << 20) /* strings of one list */
#define MODEL_ID_BYTES_MAX   256        /* longer ids are not models of anyone's */

struct tr_models *tr_models_create(void)
{
    struct tr_models *m = calloc(1, sizeof(*m));
    if (m)
        arena_init(&m->arena, MODEL_LIST_BYTES_MAX);
    return m;
}

void tr_models_destroy(struct tr_models *m)
{
    if (!m)
        return;
    arena_done(&m->arena);
    free(m->entries);
    free(m);
}

/* In seconds since 1970; 0 for what is no instant, or one before. */
static int64_t unix_s_of(struct str s)
{
    int64_t ms;
    return instant_parse(s, &ms) && ms > 0 ? ms / 1000 : 0;
}

/* A capability is {"supported": bool}, a plain bool, or null. */
static void read_flag(yyjson_val *parent, const char *name, bool *flag)
{
    yyjson_val *v = json_get(parent, name);
    if (yyjson_is_obj(v))
        v = json_get(v, "supported");
    if (yyjson_is_bool(v))
        *flag = yyjson_get_bool(v);
}

static void read_effort(yyjson_val *effort, struct model_info *info)
{
    if (!yyjson_is_obj(effort))
        return;
    bool is_supported = true;
    read_flag(effort, "supported", &is_supported);
    info->effort_low = info->effort_medium = info->effort_high = false;
    info->effort_xhigh = info->effort_max = false;
    if (!is_supported) {
        info->default_effort = EFFORT_NONE;
        return;
    }
    read_flag(effort, "low", &info->effort_low);
    read_flag(effort, "medium", &info->effort_medium);
    read_flag(effort, "high", &info->effort_high);
    read_flag(effort, "xhigh", &info->effort_xhigh);
    read_flag(effort, "max", &info->effort_max);
}

static void read_thinking(yyjson_val *thinking, struct model_info *info)
{
    yyjson_val *types = json_get(thinking, "types");
    if (types) {
        info->thinking_adaptive = info->thinking_enabled = false;
        info->thinking_disabled = info->thinking_between_tools = false;
        read_flag(types, "adaptive", &info->thinking_adaptive);
        read_flag(types, "enabled", &info->thinking_enabled);
        read_flag(types, "disabled", &info->thinking_disabled);
        read_flag(types, "between_tools", &info->thinking_between_tools);
    }
    bool is_supported = true;
    read_flag(thinking, "supported", &is_supported);
    if (!is_supported)
        info->thinks_by_default = false;
}

static void read_capabilities(yyjson_val *caps, struct model_info *info)
{
    if (!yyjson_is_obj(caps))
        return;
    read_flag(caps, "structured_outputs", &info->takes_structured_outputs);
    read_effort(json_get(caps, "effort"), info);
    read_thinking(json_get(caps, "thinking"), info);
}

static enum model_life life_of(struct str s)
{
    if (str_eq(s, STR("deprecated")))
        return LIFE_DEPRECATED;
    return str_eq(s, STR("retired")) ? LIFE_RETIRED : LIFE_ACTIVE;
}

/* Reads one entry over what the table says of it. */
static bool read_model(struct tr_models *m, yyjson_val *v, struct model_info *info)
{
    struct str id = json_str(json_get(v, "id"));
    if (id.n == 0 || id.n > MODEL_ID_BYTES_MAX)
        return false;
    model_info_static(id, info);
    info->id = arena_strdup(&m->arena, id);
    info->display_name = arena_strdup(&m->arena, json_str(json_get(v, "display_name")));
    if (!info->id.p || !info->display_name.p)
        return false;
    info->life = life_of(json_str(json_get(v, "lifecycle")));
    enum model_line line = model_line_of(json_str(json_get(v, "line")));
    if (line != LINE_NONE)
        info->line = line;
    int64_t created = unix_s_of(json_str(json_get(v, "created_at")));
    if (created > 0)
        info->created_unix_s = created;
    int64_t retires = unix_s_of(json_str(json_get(v, "retires_at")));
    if (retires > 0)
        info->retires_unix_s = retires;
    int64_t tokens;
    if (json_to_int(json_get(v, "max_input_tokens"), &tokens) && tokens > 0)
        info->max_input_tokens = tokens;
    if (json_to_int(json_get(v, "max_tokens"), &tokens) && tokens > 0)
        info->max_output_tokens = tokens;
    read_capabilities(json_get(v, "capabilities"), info);
    return true;
}

static bool has_exactly(const struct tr_models *m, struct str id)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->entries[i].id, id))
            return true;
    return false;
}

static void add_model(struct tr_models *m, yyjson_val *v)
{
    if (m->n >= MODEL_LIST_MAX || has_exactly(m, json_str(json_get(v, "id"))))
        return;
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 32;
        struct model_info *grown = realloc(m->entries, cap * sizeof(*grown));
        if (!grown)
            return;
        m->entries = grown;
        m->cap = cap;
    }
    struct model_info info;
    if (read_model(m, v, &info))
        m->entries[m->n++] = info;
}

bool tr_models_add_page(struct tr_models *m, struct str json, struct str *ret_after_id)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(json, &err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *data = json_get(root, "data");
    bool is_page = yyjson_is_arr(data);
    size_t i, max;
    yyjson_val *v, *last = NULL;
    if (is_page) {
        yyjson_arr_foreach(data, i, max, v)
        {
            add_model(m, v);
            last = v;
        }
        *ret_after_id = (struct str){0};
        /* An empty page that claims more would be asked for without end. */
        if (last && yyjson_get_bool(json_get(root, "has_more"))) {
            struct str id = json_str(json_get(root, "last_id"));
            id = id.n ? id : json_str(json_get(last, "id"));
            *ret_after_id = arena_strdup(&m->arena, id);
        }
    }
    yyjson_doc_free(doc);
    return is_page;
}

/* "2026-11-30" of seconds since 1970. */
static void write_date(struct buf *out, int64_t unix_s)
{
    int64_t z = unix_s / 86400 + 719468;
    int64_t era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    buf_printf(out, "\"%04d-%02d-%02d\"", (int)(yoe + era * 400 + (month <= 2)), (int)month,
               (int)(doy - (153 * mp + 2) / 5 + 1));
}

static const char *life_word(enum model_life life)
{
    static const char *const words[] = {
        [LIFE_ACTIVE] = "active", [LIFE_DEPRECATED] = "deprecated", [LIFE_RETIRED] = "retired"};
    return words[life];
}

/* One model in OpenAI's shape, as `id`; `resolves_to` empty where it is served under its name. */
static void write_model(struct buf *out, struct str id, const struct model_info *info,
                        struct str resolves_to)
{
    buf_append_z(out, "{\"id\":");
    json_write_string(out, id);
    buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"anthropic\"",
               (long long)info->created_unix_s);
    buf_append_z(out, ",\"shutdown_date\":");
    if (info->retires_unix_s > 0)
        write_date(out, info->retires_unix_s);
    else
        buf_append_z(out, "null");
    buf_printf(out, ",\"context_length\":%lld,\"max_output_tokens\":%lld,\"lifecycle\":\"%s\"",
               (long long)info->max_input_tokens, (long long)info->max_output_tokens,
               life_word(info->life));
    if (resolves_to.n) {
        buf_append_z(out, ",\"resolves_to\":");
        json_write_string(out, resolves_to);
    }
    buf_append_char(out, '}');
}

static void write_listed(struct buf *out, const struct model_info *info, bool *is_first)
{
    if (info->life == LIFE_RETIRED)
        return;
    if (!*is_first)
        buf_append_char(out, ',');
    *is_first = false;
    write_model(out, info->id, info, (struct str){0});
}

static void write_table(struct buf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < model_table_len(); i++) {
        struct model_info info;
        struct str date;
        model_table_at(i, &info, &date);
        struct buf id;
        buf_init(&id, MODEL_ID_BYTES_MAX);
        buf_append_str(&id, info.id);
        if (date.n) {
            buf_append_char(&id, '-');
            buf_append_str(&id, date);
        }
        info.id = buf_str(&id);
        write_listed(out, &info, &is_first);
        buf_done(&id);
    }
}

bool tr_models_write_list(const struct tr_models *models, struct buf *out)
{
    buf_append_z(out, "{\"object\":\"list\",\"data\":[");
    bool is_first = true;
    if (models)
        for (size_t i = 0; i < models->n; i++)
            write_listed(out, &models->entries[i], &is_first);
    else
        write_table(out);
    buf_append_z(out, "]}");
    return !out->failed;
}

bool tr_models_write_one(const struct tr_models *models, const struct tr_policy *policy,
                         struct str id, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct str served;
    bool is_succeeded, is_served = false;
    if (id.n && id.n <= MODEL_ID_BYTES_MAX &&
        tr_model_resolve(&arena, models, policy, id, &served, &is_succeeded)) {
        /* What nobody lists and no table knows, the upstream would refuse; the operator's default
         * is the operator's business. */
        bool is_default =
            str_eq(id, policy->default_model) || str_eq(served, policy->default_model);
        bool is_gone = model_known(models, served) == MODEL_RETIRED;
        bool is_foreign = models && !is_default && model_known(models, served) == MODEL_UNKNOWN;
        is_served = !is_gone && !is_foreign;
    }
    if (is_served) {
        struct model_info info;
        bool is_retired = model_known(models, id) == MODEL_RETIRED;
        tr_model_info(models, is_retired ? id : served, &info);
        if (is_retired)
            info.life = LIFE_RETIRED;
        write_model(out, id, &info, str_eq(id, served) ? (struct str){0} : served);
    }
    arena_done(&arena);
    return is_served && !out->failed;
}

/*
 * The rules of single request fields, and the table that finds them. What needs several fields at
 * once (limits, sampling, caching, response_format, messages) has a file of its own.
 */
#include "translate/fields.h"

#include <string.h>

#include "translate/text.h"

#define STOPS_MAX      4   /* OpenAI's limit */
#define BETAS_MAX      32  /* names in the anthropic-beta header */
#define BETA_BYTES_MAX 128 /* of one name */
#define PENALTY_MAX    2.0
/* Constant, as all of a prompt's beginning should be. */
#define BE_BRIEF      "Keep your answers brief: say what is asked for and no more."
#define BE_THOROUGH   "Answer at length: explain, and give details and examples where they help."
#define FAST_BETA     "fast-mode-2026-02-01"
#define FALLBACK_BETA "server-side-fallback-2026-07-01"
#define CONTEXT_BETA  "context-management-2025-06-27"
#define MCP_BETA      "mcp-client-2025-11-20"

static bool refuse_value(struct translation *t, const char *param, const char *expected)
{
    return refuse(t, "invalid_value", param, "Invalid value for '%s': expected %s.", param,
                  expected);
}

static bool read_switch(struct translation *t, const char *name, yyjson_val *v)
{
    bool is_on;
    return want_bool(t, name, v, &is_on);
}

static bool read_ignored(struct translation *t, const char *name, yyjson_val *v)
{
    (void)v;
    return ignore_param(t, str_of(name));
}

static bool read_ignored_object(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    return yyjson_obj_size(v) == 0 || ignore_param(t, str_of(name));
}

static bool read_ignored_switch(struct translation *t, const char *name, yyjson_val *v)
{
    bool is_on;
    if (!want_bool(t, name, v, &is_on))
        return false;
    return !is_on || ignore_param(t, str_of(name));
}

static bool read_ignored_number(struct translation *t, const char *name, yyjson_val *v)
{
    int64_t number;
    if (!want_int(t, name, v, &number))
        return false;
    return number == 0 || ignore_param(t, str_of(name));
}

static bool read_seed(struct translation *t, const char *name, yyjson_val *v)
{
    int64_t number;
    return want_int(t, name, v, &number) && ignore_param(t, str_of(name));
}

static bool read_penalty(struct translation *t, const char *name, yyjson_val *v)
{
    double penalty;
    if (!want_number(t, name, v, &penalty))
        return false;
    if (penalty < -PENALTY_MAX)
        return refuse(t, "decimal_below_min_value", name,
                      "Invalid '%s': decimal below minimum value. Expected a value >= -2.", name);
    if (penalty > PENALTY_MAX)
        return refuse(t, "decimal_above_max_value", name,
                      "Invalid '%s': decimal above maximum value. Expected a value <= 2.", name);
    return penalty == 0.0 || ignore_param(t, str_of(name));
}

static bool read_stream(struct translation *t, const char *name, yyjson_val *v)
{
    return want_bool(t, name, v, &t->out->is_stream);
}

static bool read_stream_option(struct translation *t, struct str name, yyjson_val *v)
{
    bool is_usage = str_eq(name, STR("include_usage")), is_on = false;
    if (!is_usage && !str_eq(name, STR("include_obfuscation")))
        return ignore_member(t, "stream_options", "stream_options", name);
    if (!yyjson_is_null(v) &&
        !want_bool(t, path_of(t, "stream_options.%.*s", STR_ARG(name)), v, &is_on))
        return false;
    if (is_usage)
        t->out->include_usage = is_on;
    return true;
}

static bool read_stream_options(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *key, *option;
    yyjson_obj_foreach(v, i, max, key, option)
    {
        if (!read_stream_option(t, json_str(key), option))
            return false;
    }
    yyjson_val *stream = t->field[FIELD_stream];
    if (yyjson_get_bool(stream))
        return true;
    t->out->include_usage = false;
    if (t->policy->strict)
        return refuse(t, "invalid_value", name,
                      "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    return ignore_param(t, str_of(name));
}

/* OpenRouter's: usage in any answer, and more of it than OpenAI's. */
static bool read_usage(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_object(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *key, *member;
    yyjson_obj_foreach(v, i, max, key, member)
    {
        bool is_on;
        if (yyjson_is_null(member))
            continue;
        if (!str_eq(json_str(key), STR("include"))) {
            if (!ignore_member(t, name, name, json_str(key)))
                return false;
            continue;
        }
        if (!want_bool(t, "usage.include", member, &is_on))
            return false;
        t->out->anthropic_usage |= is_on;
        t->out->include_usage |= is_on && t->out->is_stream;
    }
    return true;
}

static bool add_stop(struct translation *t, const char *path, yyjson_val *v, size_t *dropped)
{
    struct str stop;
    if (!want_string(t, path, v, &stop))
        return false;
    if (!text_is_blank(stop))
        return blocks_add(t, &t->stops, stop, CACHE_NONE);
    (*dropped)++; /* the upstream refuses sequences without a visible character */
    return true;
}

static bool read_stop(struct translation *t, const char *name, yyjson_val *v)
{
    size_t dropped = 0;
    if (!yyjson_is_str(v) && !yyjson_is_arr(v))
        return refuse_type(t, name, "a string or an array of strings", v);
    if (yyjson_is_str(v) && !add_stop(t, name, v, &dropped))
        return false;
    if (yyjson_arr_size(v) > STOPS_MAX)
        return refuse(t, "array_above_max_length", name,
                      "Invalid 'stop': array too long. Expected an array with maximum length %d, "
                      "but got an array with length %zu instead.",
                      STOPS_MAX, yyjson_arr_size(v));
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, max, item)
    {
        if (!add_stop(t, path_of(t, "stop[%zu]", i), item, &dropped))
            return false;
    }
    if (dropped == 0)
        return true;
    if (!t->stops.first)
        return ignore_param(t, str_of(name));
    return modify_param(t, "unsupported_value", name, "stop");
}

static bool read_n(struct translation *t, const char *name, yyjson_val *v)
{
    int64_t n;
    if (!want_int(t, name, v, &n))
        return false;
    if (n < 1)
        return refuse(t, "integer_below_min_value", name,
                      "Invalid 'n': integer below minimum value. Expected a value >= 1, but got "
                      "%lld instead.",
                      (long long)n);
    if (n > TR_CHOICES_MAX)
        return refuse(t, "integer_above_max_value", name,
                      "Invalid 'n': integer above maximum value. Expected a value <= %d, but got "
                      "%lld instead.",
                      TR_CHOICES_MAX, (long long)n);
    t->out->n_choices = (int)n;
    return true;
}

static bool read_modalities(struct translation *t, const char *name, yyjson_val *v)
{
    if (!want_array(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, max, item)
    {
        struct str word;
        if (!want_string(t, path_of(t, "modalities[%zu]", i), item, &word))
            return false;
        if (str_eq(word, STR("audio")) || str_eq(word, STR("image")))
            return refuse(t, "unsupported_value", name,
                          "Unsupported value: 'modalities' may hold \"text\" only: Claude answers "
                          "in text.");
        if (!str_eq(word, STR("text")))
            return refuse_value(t, name, "an array that holds \"text\"");
    }
    return true;
}

static bool read_verbosity(struct translation *t, const char *name, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, name, v, &word))
        return false;
    if (str_eq(word, STR("medium"))) /* what is had without it */
        return true;
    const bool is_low = str_eq(word, STR("low"));
    if (!is_low && !str_eq(word, STR("high")))
        return refuse_value(t, name, "one of low, medium, high");
    if (!t->policy->verbosity_instruction)
        return ignore_param(t, str_of(name));
    t->verbosity = is_low ? BE_BRIEF : BE_THOROUGH;
    return true;
}

static bool read_service_tier(struct translation *t, const char *name, yyjson_val *v)
{
    static const char *const unserved[] = {"flex", "scale", "priority", "fast"};
    struct str word;
    if (!want_string(t, name, v, &word))
        return false;
    if (str_eq(word, STR("auto")))
        t->service_tier = "auto";
    else if (str_eq(word, STR("default")))
        t->service_tier = "standard_only";
    if (t->service_tier)
        return true;
    for (size_t i = 0; i < PX_ARRAY_LEN(unserved); i++)
        if (str_eq(word, str_of(unserved[i])))
            return ignore_param(t, str_of(name));
    return refuse_value(t, name, "one of auto, default, flex, scale, priority, fast");
}

static bool is_beta_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
        if (!is_fine)
            return false;
    }
    return s.n > 0 && s.n <= BETA_BYTES_MAX;
}

bool fields_add_beta(struct translation *t, const char *path, struct str name)
{
    if (!is_beta_name(name)) /* it goes into a header */
        return refuse_value(t, path, "the name of a beta feature");
    size_t n = 0;
    for (const struct block *b = t->betas.first; b; b = b->next, n++)
        if (str_eq(b->text, name))
            return true;
    if (n == BETAS_MAX)
        return refuse(t, "array_above_max_length", path,
                      "Invalid '%s': no more than %d beta features are passed on.", path,
                      BETAS_MAX);
    return blocks_add(t, &t->betas, name, CACHE_NONE);
}

static bool read_betas(struct translation *t, const char *name, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        struct str rest = json_str(v), part;
        while (str_split(&rest, ',', &part))
            if (!fields_add_beta(t, name, str_trim(part)))
                return false;
        return true;
    }
    if (!want_array(t, name, v))
        return false;
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, max, item)
    {
        const char *path = path_of(t, "anthropic_beta[%zu]", i);
        struct str beta;
        if (!want_string(t, path, item, &beta) || !fields_add_beta(t, path, beta))
            return false;
    }
    return true;
}

static bool read_passed_string(struct translation *t, const char *name, yyjson_val *v)
{
    struct str text;
    return want_string(t, name, v, &text);
}

static bool read_passed_object(struct translation *t, const char *name, yyjson_val *v)
{
    return want_object(t, name, v);
}

static bool read_speed(struct translation *t, const char *name, yyjson_val *v)
{
    struct str word;
    if (!want_string(t, name, v, &word))
        return false;
    if (!str_eq(word, STR("fast")) && !str_eq(word, STR("standard")))
        return refuse_value(t, name, "one of standard, fast");
    return fields_add_beta(t, name, STR(FAST_BETA));
}

/* The id of a container, or an object with one. */
static bool read_container(struct translation *t, const char *name, yyjson_val *v)
{
    return yyjson_is_str(v) || yyjson_is_obj(v) || refuse_type(t, name, "a string or an object", v);
}

static bool read_context_management(struct translation *t, const char *name, yyjson_val *v)
{
    return want_object(t, name, v) && fields_add_beta(t, name, STR(CONTEXT_BETA));
}

static bool read_mcp_servers(struct translation *t, const char *name, yyjson_val *v)
{
    return want_array(t, name, v) && fields_add_beta(t, name, STR(MCP_BETA));
}

static bool read_fallbacks(struct translation *t, const char *name, yyjson_val *v)
{
    if (!yyjson_is_str(v) && !yyjson_is_arr(v))
        return refuse_type(t, name, "an array or \"default\"", v);
    return fields_add_beta(t, name, STR(FALLBACK_BETA));
}

static const struct {
    const char *name;
    field_rule *read; /* NULL: read by a step of its own */
} fields[FIELD_COUNT] = {
#define FIELD(name, read) {#name, read},
#include "translate/fields.def"
};

static enum field field_of(struct str name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (str_eq(name, str_of(fields[i].name)))
            return (enum field)i;
    return FIELD_COUNT;
}

bool tr_is_field(struct str name)
{
    return field_of(name) != FIELD_COUNT;
}

void fields_collect(struct translation *t, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(root, i, max, key, v)
    {
        enum field f = field_of(json_str(key));
        if (f != FIELD_COUNT) /* of a name given twice the last counts, as in JavaScript */
            t->field[f] = yyjson_is_null(v) ? NULL : v;
    }
}

static bool report_unknown(struct translation *t, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(root, i, max, key, v)
    {
        if (!yyjson_is_null(v) && field_of(json_str(key)) == FIELD_COUNT &&
            !ignore_param(t, json_str(key)))
            return false;
    }
    return true;
}

bool fields_read(struct translation *t)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (t->field[i] && fields[i].read && !fields[i].read(t, fields[i].name, t->field[i]))
            return false;
    return report_unknown(t, t->root);
}

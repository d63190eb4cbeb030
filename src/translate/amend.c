/*
 * The errors that can be mended, by one table of what they say.
 */
#include "translate/amend.h"

#include "translate/model.h"
#include "json/json.h"

/* Each row's texts must all stand in the message. */
static const struct {
    const char *says, *and_says; /* `and_says` may be NULL */
    enum tr_refusal refusal;
} texts[] = {
    {"`temperature` and `top_p` cannot both be specified", NULL, TR_REFUSES_BOTH_SAMPLING},
    {"`temperature` is deprecated", NULL, TR_REFUSES_SAMPLING},
    {"`top_p` is deprecated", NULL, TR_REFUSES_SAMPLING},
    {"`top_k` is deprecated", NULL, TR_REFUSES_SAMPLING},
    {"temperature: Extra inputs are not permitted", NULL, TR_REFUSES_SAMPLING},
    {"top_p: Extra inputs are not permitted", NULL, TR_REFUSES_SAMPLING},
    {"top_k: Extra inputs are not permitted", NULL, TR_REFUSES_SAMPLING},
    {"does not support assistant message prefill", NULL, TR_REFUSES_PREFILL},
    {"Prefilling assistant messages is not supported", NULL, TR_REFUSES_PREFILL},
    {"role 'system' is not supported", NULL, TR_REFUSES_SYSTEM_ROLE},
    {"Unexpected role \"system\"", NULL, TR_REFUSES_SYSTEM_ROLE},
    {"tool_choice", "not supported for this model", TR_REFUSES_FORCED_TOOLS},
    {"does not support effort level", NULL, TR_REFUSES_EFFORT},
    {"does not support the effort parameter", NULL, TR_REFUSES_EFFORT},
    {"adaptive thinking is not supported", NULL, TR_REFUSES_ADAPTIVE},
    {"thinking.type.adaptive\" is not supported", NULL, TR_REFUSES_ADAPTIVE},
    {"thinking.type.enabled\" is not supported", NULL, TR_REFUSES_ENABLED},
    {"thinking.type.disabled\" is not supported", NULL, TR_REFUSES_DISABLED},
    {"thinking.type.between_tools\" is not supported", NULL, TR_REFUSES_BETWEEN_TOOLS},
    {"Schema is too complex", NULL, TR_REFUSES_SCHEMA},
    {"compiled grammar is too large", NULL, TR_REFUSES_SCHEMA},
    {"Grammar compilation timed out", NULL, TR_REFUSES_SCHEMA},
    {"anthropic-version", NULL, TR_REFUSES_VERSION},
    {"bound to a different conversation", NULL,
     TR_REFUSES_PREFIX}, /* before the next: it says both */
    {"Invalid signature in thinking block", NULL, TR_REFUSES_THOUGHTS},
    {"Invalid `signature` in `thinking` block", NULL, TR_REFUSES_THOUGHTS},
    {"blocks in the latest assistant message cannot be modified", NULL, TR_REFUSES_THOUGHTS},
    {"first message must use the \"user\" role", NULL, TR_REFUSES_ASSISTANT_FIRST},
    {"`tool_result` blocks must define tools", NULL, TR_REFUSES_NO_TOOLS},
    {"toolConfig field must be defined", NULL, TR_REFUSES_NO_TOOLS},
};

static const char *const words[] = {
    "sampling",        "both_sampling", "prefill",  "system_role",   "forced_tools", "effort",
    "adaptive",        "enabled",       "disabled", "between_tools", "schema",       "version",
    "assistant_first", "prefix",        "thoughts", "no_tools",
};

static const struct {
    const char *name;
    enum model_effort effort;
} levels[] = {{"low", EFFORT_LOW},
              {"medium", EFFORT_MEDIUM},
              {"high", EFFORT_HIGH},
              {"xhigh", EFFORT_XHIGH},
              {"max", EFFORT_MAX}};

/* "... effort level 'xhigh'. Supported levels: high, low, max." */
static unsigned read_efforts(struct str message)
{
    static const struct str opening = {"Supported levels:", 17};
    ptrdiff_t at = str_find(message, opening);
    if (at < 0)
        return 0; /* none at all */
    struct str rest = {message.p + at + opening.n, message.n - (size_t)at - opening.n}, line, word;
    unsigned efforts = 0;
    if (!str_split(&rest, '.', &line))
        return 0;
    while (str_split(&line, ',', &word))
        for (size_t i = 0; i < PX_ARRAY_LEN(levels); i++)
            if (str_eq(str_trim(word), str_of(levels[i].name)))
                efforts |= 1u << levels[i].effort;
    return efforts;
}

static bool read_message(struct str message, struct tr_amend *ret)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++) {
        if (str_find(message, str_of(texts[i].says)) < 0 ||
            (texts[i].and_says && str_find(message, str_of(texts[i].and_says)) < 0))
            continue;
        *ret = (struct tr_amend){.refuses = texts[i].refusal};
        if (texts[i].refusal == TR_REFUSES_EFFORT)
            ret->efforts = read_efforts(message);
        return true;
    }
    return false;
}

bool tr_amend_from_error(int status, struct str body, struct tr_amend *ret)
{
    struct json_error json_error;
    if (status != 400)
        return false;
    yyjson_doc *doc = json_parse(body, &json_error);
    if (!doc)
        return false;
    yyjson_val *error = json_get(yyjson_doc_get_root(doc), "error");
    const bool is_known = read_message(json_str(json_get(error, "message")), ret);
    yyjson_doc_free(doc);
    return is_known;
}

bool tr_amend_add(struct tr_amend *to, struct tr_amend more)
{
    const bool is_new = (more.refuses & ~to->refuses) != 0;
    to->refuses |= more.refuses;
    if (more.refuses & TR_REFUSES_EFFORT)
        to->efforts = more.efforts;
    return is_new;
}

static void amend_efforts(unsigned efforts, struct model_info *m)
{
    m->effort_low = m->effort_low && efforts & 1u << EFFORT_LOW;
    m->effort_medium = m->effort_medium && efforts & 1u << EFFORT_MEDIUM;
    m->effort_high = m->effort_high && efforts & 1u << EFFORT_HIGH;
    m->effort_xhigh = m->effort_xhigh && efforts & 1u << EFFORT_XHIGH;
    m->effort_max = m->effort_max && efforts & 1u << EFFORT_MAX;
}

void tr_amend_model(struct tr_amend amend, struct model_info *m)
{
    const struct {
        enum tr_refusal refusal;
        bool *can;
    } abilities[] = {{TR_REFUSES_SAMPLING, &m->takes_sampling},
                     {TR_REFUSES_BOTH_SAMPLING, &m->takes_both_sampling},
                     {TR_REFUSES_PREFILL, &m->takes_prefill},
                     {TR_REFUSES_SYSTEM_ROLE, &m->takes_system_role},
                     {TR_REFUSES_FORCED_TOOLS, &m->takes_forced_tools},
                     {TR_REFUSES_ADAPTIVE, &m->thinking_adaptive},
                     {TR_REFUSES_ENABLED, &m->thinking_enabled},
                     {TR_REFUSES_DISABLED, &m->thinking_disabled},
                     {TR_REFUSES_BETWEEN_TOOLS, &m->thinking_between_tools},
                     {TR_REFUSES_SCHEMA, &m->takes_structured_outputs}};
    for (size_t i = 0; i < PX_ARRAY_LEN(abilities); i++)
        if (amend.refuses & abilities[i].refusal)
            *abilities[i].can = false;
    if (amend.refuses & TR_REFUSES_EFFORT)
        amend_efforts(amend.efforts, m);
    if (amend.refuses & TR_REFUSES_PREFIX)
        m->binds_thinking = true;
}

void tr_amend_write(struct tr_amend amend, struct buf *out)
{
    const size_t from = out->len;
    for (size_t i = 0; i < PX_ARRAY_LEN(words); i++)
        if (amend.refuses & 1u << i)
            buf_printf(out, "%s%s", out->len > from ? "," : "", words[i]);
}

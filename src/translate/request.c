/*
 * The driver of the request side: parse, find the fields, take the steps, write, report. What a
 * step does is in the file of its name.
 */
#include "translate/request.h"

#include "translate/block.h"
#include "translate/translation.h"

/* Members and quotes that the upstream's form has beyond the client's text. */
#define BODY_EXTRA_BYTES 768

/* Each step reads what the ones before it left; the first that refuses ends the request. */
static bool (*const steps[])(struct translation *t) = {
    model_settle,  fields_read,        format_read,   tools_read,        reasoning_settle,
    messages_read, tool_choice_settle, reasoning_fit, max_tokens_settle, sampling_settle,
    cache_settle,  origins_settle,     body_write,
};

static bool write_betas(struct translation *t)
{
    struct str *beta = &t->out->beta;
    for (const struct block *b = t->betas.first; b; b = b->next) {
        *beta = arena_printf(t->arena, "%.*s%s%.*s", STR_ARG(*beta), beta->n ? "," : "",
                             STR_ARG(b->text));
        if (!beta->p)
            return refuse_memory(t);
    }
    return true;
}

/*
 * Tokens of the prompt, roughly, for the token bucket, which is settled with the real count later.
 * English is about 3.6 bytes a token with the tokenizer of models up to 4.6 and 30 % more tokens
 * with the newer one; other scripts have more bytes a character and about as many a token. Some
 * tokens go to every message and to the request itself.
 */
static int64_t estimate(const struct translation *t)
{
    enum { PER_REQUEST = 8, PER_BLOCK = 4, FOR_TOOLS = 350 };
    size_t bytes = buf_str(&t->format.schema).n + t->tools_bytes;
    int64_t tokens = t->tools_bytes ? PER_REQUEST + FOR_TOOLS : PER_REQUEST;
    const struct blocks *blocks = &t->system;
    const struct turn *turn = t->turns;
    for (;;) {
        for (const struct block *b = blocks->first; b; b = b->next) {
            tokens += PER_BLOCK;
            block_weigh(b, &bytes, &tokens);
        }
        if (!turn)
            break;
        blocks = &turn->blocks;
        turn = turn->next;
    }
    size_t bytes_per_10_tokens = t->model.takes_sampling ? 36 : 28;
    return tokens + (int64_t)(bytes * 10 / bytes_per_10_tokens);
}

/*
 * What stays the same while a conversation grows: what the client calls it, or how it begins. Two
 * that begin alike share more than they lose.
 */
static uint64_t conversation_of(const struct translation *t)
{
    struct siphash hash = siphash_begin((struct siphash_key){0});
    const struct str name = json_str(t->field[FIELD_prompt_cache_key]);
    size_t i, n;
    yyjson_val *message;
    siphash_add(&hash, name);
    yyjson_arr_foreach(t->field[FIELD_messages], i, n, message)
    {
        const struct str role = json_str(json_get(message, "role"));
        if (name.n || str_eq(role, STR("system")) || str_eq(role, STR("developer")))
            continue;
        memory_add_message(&hash, message);
        break;
    }
    return siphash_end(&hash).a;
}

static bool finish(struct translation *t)
{
    struct tr_request *out = t->out;
    out->input_estimate = estimate(t);
    out->tool_names = t->tool_names;
    if (t->policy->binds_conversations)
        out->conversation = conversation_of(t);
    if (out->is_stream || t->is_prefill) /* the rest of a text that the client has begun is none */
        out->wanted = (struct tr_wanted){0};
    if (!write_betas(t))
        return false;
    return (report_join(t->arena, &t->report.ignored, &out->ignored) &&
            report_join(t->arena, &t->report.modified, &out->modified)) ||
           refuse_memory(t);
}

static bool translate(struct translation *t, yyjson_val *root)
{
    if (!yyjson_is_obj(root)) {
        api_error_set(t->err, 400, "invalid_request_error", NULL, NULL,
                      "We could not parse the JSON body of your request. (It is not an object.)");
        return false;
    }
    t->root = root;
    fields_collect(t, root);
    for (size_t i = 0; i < PX_ARRAY_LEN(steps); i++)
        if (!steps[i](t))
            return false;
    return finish(t);
}

/* An error without the name in it, or a part that is missing: whatever the steps made of it. */
static bool translate_with_memory(struct translation *t, yyjson_val *root)
{
    bool is_fine = translate(t, root);
    return t->arena->failed ? refuse_memory(t) : is_fine;
}

bool tr_request(struct arena *arena, const struct tr_policy *policy, const struct tr_models *models,
                struct str body, struct tr_request *ret, struct api_error *err)
{
    struct tr_request out = {.n_choices = 1,
                             .beta = STR(""),
                             .metadata = STR(""),
                             .reasoning_forms = policy->reasoning_forms,
                             .anthropic_usage = policy->anthropic_usage};
    struct translation t = {.arena = arena,
                            .policy = policy,
                            .models = models,
                            .out = &out,
                            .err = err,
                            .source = body};
    struct json_error json_err;
    yyjson_doc *doc = json_parse_in_place(body, policy->referred_bytes_min, &json_err);
    if (!doc && json_err.is_memory)
        return refuse_memory(&t);
    if (!doc) {
        api_error_set(err, 400, "invalid_request_error", NULL, NULL,
                      "We could not parse the JSON body of your request. (At byte %zu: %s.)",
                      json_err.offset, json_err.message);
        return false;
    }
    buf_init(&out.body, TR_BODY_MAX);
    buf_init(&t.format.schema, TR_BODY_MAX);
    /* One allocation for nearly every body; a failure shows when it is written. */
    (void)buf_reserve(&out.body, yyjson_doc_get_read_size(doc) + BODY_EXTRA_BYTES);
    bool is_fine = translate_with_memory(&t, yyjson_doc_get_root(doc));
    buf_done(&t.format.schema);
    for (const struct kept_doc *kept = t.docs; kept; kept = kept->next)
        yyjson_doc_free(kept->doc);
    yyjson_doc_free(doc);
    if (is_fine)
        *ret = out;
    else
        buf_done(&out.body);
    return is_fine;
}

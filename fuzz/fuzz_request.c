/*
 * libFuzzer: request translation and model pages. The first byte picks what the operator set and
 * the default model, the rest is the body.
 *
 * - What comes out is valid JSON in valid UTF-8, header values hold no control character;
 * - the same input gives the same bytes;
 * - the upstream takes it, as far as the simulator's validator knows;
 * - strict mode refuses exactly what is listed without it;
 * - a conversation that goes on keeps the bytes of its beginning.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "sim/validate.h"
#include "translate/request.h"
#include "json/json.h"

#define ARENA_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(holds) must_hold(holds, #holds, "", (struct str){0})

/* `why` and `more` help to understand what was found. */
static void must_hold(bool holds, const char *rule, const char *why, struct str more)
{
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s\n%s\n%.*s\n", rule, why, STR_ARG(more));
    abort();
}

static void must_be_json(struct str text)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(text, &err);
    must(doc != NULL && utf8_is_valid(text));
    yyjson_doc_free(doc);
}

static void must_fit_a_header(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        must(value.p[i] >= ' ' && value.p[i] < 0x7f);
}

static void must_be_an_error(const struct api_error *err)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    must(err->status >= 400 && err->status < 500 && err->message[0] != '\0');
    must(api_error_write(err, &out));
    must_be_json(buf_str(&out));
    buf_done(&out);
}

/* One translation, and the arena that it lives in. */
struct result {
    struct arena arena;
    bool is_fine;
    struct tr_request req;
    struct api_error err;
};

static void result_init(struct result *r, const struct tr_policy *policy, struct str body)
{
    *r = (struct result){0};
    arena_init(&r->arena, ARENA_MAX);
    r->is_fine = tr_request(&r->arena, policy, NULL, body, &r->req, &r->err);
    if (!r->is_fine)
        must_be_an_error(&r->err);
}

static void result_done(struct result *r)
{
    if (r->is_fine)
        buf_done(&r->req.body);
    arena_done(&r->arena);
}

static void must_be_sound(const struct tr_request *req)
{
    must_be_json(buf_str(&req->body));
    must(req->max_tokens > 0 && req->input_estimate > 0);
    must_fit_a_header(req->ignored);
    must_fit_a_header(req->modified);
    must_fit_a_header(req->beta);
    must(req->wanted.is_json || !req->wanted.may_repeat);
    if (req->wanted.schema.n)
        must_be_json(req->wanted.schema);
    if (req->metadata.n)
        must_be_json(req->metadata);
}

static void must_be_same(const struct result *a, const struct result *b)
{
    must(a->is_fine == b->is_fine && strcmp(a->err.message, b->err.message) == 0);
    must(!a->is_fine || str_eq(buf_str(&a->req.body), buf_str(&b->req.body)));
}

static bool has_one_of(struct str s, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_find(s, str_of(words[i])) >= 0)
            return true;
    return false;
}

/* Whether the error is about the shape of what is passed on as the client wrote it. */
static bool is_clients_own(struct str message, struct str request)
{
    static const char *const faults[] = {"Field required", "Extra inputs",   "Input should",
                                         "Input tag",      "Invalid schema", "Could not process"};
    static const char *const places[] = {"found using 'type'",
                                         ".server_tool_use.",
                                         "_tool_result.",
                                         ".document.",
                                         ".image.",
                                         ".search_result.",
                                         "block_binding",
                                         ".citations",
                                         "context_management",
                                         "mcp_servers",
                                         "fallbacks",
                                         "container",
                                         "diagnostics",
                                         "_20" /* its own tools have dates */};
    bool has_own_content = str_find(request, STR("px-anthropic-content-v1")) >= 0;
    bool has_own_schema = str_find(request, STR("output_config")) >= 0;
    if (has_own_schema && str_starts(message, STR("output_config.format.schema")))
        return true;
    return has_one_of(message, faults, PX_ARRAY_LEN(faults)) &&
           (has_own_content || has_one_of(message, places, PX_ARRAY_LEN(places)));
}

/* A name that only the upstream could know is its own business. */
static void must_be_taken(const struct tr_request *req, struct str request)
{
    struct arena arena;
    struct json_error json_err;
    struct sim_error err = {0};
    const struct sim_model *model = sim_model_find(req->model);
    if (!model || model->life == SIM_RETIRED)
        return;
    arena_init(&arena, ARENA_MAX);
    yyjson_doc *doc = json_parse(buf_str(&req->body), &json_err);
    struct check check = {.arena = &arena,
                          .err = &err,
                          .is_2026 = strcmp(req->version, "2026-10-21") == 0,
                          .beta = req->beta,
                          .trusts_signatures = true};
    bool is_taken =
        validate_request(&check, yyjson_doc_get_root(doc)) || is_clients_own(err.message, request);
    must_hold(is_taken, "the upstream takes it", is_taken ? "" : err.message.p,
              buf_str(&req->body));
    yyjson_doc_free(doc);
    arena_done(&arena);
}

/* The operator's choice (a retired model's successor) and the upstream's (an older version of its
 * API) take nothing from what the client asked: listed, and served in strict mode too. */
static bool is_lossless(const struct tr_request *req)
{
    struct str rest = req->modified, name;
    while (str_split(&rest, ',', &name))
        if (!str_eq(name, STR("model")) && !str_eq(name, STR("anthropic-version=2023-06-01")))
            return false;
    return req->ignored.n == 0 && !req->is_best_effort_format;
}

/* Without markers of ours, which a strict translation gives up before one of the client's. */
static void must_be_refused_if_lossy(struct tr_policy policy, struct str body)
{
    struct result lenient, strict;
    policy.cache = TR_CACHE_OFF;
    policy.memory = NULL; /* what it has lost is listed in strict mode too */
    policy.strict = false;
    result_init(&lenient, &policy, body);
    policy.strict = true;
    result_init(&strict, &policy, body);
    bool is_expected = lenient.is_fine && is_lossless(&lenient.req);
    must_hold(strict.is_fine == is_expected, "strict refuses what is listed", strict.err.message,
              lenient.is_fine ? lenient.req.modified : STR(""));
    must(!strict.is_fine || str_eq(buf_str(&strict.req.body), buf_str(&lenient.req.body)));
    result_done(&lenient);
    result_done(&strict);
}

/* Answers that may be remembered, whatever the client made of them. */
static bool recall(void *arg, struct digest key, struct buf *ret)
{
    static const char *const contents[] = {
        "[]",
        "[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"S\"},"
        "{\"type\":\"text\",\"text\":\"hi\"}]",
        "[{\"type\":\"redacted_thinking\",\"data\":\"R\"},{\"type\":\"tool_use\",\"id\":"
        "\"toolu_1\",\"name\":\"f\",\"input\":{}},{\"type\":\"thinking\",\"thinking\":\"T\","
        "\"signature\":\"S\"},{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\"}]"};
    const size_t i = key.a % (PX_ARRAY_LEN(contents) + 1);
    (void)arg;
    return i < PX_ARRAY_LEN(contents) && buf_append_z(ret, contents[i]);
}

/* The same bytes, or words, where what can stays in the client's body. */
static void must_refer_to_the_same(struct tr_policy policy, struct str body,
                                   const struct result *whole)
{
    struct result r;
    policy.referred_bytes_min = 1;
    result_init(&r, &policy, body);
    must(r.is_fine == whole->is_fine);
    if (r.is_fine) {
        const struct spliced spliced = tr_request_body(&r.req);
        struct str rest = buf_str(&whole->req.body), run;
        must(spliced_bytes(&spliced) == rest.n);
        for (size_t at = 0; (run = spliced_run(&spliced, at)).n > 0; at += run.n) {
            must(str_starts(rest, run));
            rest = (struct str){rest.p + run.n, rest.n - run.n};
        }
        must(rest.n == 0);
    } else
        must(strcmp(r.err.message, whole->err.message) == 0);
    result_done(&r);
}

static void translate(const struct tr_policy *policy, struct str body)
{
    struct result first, again;
    result_init(&first, policy, body);
    result_init(&again, policy, body);
    must_be_same(&first, &again);
    if (first.is_fine)
        must_be_sound(&first.req);
    if (first.is_fine && policy->amend.refuses == 0)
        must_be_taken(&first.req, body);
    must_refer_to_the_same(*policy, body, &first);
    if (policy->strict)
        must_be_refused_if_lossy(*policy, body);
    result_done(&first);
    result_done(&again);
}

/* --- a conversation that goes on ---------------------------------------------------------------
 */

static void write_conversation(yyjson_val *root, const char *more, struct buf *out)
{
    size_t i, n, k, max;
    yyjson_val *key, *v, *message, *messages = json_get(root, "messages");
    buf_append_z(out, "{\"messages\":[");
    yyjson_arr_foreach(messages, k, max, message)
    {
        buf_append_z(out, k ? "," : "");
        json_write_value(out, message);
    }
    buf_append_z(out, more);
    buf_append_char(out, ']');
    yyjson_obj_foreach(root, i, n, key, v)
    {
        if (yyjson_equals_str(key, "messages"))
            continue;
        buf_append_char(out, ',');
        json_write_string(out, json_str(key));
        buf_append_char(out, ':');
        json_write_value(out, v);
    }
    buf_append_char(out, '}');
}

static struct str messages_of(const struct tr_request *req)
{
    struct str body = buf_str(&req->body);
    ptrdiff_t at = str_find(body, STR("\"messages\":["));
    must(at >= 0 && str_ends(body, STR("]}")));
    return (struct str){body.p + at, body.n - (size_t)at - 2};
}

/* Only of what a user said last: what an assistant began is still to be completed. */
static void grow(const struct tr_policy *policy, struct str body)
{
    struct json_error err;
    struct buf shorter, longer;
    struct result before, after;
    yyjson_doc *doc = json_parse(body, &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *last = yyjson_arr_get_last(json_get(root, "messages"));
    if (yyjson_is_obj(root) && yyjson_equals_str(json_get(last, "role"), "user") &&
        json_str(json_get(last, "content")).n) {
        buf_init(&shorter, TR_BODY_MAX);
        buf_init(&longer, TR_BODY_MAX);
        write_conversation(root, "", &shorter);
        write_conversation(root,
                           ",{\"role\":\"assistant\",\"content\":\"A\"},"
                           "{\"role\":\"user\",\"content\":\"B\"}",
                           &longer);
        result_init(&before, policy, buf_str(&shorter));
        result_init(&after, policy, buf_str(&longer));
        if (before.is_fine && after.is_fine && !before.req.is_tool_choice_emulated)
            must_hold(str_starts(messages_of(&after.req), messages_of(&before.req)),
                      "the beginning stays", before.req.body.data, buf_str(&after.req.body));
        result_done(&before);
        result_done(&after);
        buf_done(&shorter);
        buf_done(&longer);
    }
    yyjson_doc_free(doc);
}

/* --- lists of models ---------------------------------------------------------------------------
 */

static void read_page(struct str body)
{
    const struct tr_policy policy = {.default_model = STR("local-model"),
                                     .model_aliases = STR("gpt-4o=claude-haiku-5-5"),
                                     .model_succession = true};
    struct tr_models *models = tr_models_create();
    struct buf out;
    struct str after;
    must(models != NULL);
    buf_init(&out, 16u << 20);
    if (tr_models_add_page(models, body, &after) && tr_models_write_list(models, &out))
        must_be_json(buf_str(&out));
    buf_reset(&out);
    if (tr_models_write_one(models, &policy, body, &out))
        must_be_json(buf_str(&out));
    buf_done(&out);
    tr_models_destroy(models);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"claude-opus-5-5", "claude-haiku-4-5", "claude-sonnet-4-6",
                                         "claude-3-haiku-20240307"};
    static const struct tr_memory memory = {{1, 2}, recall, NULL};
    if (size == 0)
        return 0;
    unsigned bits = data[0];
    struct str body = {(const char *)data + 1, size - 1};
    struct tr_policy policy = {.default_model = str_of(models[bits & 3]),
                               .model_aliases = STR("*=claude-sonnet-5"),
                               .model_succession = (bits & 4) == 0,
                               .max_tokens = 4096,
                               .thinking_reserve = true,
                               .temperature = 0.1,
                               .strict = (bits & 8) != 0,
                               .eager_tool_input = (bits & 32) != 0,
                               .memory = &memory,
                               .amend.refuses = bits & 64 ? (unsigned)size * 2654435761u >> 8 : 0,
                               .cache = (bits & 16) ? TR_CACHE_ON : TR_CACHE_AUTO};
    if (bits & 128)
        read_page(body);
    else
        translate(&policy, body);
    if (!(bits & (128 | 64)))
        grow(&policy, body);
    return 0;
}

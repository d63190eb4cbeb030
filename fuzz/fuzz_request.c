/*
 * libFuzzer: request translation and model pages. The first byte picks what the operator set and
 * the default model, the rest is the body. What comes out is valid JSON in valid UTF-8, header
 * values hold no control character, and the same input gives the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/request.h"
#include "json/json.h"

#define ARENA_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
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

static void translate(const struct tr_policy *policy, struct str body)
{
    struct arena arenas[2];
    struct tr_request req[2];
    struct api_error err[2] = {{0}, {0}};
    bool is_fine[2];
    for (size_t i = 0; i < 2; i++) {
        arena_init(&arenas[i], ARENA_MAX);
        is_fine[i] = tr_request(&arenas[i], policy, NULL, body, &req[i], &err[i]);
    }
    must(is_fine[0] == is_fine[1]);
    if (is_fine[0]) {
        must_be_json(buf_str(&req[0].body));
        must(str_eq(buf_str(&req[0].body), buf_str(&req[1].body)));
        must(req[0].max_tokens > 0 && req[0].input_estimate > 0);
        must_fit_a_header(req[0].ignored);
        must_fit_a_header(req[0].modified);
        must_fit_a_header(req[0].beta);
        must(req[0].wanted.is_json || !req[0].wanted.may_repeat);
        if (req[0].wanted.schema.n)
            must_be_json(req[0].wanted.schema);
        if (req[0].metadata.n)
            must_be_json(req[0].metadata);
    } else {
        must_be_an_error(&err[0]);
        must(strcmp(err[0].message, err[1].message) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        if (is_fine[i])
            buf_done(&req[i].body);
        arena_done(&arenas[i]);
    }
}

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
                               .amend.refuses = bits & 64 ? (unsigned)size * 2654435761u >> 8 : 0,
                               .cache = (bits & 16) ? TR_CACHE_ON : TR_CACHE_AUTO};
    if (bits & 128)
        read_page(body);
    else
        translate(&policy, body);
    return 0;
}

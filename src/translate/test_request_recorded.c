/*
 * Translates every recorded Chat Completions request, for a model of each class: each gives JSON,
 * or is one of those that nothing can be made of, by the field that says so. Skipped where the
 * recordings are not at hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "translate/recorded.h"

#define REASON_BYTES 160

/* What may be refused: numbers in the path are left out. */
static struct refusal {
    const char *param, *code, *why;
    size_t requests;
} refusals[] = {
    {"messages[].content[].type", "unsupported_value", "audio or video to look at", 0},
    {"messages[].content[].file.file_data", "invalid_value", "audio as a file", 0},
    {"messages[].content[].image_url.url", "invalid_value", "an image that is none", 0},
    {"messages[].content", "invalid_value", "the only message says nothing", 0},
    {"modalities", "unsupported_value", "an answer in audio", 0},
    {"max_tokens", "integer_below_min_value", "an answer of no tokens", 0},
    {"temperature", "decimal_above_max_value", "a temperature beyond OpenAI's own range", 0},
    {"service_tier", "invalid_value", "a tier that OpenAI has not", 0},
    {"tools[].type", "invalid_value", "another provider's server tool", 0},
    {"response_format.json_schema.name", "invalid_value", "a schema with an empty name", 0},
    {"response_format.json_schema.name", "missing_required_parameter", "a schema without a name",
     0},
    {"response_format.json_schema.schema", "missing_required_parameter",
     "a format without its schema", 0},
};

static const char *shared_dir;
static size_t translations, refused_everywhere, unexplained;

static void write_unnumbered(const char *param, char *ret)
{
    size_t n = 0;
    for (const char *c = param; *c && n < REASON_BYTES - 1; c++)
        if (*c < '0' || *c > '9')
            ret[n++] = *c;
    ret[n] = '\0';
}

static void check_refusal(const struct api_error *e, bool is_first)
{
    char param[REASON_BYTES];
    write_unnumbered(e->param, param);
    assert_int_equal(e->status, 400);
    assert_true(e->message[0] != '\0');
    for (size_t i = 0; i < PX_ARRAY_LEN(refusals); i++)
        if (strcmp(refusals[i].param, param) == 0 && strcmp(refusals[i].code, e->code) == 0) {
            refusals[i].requests += is_first;
            return;
        }
    unexplained++;
    print_message("refused without a known reason: %s %s: %s\n", e->param, e->code, e->message);
}

static void check_translation(const struct tr_request *req)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&req->body), &err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_true(utf8_is_valid(buf_str(&req->body)));
    assert_true(yyjson_is_arr(json_get(root, "messages")));
    assert_true(yyjson_arr_size(json_get(root, "messages")) > 0);
    assert_true(req->max_tokens > 0);
    assert_true(req->input_estimate > 0);
    assert_null(memchr(req->ignored.p, '\n', req->ignored.n));
    yyjson_doc_free(doc);
}

/* Whether it was translated. */
static bool translate(struct str body, const char *model, bool is_strict, struct api_error *err)
{
    struct tr_policy policy = recorded_policy(model, is_strict);
    struct arena arena;
    struct tr_request req;
    arena_init(&arena, 64u << 20);
    memset(err, 0, sizeof(*err));
    bool is_fine = tr_request(&arena, &policy, NULL, body, &req, err);
    if (is_fine) {
        check_translation(&req);
        buf_done(&req.body);
    }
    arena_done(&arena);
    return is_fine;
}

static void translate_for_all(yyjson_val *request)
{
    struct buf body;
    struct api_error err;
    size_t refused = 0;
    buf_init(&body, 64u << 20);
    recorded_write(request, SIZE_MAX, &body);
    for (size_t i = 0; i < RECORDED_CLASSES; i++) {
        if (translate(buf_str(&body), recorded_models[i], false, &err))
            translations++;
        else
            check_refusal(&err, refused++ == 0);
        if (!translate(buf_str(&body), recorded_models[i], true, &err))
            assert_true(err.status == 400 && err.message[0] != '\0' && err.param[0] != '\0');
    }
    /* What one class cannot do is done for it: only what none can is refused. */
    assert_true(refused == 0 || refused == RECORDED_CLASSES);
    refused_everywhere += refused > 0;
    buf_done(&body);
}

static void test_recorded(void **state)
{
    (void)state;
    size_t requests = recorded_requests(shared_dir, translate_for_all);
    if (requests == 0)
        skip();
    print_message(
        "count: recorded requests: %zu, each for %d classes of models: %zu translated (%zu "
        "translations), %zu refused, %zu failed\n",
        requests, RECORDED_CLASSES, requests - refused_everywhere, translations, refused_everywhere,
        unexplained);
    for (size_t i = 0; i < PX_ARRAY_LEN(refusals); i++)
        print_message("%8zu refused: %s (%s, %s)\n", refusals[i].requests, refusals[i].why,
                      refusals[i].param, refusals[i].code);
    assert_int_equal(unexplained, 0);
}

int main(int argc, char **argv)
{
    shared_dir = argc > 1 ? argv[1] : "../shared";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

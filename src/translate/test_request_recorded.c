/*
 * Translates every recorded Chat Completions request, for models of different classes: each gives
 * JSON or a 4xx error that says something. Skipped where the recordings are not at hand.
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
#include "translate/request.h"
#include "json/json.h"

#define EXIT_SKIPPED 77
#define REASONS_MAX  256

static const char *const models[] = {"claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5",
                                     "claude-sonnet-4-6", "claude-haiku-4-5"};

struct reason {
    char text[160];
    size_t n;
};

static char path[4096];
static struct reason reasons[REASONS_MAX];
static size_t reasons_n, requests, translated, refused;

/* "messages[3].role unsupported_value" with the numbers left out, so that alike errors add up. */
static void count(const struct api_error *e)
{
    char text[160];
    size_t n = 0;
    for (const char *c = e->param; *c && n < 90; c++)
        if (*c < '0' || *c > '9')
            text[n++] = *c;
    snprintf(text + n, sizeof(text) - n, " %s", e->code);
    for (size_t i = 0; i < reasons_n; i++)
        if (strcmp(reasons[i].text, text) == 0) {
            reasons[i].n++;
            return;
        }
    if (reasons_n < REASONS_MAX) {
        snprintf(reasons[reasons_n].text, sizeof(reasons[0].text), "%s", text);
        reasons[reasons_n++].n = 1;
    }
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

static void translate_one(struct str body, const char *model, bool strict)
{
    struct tr_policy policy = {.default_model = str_of(model),
                               .model_aliases = STR("*=claude-haiku-5-5"),
                               .model_succession = true,
                               .max_tokens = 4096,
                               .thinking_reserve = true,
                               .temperature = 0.1,
                               .eager_tool_input = true,
                               .strict = strict};
    struct arena arena;
    struct tr_request req;
    struct api_error err = {0};
    arena_init(&arena, 64u << 20);
    if (tr_request(&arena, &policy, NULL, body, &req, &err)) {
        check_translation(&req);
        buf_done(&req.body);
        translated += !strict;
    } else {
        assert_in_range(err.status, 400, 499);
        assert_true(err.message[0] != '\0');
        if (!strict) {
            refused++;
            count(&err);
        }
    }
    arena_done(&arena);
}

/* The same request with the model named by the client left out, so that the default serves. */
static void without_model(yyjson_val *request, struct buf *out)
{
    size_t i, max, n = 0;
    yyjson_val *key, *v;
    buf_append_char(out, '{');
    yyjson_obj_foreach(request, i, max, key, v)
    {
        if (yyjson_equals_str(key, "model"))
            continue;
        buf_append_z(out, n++ ? "," : "");
        json_write_string(out, json_str(key));
        buf_append_char(out, ':');
        json_write_value(out, v);
    }
    buf_append_char(out, '}');
}

static void translate_line(struct str line)
{
    struct json_error err;
    yyjson_doc *doc = json_parse(line, &err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc), *body = json_get(root, "request_body");
    struct str url = json_str(json_get(root, "path"));
    if (str_find(url, STR("chat/completions")) >= 0 && body) {
        struct buf whole, nameless;
        buf_init(&whole, 64u << 20);
        buf_init(&nameless, 64u << 20);
        json_write_value(&whole, body);
        without_model(body, &nameless);
        translate_one(buf_str(&whole), models[0], false);
        translate_one(buf_str(&whole), models[0], true);
        for (size_t i = 0; i < PX_ARRAY_LEN(models); i++)
            translate_one(buf_str(&nameless), models[i], false);
        buf_done(&whole);
        buf_done(&nameless);
        requests++;
    }
    yyjson_doc_free(doc);
}

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;
    return (x->n < y->n) - (x->n > y->n);
}

static void test_recorded(void **state)
{
    (void)state;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0)
        translate_line((struct str){line, (size_t)n});
    free(line);
    fclose(f);
    assert_true(requests > 0);
    qsort(reasons, reasons_n, sizeof(reasons[0]), by_count);
    print_message("%zu recorded requests: %zu translations, %zu refusals\n", requests, translated,
                  refused);
    for (size_t i = 0; i < reasons_n; i++)
        print_message("%8zu %s\n", reasons[i].n, reasons[i].text);
}

int main(int argc, char **argv)
{
    const char *dir = getenv("SHARED_DIR");
    snprintf(path, sizeof(path), "%s/fixtures/openai_requests.jsonl",
             dir        ? dir
             : argc > 1 ? argv[1]
                        : "../shared");
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("skipped: no recordings at %s\n", path);
        return EXIT_SKIPPED;
    }
    fclose(f);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What the translation sends, the upstream takes: every request of the golden cases, and every
 * recorded one where the recordings are at hand, for models of every class, shown to the
 * simulator's validator. A translation may refuse a request; it may not send one that is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/validate.h"
#include "translate/request.h"

#define ARENA_MAX (64u << 20)
#define SHOWN_MAX 20

static const char *const models[] = {"claude-opus-5-5", "claude-fable-5-1", "claude-haiku-5-5",
                                     "claude-sonnet-5", "claude-opus-4-8",  "claude-sonnet-4-6",
                                     "claude-opus-4-5", "claude-haiku-4-5"};
static const char *golden_dir, *shared_dir;
static size_t accepted, refused, rejected;

static void validate(struct arena *arena, const struct tr_request *req, struct str body)
{
    struct json_error json_err;
    struct sim_error err = {0};
    yyjson_doc *doc = json_parse(buf_str(&req->body), &json_err);
    assert_non_null(doc);
    struct check check = {.arena = arena,
                          .err = &err,
                          .is_2026 = strcmp(req->version, "2026-10-21") == 0,
                          .beta = req->beta,
                          .trusts_signatures = true};
    if (validate_request(&check, yyjson_doc_get_root(doc))) {
        accepted++;
    } else if (rejected++ < SHOWN_MAX) {
        print_message("%.*s: %.*s\n  client: %.*s\n  upstream: %.*s\n", STR_ARG(req->model),
                      STR_ARG(err.message), (int)(body.n < 400 ? body.n : 400), body.p,
                      (int)(req->body.len < 400 ? req->body.len : 400), req->body.data);
    }
    yyjson_doc_free(doc);
}

static void translate(struct str body, const char *model, bool is_strict)
{
    struct tr_policy policy = {.default_model = str_of(model),
                               .model_aliases = STR("*=claude-haiku-5-5"),
                               .model_succession = true,
                               .max_tokens = 4096,
                               .thinking_reserve = true,
                               .temperature = 0.1,
                               .eager_tool_input = true,
                               .strict = is_strict};
    struct arena arena;
    struct tr_request req;
    struct api_error err = {0};
    arena_init(&arena, ARENA_MAX);
    if (tr_request(&arena, &policy, NULL, body, &req, &err)) {
        validate(&arena, &req, body);
        buf_done(&req.body);
    } else {
        refused++;
    }
    arena_done(&arena);
}

/* The request without the model it names, so that the default serves. */
static void without_model(yyjson_val *request, struct buf *out)
{
    size_t i, max;
    const char *between = "{";
    yyjson_val *key, *v;
    yyjson_obj_foreach(request, i, max, key, v)
    {
        if (yyjson_equals_str(key, "model"))
            continue;
        buf_append_z(out, between);
        json_write_string(out, json_str(key));
        buf_append_char(out, ':');
        json_write_value(out, v);
        between = ",";
    }
    buf_append_z(out, between[0] == '{' ? "{}" : "}");
}

static void try_request(yyjson_val *request)
{
    struct buf body;
    buf_init(&body, TR_BODY_MAX);
    without_model(request, &body);
    for (size_t i = 0; i < PX_ARRAY_LEN(models); i++) {
        translate(buf_str(&body), models[i], false);
        translate(buf_str(&body), models[i], true);
    }
    buf_done(&body);
}

static yyjson_doc *read_json(const char *path)
{
    char piece[65536];
    size_t n;
    struct buf text;
    struct json_error err;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(&text, TR_BODY_MAX);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_append(&text, piece, n);
    fclose(f);
    yyjson_doc *doc = json_parse(buf_str(&text), &err);
    assert_non_null(doc);
    buf_done(&text);
    return doc;
}

static void report(void)
{
    print_message("%zu accepted, %zu refused by the translation, %zu rejected\n", accepted, refused,
                  rejected);
    assert_true(accepted > 0);
    assert_int_equal(rejected, 0);
    accepted = refused = 0;
}

static void test_golden(void **state)
{
    (void)state;
    DIR *dir = opendir(golden_dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[4096];
        if (!str_ends(str_of(e->d_name), STR(".json")))
            continue;
        snprintf(path, sizeof(path), "%s/%s", golden_dir, e->d_name);
        yyjson_doc *doc = read_json(path);
        size_t i, max;
        yyjson_val *test;
        yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, test)
        {
            if (json_get(test, "in"))
                try_request(json_get(test, "in"));
        }
        yyjson_doc_free(doc);
    }
    closedir(dir);
    report();
}

static void test_recorded(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s/fixtures/openai_requests.jsonl", shared_dir);
    FILE *f = fopen(path, "r");
    if (!f) {
        print_message("no recordings at %s\n", path);
        skip();
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0) {
        struct json_error err;
        yyjson_doc *doc = json_parse((struct str){line, (size_t)n}, &err);
        assert_non_null(doc);
        yyjson_val *root = yyjson_doc_get_root(doc), *body = json_get(root, "request_body");
        if (body && str_find(json_str(json_get(root, "path")), STR("chat/completions")) >= 0)
            try_request(body);
        yyjson_doc_free(doc);
    }
    free(line);
    fclose(f);
    report();
}

int main(int argc, char **argv)
{
    golden_dir = argc > 1 ? argv[1] : "tests/golden/request";
    shared_dir = getenv("SHARED_DIR");
    if (!shared_dir)
        shared_dir = argc > 2 ? argv[2] : "../shared";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),
                                       cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include "translate/recorded.h"

#define ARENA_MAX (64u << 20)
#define SHOWN_MAX 20

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
    struct tr_policy policy = recorded_policy(model, is_strict);
    struct arena arena;
    struct tr_request req;
    struct api_error err = {0};
    arena_init(&arena, ARENA_MAX);
    if (tr_request(&arena, &policy, NULL, body, &req, &err)) {
        validate(&arena, &req, body);
        buf_done(&req.body);
    } else {
        assert_in_range(err.status, 400, 499);
        refused++;
    }
    arena_done(&arena);
}

static void try_request(yyjson_val *request)
{
    struct buf body;
    buf_init(&body, TR_BODY_MAX);
    recorded_write(request, SIZE_MAX, &body);
    for (size_t i = 0; i < RECORDED_CLASSES; i++) {
        translate(buf_str(&body), recorded_models[i], false);
        translate(buf_str(&body), recorded_models[i], true);
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

static void report(const char *what, size_t requests)
{
    print_message("count: %s: %zu, each for %d classes of models, strict and not: %zu translations "
                  "that the upstream accepts, %zu refused by the translation, %zu rejected by the "
                  "upstream\n",
                  what, requests, RECORDED_CLASSES, accepted, refused, rejected);
    assert_true(accepted > 0);
    assert_int_equal(rejected, 0);
    accepted = refused = 0;
}

static void test_golden(void **state)
{
    (void)state;
    size_t requests = 0;
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
            if (!json_get(test, "in"))
                continue;
            try_request(json_get(test, "in"));
            requests++;
        }
        yyjson_doc_free(doc);
    }
    closedir(dir);
    report("golden requests against the validator", requests);
}

static void test_recorded(void **state)
{
    (void)state;
    size_t requests = recorded_requests(shared_dir, try_request);
    if (requests == 0)
        skip();
    report("recorded requests against the validator", requests);
}

static void test_turned_around(void **state)
{
    (void)state;
    size_t requests = recorded_exchanges(shared_dir, try_request);
    if (requests == 0)
        skip();
    report("recorded Messages requests, turned around, against the validator", requests);
}

int main(int argc, char **argv)
{
    golden_dir = argc > 1 ? argv[1] : "tests/golden/request";
    shared_dir = argc > 2 ? argv[2] : "../shared";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),
                                       cmocka_unit_test(test_recorded),
                                       cmocka_unit_test(test_turned_around)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Runs the cases of tests/golden/request (format: the README there) through tr_request. One test
 * a file; a case that fails is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scarce.h"
#include "translate/request.h"
#include "json/json.h"

#define ARENA_MAX         (64u << 20)
#define ARENA_STEPS_BYTES (16u << 10) /* an arena up to here fails at each of its pieces */

struct run {
    yyjson_val *test;
    const char *name;
    struct buf why; /* what went wrong, in words; empty = passed */
};

static void complain(struct run *r, const char *what, struct str expected, struct str got)
{
    buf_printf(&r->why, "\n    %s\n      expected: ", what);
    buf_append_str(&r->why, expected);
    buf_append_z(&r->why, "\n      got:      ");
    buf_append_str(&r->why, got);
}

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    struct buf b;
    buf_init(&b, 16u << 20);
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_append(&b, piece, n);
    fclose(f);
    *ret_n = b.len;
    return b.data; /* the caller frees it */
}

static bool flag(yyjson_val *obj, const char *name, bool otherwise)
{
    yyjson_val *v = json_get(obj, name);
    return v ? yyjson_get_bool(v) : otherwise;
}

/* "forced_tools,schema": as tr_amend_write has them. */
static unsigned refusals_of(struct str names)
{
    unsigned refuses = 0;
    struct str name;
    while (str_split(&names, ',', &name)) {
        const unsigned before = refuses;
        for (unsigned bit = 1; bit <= TR_REFUSES_THOUGHTS; bit <<= 1) {
            struct buf text;
            buf_init(&text, 100);
            tr_amend_write((struct tr_amend){.refuses = bit}, &text);
            if (str_eq(name, buf_str(&text)))
                refuses |= bit;
            buf_done(&text);
        }
        if (refuses == before)
            fail_msg("nothing is called %.*s", STR_ARG(name));
    }
    return refuses;
}

/* The documented defaults, and what the case changes. */
static struct tr_policy policy_of(yyjson_val *v)
{
    struct tr_policy p = {.default_model = STR("claude-3-haiku-20240307"),
                          .model_succession = flag(v, "model_succession", true),
                          .max_tokens = 4096,
                          .max_tokens_is_set = json_get(v, "max_tokens") != NULL,
                          .thinking_reserve = flag(v, "thinking_reserve", true),
                          .temperature = 0.1,
                          .eager_tool_input = flag(v, "eager_tool_input", true),
                          .strict = flag(v, "strict", false)};
    json_to_int(json_get(v, "max_tokens"), &p.max_tokens);
    json_to_int(json_get(v, "thinking_min_tokens"), &p.thinking_min_tokens);
    p.verbosity_instruction = flag(v, "verbosity_instruction", false);
    p.anthropic_usage = flag(v, "anthropic_usage", false);
    json_to_double(json_get(v, "temperature"), &p.temperature);
    p.amend.refuses = refusals_of(json_str(json_get(v, "refuses")));
    if (json_get(v, "default_model"))
        p.default_model = json_str(json_get(v, "default_model"));
    p.model_aliases = json_str(json_get(v, "model_aliases"));
    struct str version = json_str(json_get(v, "version")), cache = json_str(json_get(v, "cache"));
    if (version.n)
        p.version =
            str_eq(version, STR("2023-06-01")) ? TR_VERSION_2023_06_01 : TR_VERSION_2026_10_21;
    if (cache.n)
        p.cache = str_eq(cache, STR("on")) ? TR_CACHE_ON : TR_CACHE_OFF;
    return p;
}

static struct tr_models *models_of(yyjson_val *pages)
{
    if (!pages)
        return NULL;
    struct tr_models *m = tr_models_create();
    size_t i, max;
    yyjson_val *page;
    yyjson_arr_foreach(pages, i, max, page)
    {
        struct buf text;
        struct str after;
        buf_init(&text, 1u << 20);
        json_write_value(&text, page);
        assert_true(tr_models_add_page(m, buf_str(&text), &after));
        buf_done(&text);
    }
    return m;
}

static void check_text(struct run *r, const char *name, struct str got)
{
    yyjson_val *v = json_get(r->test, name);
    struct str expected = json_str(v);
    if (!str_eq(expected, got))
        complain(r, name, expected, got);
}

static void check_flag(struct run *r, const char *name, bool got)
{
    if (flag(r->test, name, false) != got)
        complain(r, name, str_of(got ? "false" : "true"), str_of(got ? "true" : "false"));
}

static void compare(struct run *r, const char *what, yyjson_val *expected, struct str got)
{
    struct buf text;
    buf_init(&text, 16u << 20);
    json_write_value(&text, expected);
    if (!str_eq(buf_str(&text), got))
        complain(r, what, buf_str(&text), got);
    buf_done(&text);
}

static void check_members(struct run *r, yyjson_val *has, yyjson_val *root)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (!has) /* the loop would step from a null pointer */
        return;
    yyjson_obj_foreach(has, i, max, key, v)
    {
        struct buf got;
        buf_init(&got, 16u << 20);
        json_write_value(&got, json_get_n(root, json_str(key)));
        compare(r, yyjson_get_str(key), v, buf_str(&got));
        buf_done(&got);
    }
}

/* "up": the whole body, byte for byte. "has" and "lacks": some members of it. */
static void check_body(struct run *r, const struct tr_request *req)
{
    yyjson_val *whole = json_get(r->test, "up");
    if (whole)
        compare(r, "up", whole, buf_str(&req->body));
    struct json_error err;
    yyjson_doc *doc = json_parse(buf_str(&req->body), &err);
    if (!doc) {
        complain(r, "up is no JSON", str_of(err.message), buf_str(&req->body));
        return;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    check_members(r, json_get(r->test, "has"), root);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(json_get(r->test, "lacks"), i, max, v)
    {
        if (json_get_n(root, json_str(v)))
            complain(r, "lacks", json_str(v), buf_str(&req->body));
    }
    yyjson_doc_free(doc);
}

/* "wants": what the answer is held against; true is any JSON object, false nothing. */
static void check_wanted(struct run *r, const struct tr_wanted *wanted)
{
    yyjson_val *v = json_get(r->test, "wants");
    if (!v)
        return;
    check_flag(r, "may_repeat", wanted->may_repeat);
    if (!wanted->is_json)
        compare(r, "wants", v, STR("false"));
    else
        compare(r, "wants", v, wanted->schema.n ? wanted->schema : STR("true"));
}

static void check_request(struct run *r, const struct tr_request *req)
{
    check_body(r, req);
    check_text(r, "ignored", req->ignored);
    check_text(r, "modified", req->modified);
    check_text(r, "beta", req->beta);
    check_text(r, "echo", req->metadata);
    if (json_get(r->test, "version"))
        check_text(r, "version", str_of(req->version));
    check_flag(r, "is_stream", req->is_stream);
    check_flag(r, "include_usage", req->include_usage);
    check_flag(r, "anthropic_usage", req->anthropic_usage);
    check_flag(r, "is_json_object", req->is_json_object);
    check_flag(r, "is_structured", req->is_structured);
    check_flag(r, "has_strict_tools", req->has_strict_tools);
    check_flag(r, "is_function_call", req->is_function_call);
    check_flag(r, "is_tool_choice_emulated", req->is_tool_choice_emulated);
    check_flag(r, "is_best_effort", req->is_best_effort_format);
    check_wanted(r, &req->wanted);
    int64_t n_choices = 1;
    json_to_int(json_get(r->test, "n_choices"), &n_choices);
    if (n_choices != req->n_choices)
        complain(r, "n_choices", STR("as many"), STR("another number"));
}

static void check_error(struct run *r, const struct api_error *err)
{
    yyjson_val *expected = json_get(r->test, "error");
    if (!expected) {
        complain(r, "refused", STR("a translation"), str_of(err->message));
        return;
    }
    int64_t status = 400;
    json_to_int(json_get(expected, "status"), &status);
    struct str param = json_str(json_get(expected, "param"));
    struct str code = json_str(json_get(expected, "code"));
    struct str words = json_str(json_get(expected, "message"));
    if (status != err->status)
        complain(r, "status", (struct str){0}, str_of(err->message));
    if (!str_eq(param, str_of(err->param)))
        complain(r, "param", param, str_of(err->param));
    if (!str_eq(code, str_of(err->code)))
        complain(r, "code", code, str_of(err->code));
    if (words.n && str_find(str_of(err->message), words) < 0)
        complain(r, "message", words, str_of(err->message));
    if (err->message[0] == '\0')
        complain(r, "message", STR("some"), STR("none"));
}

/* --- memory that runs out --------------------------------------------------------------------- */

/* What a case gives to tr_request, and what it gets with memory enough. */
struct call {
    struct tr_policy policy;
    struct tr_models *models;
    struct buf in;
    size_t arena_used;
    bool is_fine;
    struct tr_request req;
    struct api_error err;
};

static bool is_same(const struct call *a, const struct call *b)
{
    if (!a->is_fine || !b->is_fine)
        return a->is_fine == b->is_fine && strcmp(a->err.message, b->err.message) == 0;
    return str_eq(buf_str(&a->req.body), buf_str(&b->req.body)) &&
           str_eq(a->req.ignored, b->req.ignored) && str_eq(a->req.modified, b->req.modified) &&
           str_eq(a->req.beta, b->req.beta) && str_eq(a->req.metadata, b->req.metadata) &&
           a->req.input_estimate == b->req.input_estimate;
}

/* Nothing but the whole translation, or a refusal that says why: no part is lost on the way. */
static bool run_scarce(struct run *r, const struct call *full, long n, bool is_lasting,
                       size_t arena_max)
{
    struct call c = {.policy = full->policy};
    struct arena arena;
    arena_init(&arena, arena_max);
    scarce_begin(n, is_lasting);
    c.is_fine = tr_request(&arena, &c.policy, full->models, buf_str(&full->in), &c.req, &c.err);
    bool has_failed = scarce_end();
    if (!is_same(&c, full) && (c.is_fine || strcmp(c.err.code, "request_too_large") != 0)) {
        char where[100];
        snprintf(where, sizeof(where), "without memory (allocation %ld, arena of %zu)", n,
                 arena_max);
        complain(r, where, STR("the same, or 413"),
                 c.is_fine ? buf_str(&c.req.body) : str_of(c.err.message));
    }
    if (c.is_fine)
        buf_done(&c.req.body);
    arena_done(&arena);
    return has_failed;
}

static void check_without_memory(struct run *r, const struct call *full)
{
    for (int is_lasting = 0; is_lasting < 2; is_lasting++)
        for (long n = 0; run_scarce(r, full, n, is_lasting, ARENA_MAX); n++)
            ;
    /* The arena gives out pieces of 16 bytes: each of them is once the one too many. */
    size_t step = 16 * (1 + full->arena_used / ARENA_STEPS_BYTES);
    for (size_t max = 0; max < full->arena_used; max += step)
        run_scarce(r, full, LONG_MAX, false, max);
}

static size_t splices_seen;

/* The same bytes, or words, where as much as can be stays in the client's body. */
static void check_referring(struct run *r, const struct call *full)
{
    struct call c = {.policy = full->policy};
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    c.policy.referred_bytes_min = 1;
    c.is_fine = tr_request(&arena, &c.policy, full->models, buf_str(&full->in), &c.req, &c.err);
    const struct spliced body = tr_request_body(&c.req);
    const size_t n = c.is_fine ? spliced_bytes(&body) : 0;
    char *flat = malloc(n + 1);
    assert_non_null(flat);
    if (c.is_fine != full->is_fine || n != spliced_read(&body, 0, flat, n) ||
        !str_eq((struct str){flat, n}, buf_str(&full->req.body)))
        complain(r, "with splices", buf_str(&full->req.body), (struct str){flat, n});
    if (!c.is_fine)
        check_error(r, &c.err);
    splices_seen += body.n_splices;
    free(flat);
    if (c.is_fine)
        buf_done(&c.req.body);
    arena_done(&arena);
}

static void run_case(struct run *r)
{
    struct call c = {.policy = policy_of(json_get(r->test, "policy")),
                     .models = models_of(json_get(r->test, "models"))};
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    buf_init(&c.in, 16u << 20);
    yyjson_val *text = json_get(r->test, "in_text");
    if (text)
        buf_append_str(&c.in, json_str(text));
    else
        json_write_value(&c.in, json_get(r->test, "in"));
    c.is_fine = tr_request(&arena, &c.policy, c.models, buf_str(&c.in), &c.req, &c.err);
    c.arena_used = arena.used;
    if (!c.is_fine)
        check_error(r, &c.err);
    else if (json_get(r->test, "error"))
        complain(r, "accepted", STR("an error"), buf_str(&c.req.body));
    else
        check_request(r, &c.req);
    check_referring(r, &c);
    check_without_memory(r, &c);
    if (c.is_fine)
        buf_done(&c.req.body);
    tr_models_destroy(c.models);
    buf_done(&c.in);
    arena_done(&arena);
}

static size_t cases_run;

static void test_file(void **state)
{
    const char *path = *state;
    size_t n;
    char *text = read_file(path, &n);
    assert_non_null(text);
    struct json_error err = {0};
    yyjson_doc *doc = json_parse((struct str){text, n}, &err);
    if (!doc)
        fail_msg("%s: byte %zu: %s", path, err.offset, err.message);
    size_t i, max, failed = 0;
    yyjson_val *test;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, test)
    {
        struct run r = {.test = test, .name = yyjson_get_str(json_get(test, "name"))};
        assert_non_null(r.name);
        buf_init(&r.why, 1u << 20);
        run_case(&r);
        if (r.why.len) {
            failed++;
            print_message("  case \"%s\":%.*s\n", r.name, STR_ARG(buf_str(&r.why)));
        }
        buf_done(&r.why);
        cases_run++;
    }
    assert_true(yyjson_arr_size(yyjson_doc_get_root(doc)) > 0);
    yyjson_doc_free(doc);
    free(text);
    assert_int_equal(failed, 0);
    if (str_ends(str_of(path), STR("17_media.json")))
        assert_true(splices_seen > 5);
}

#define FILES_MAX 64

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "tests/golden/request";
    char *paths[FILES_MAX];
    size_t n = 0;
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "%s: cannot open\n", dir);
        return 1;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL && n < FILES_MAX;)
        if (str_ends(str_of(e->d_name), STR(".json")) &&
            asprintf(&paths[n], "%s/%s", dir, e->d_name) > 0)
            n++;
    closedir(d);
    qsort(paths, n, sizeof(paths[0]), by_name);
    struct CMUnitTest tests[FILES_MAX];
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){paths[i], test_file, NULL, NULL, paths[i]};
    int failed = n ? _cmocka_run_group_tests("golden requests", tests, n, NULL, NULL) : 1;
    print_message("%zu golden cases\n", cases_run);
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    return failed;
}

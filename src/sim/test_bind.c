/*
 * Thinking blocks that come back: untouched, changed, behind another beginning; and the prompt
 * cache, which hangs on the same chain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sim/cache.h"
#include "sim/message.h"
#include "sim/prompt.h"
#include "sim/signature.h"
#include "sim/validate.h"

#define TOOLS                                                                                      \
    "\"tools\":[{\"name\":\"get_weather\",\"input_schema\":{\"type\":\"object\","                  \
    "\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}}],"
#define ASKED  "{\"role\":\"user\",\"content\":\"Go. [[sim: loop=3 think=omitted]]\"}"
#define RESULT "{\"type\":\"tool_result\",\"tool_use_id\":\"%s\",\"content\":\"fine\"}"

static struct arena arena;

static int open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static yyjson_doc *parse(struct str body)
{
    struct json_error e;
    yyjson_doc *doc = json_parse(body, &e);
    if (!doc)
        fail_msg("no JSON: %.*s", STR_ARG(body));
    return doc;
}

static struct str request(const char *model, const char *more, struct str messages)
{
    return arena_printf(&arena, "{\"model\":\"%s\",\"max_tokens\":2000,%s\"messages\":[%.*s]}",
                        model, more, STR_ARG(messages));
}

/* The answer's content as JSON. */
static struct str content_of(struct str body)
{
    struct prompt p;
    struct directives d;
    struct script s;
    struct sim_error err = {0};
    struct buf json;
    yyjson_doc *doc = parse(body);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const struct sim_model *m = sim_model_find(json_str(json_get(root, "model")));
    directives_init(&d);
    if (!prompt_read(&p, root, 100, &arena, &d, &err) ||
        !script_build(&s, &p, &d, m, root, &arena, &err))
        fail_msg("%.*s", STR_ARG(err.message));
    buf_init(&json, 1 << 20);
    message_write(&json, &s);
    yyjson_doc *answer = parse(buf_str(&json));
    buf_reset(&json);
    json_write_value(&json, json_get(yyjson_doc_get_root(answer), "content"));
    struct str content = arena_strdup(&arena, buf_str(&json));
    yyjson_doc_free(answer);
    yyjson_doc_free(doc);
    buf_done(&json);
    return content;
}

struct account {
    bool is_old, has_beta;
};

/* `want` NULL: accepted; else the refusal holds it. */
static void expect(struct str body, struct account account, const char *want)
{
    struct sim_error err = {0};
    yyjson_doc *doc = parse(body);
    struct check c = {.arena = &arena,
                      .err = &err,
                      .is_2026 = true,
                      .beta =
                          account.has_beta ? STR("thinking-binding-controls-2026-08-01") : STR(""),
                      .is_old_account = account.is_old};
    bool ok = validate_request(&c, yyjson_doc_get_root(doc));
    if (ok != !want || (want && str_find(err.message, str_of(want)) < 0))
        fail_msg("%.*s\ngave '%.*s', not '%s'", STR_ARG(body), STR_ARG(err.message),
                 want ? want : "an answer");
    yyjson_doc_free(doc);
}

/* The id of the first call in a content. */
static const char *call_id(struct str content)
{
    ptrdiff_t at = str_find(content, STR("toolu_"));
    assert_true(at > 0);
    return arena_printf(&arena, "%.30s", content.p + at).p;
}

/* The conversation behind `content`, the answer to `messages`: its call has a result. */
static struct str go_on(struct str messages, struct str content)
{
    return arena_printf(&arena,
                        "%.*s,{\"role\":\"assistant\",\"content\":%.*s},{\"role\":\"user\","
                        "\"content\":[" RESULT "]}",
                        STR_ARG(messages), STR_ARG(content), call_id(content));
}

static struct str replace(struct str s, const char *what, const char *by)
{
    ptrdiff_t at = str_find(s, str_of(what));
    assert_true(at >= 0);
    return arena_printf(&arena, "%.*s%s%.*s", (int)at, s.p, by,
                        (int)(s.n - (size_t)at - strlen(what)), s.p + at + strlen(what));
}

/* A loop of tools to its end; `*ret_first` is the conversation with one result. */
static struct str run_loop(const char *model, struct str *ret_first)
{
    struct str messages = STR(ASKED);
    for (int turn = 0; turn < 3; turn++) {
        struct str content = content_of(request(model, TOOLS, messages));
        assert_true(str_find(content, STR("\"type\":\"thinking\"")) >= 0);
        messages = go_on(messages, content);
        if (turn == 0)
            *ret_first = messages;
        expect(request(model, TOOLS, messages), (struct account){0}, NULL);
    }
    struct str last = content_of(request(model, TOOLS, messages));
    assert_true(str_find(last, STR("tool_use")) < 0);
    return messages;
}

static void takes_back_what_it_said(void **state)
{
    (void)state;
    static const char *const models[] = {"claude-fable-5-2", "claude-opus-5-5", "claude-opus-5"};
    for (size_t i = 0; i < PX_ARRAY_LEN(models); i++) {
        struct str first;
        run_loop(models[i], &first);
        /* What makes no difference. */
        expect(request(models[i], TOOLS,
                       replace(first, "\"Go. [[sim: loop=3 think=omitted]]\"",
                               "[{\"type\":\"text\",\"text\":\"Go. [[sim: loop=3 "
                               "think=omitted]]\",\"cache_control\":{\"type\":"
                               "\"ephemeral\"}}]")),
               (struct account){0}, NULL);
        expect(request(models[i], TOOLS, replace(first, ",\"caller\":{\"type\":\"direct\"}", "")),
               (struct account){0}, NULL);
    }
}

static void refuses_what_was_changed(void **state)
{
    (void)state;
    struct str first;
    run_loop("claude-opus-5", &first);
    ptrdiff_t at = str_find(first, STR("EqQB"));
    char *changed = arena_alloc(&arena, first.n);
    assert_non_null(changed);
    memcpy(changed, first.p, first.n);
    changed[at + 100] = changed[at + 100] == 'A' ? 'B' : 'A';
    expect(request("claude-opus-5", TOOLS, (struct str){changed, first.n}), (struct account){0},
           "messages.1.content.0: Invalid `signature` in `thinking` block");
    expect(
        request("claude-opus-5", TOOLS, replace(first, "\"thinking\":\"\"", "\"thinking\":\"x\"")),
        (struct account){0}, "Invalid `signature`");
}

static void binds_blocks_to_their_prefix(void **state)
{
    (void)state;
    static const char bound[] = "messages.1.content.0: Invalid signature in thinking block. The "
                                "block is bound to a different conversation";
#define DROP                                                                                       \
    "\"thinking\":{\"type\":\"adaptive\",\"block_binding\":{\"prefix_mismatch_behavior\":"         \
    "\"drop_block\"}},"
#define SAID "\"system\":\"Be brief.\","
    const struct {
        const char *model, *more;
        struct account account;
        const char *want;
    } cases[] = {
        {"claude-fable-5-2", TOOLS SAID, {0}, bound},
        {"claude-fable-5-2", TOOLS SAID, {.is_old = true}, bound},
        {"claude-fable-5-1", TOOLS SAID, {0}, bound},
        {"claude-opus-5-5", TOOLS SAID, {0}, bound},
        {"claude-sonnet-5-5", TOOLS SAID, {0}, bound},
        {"claude-haiku-5-5", TOOLS SAID, {0}, bound},
        {"claude-haiku-5-5", "", {0}, bound}, /* the tools are gone */
        {"claude-opus-5-5", TOOLS SAID, {.is_old = true}, NULL},
        {"claude-opus-5", TOOLS SAID, {0}, NULL},
        {"claude-opus-5-5", TOOLS SAID DROP, {.has_beta = true}, NULL},
        {"claude-opus-5-5", TOOLS SAID DROP, {0}, "block_binding: Extra inputs"},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct str first;
        run_loop(cases[i].model, &first);
        expect(request(cases[i].model, cases[i].more, first), cases[i].account, cases[i].want);
    }
    struct str first;
    run_loop("claude-opus-5-5", &first); /* another model drops the block without a word */
    expect(request("claude-haiku-5-5", SAID, first), (struct account){0}, NULL);
}

static void misses_blocks(void **state)
{
    (void)state;
    struct str body = request("claude-opus-5", "",
                              STR("{\"role\":\"user\",\"content\":\"[[sim: "
                                  "blocks=think,text,think,text think=omitted words=8]]\"}"));
    struct str content = content_of(body);
    struct str whole = arena_printf(&arena,
                                    "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
                                    "\"content\":%.*s},{\"role\":\"user\",\"content\":\"b\"}",
                                    STR_ARG(content));
    expect(request("claude-opus-5", "", whole), (struct account){0}, NULL);
    ptrdiff_t at = str_find(content, STR("},{"));
    struct str less = arena_printf(
        &arena,
        "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[%.*s},"
        "{\"role\":\"user\",\"content\":\"b\"}",
        (int)(content.n - (size_t)at - 2), content.p + at + 2);
    expect(request("claude-opus-5", "", less), (struct account){0}, "cannot be modified");
    /* With manual thinking a turn of tools begins with it. */
    struct str bare =
        STR("{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
            "[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"get_weather\",\"input\":"
            "{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
            "\"tool_use_id\":\"t\",\"content\":\"x\"}]}");
    expect(request("claude-haiku-4-5",
                   TOOLS "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":"
                         "1024},",
                   bare),
           (struct account){0}, "Expected `thinking` or `redacted_thinking`");
    expect(request("claude-haiku-4-5", TOOLS, bare), (struct account){0}, NULL);
}

static struct cache_usage use(struct cache *c, struct str body, const char *account)
{
    struct cache_usage u;
    yyjson_doc *doc = parse(body);
    cache_use(c, yyjson_doc_get_root(doc), str_of(account), sim_model_find(STR("claude-opus-4-6")),
              &u);
    yyjson_doc_free(doc);
    return u;
}

#define MARK "\"cache_control\":{\"type\":\"ephemeral\"}"
#define HOUR "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"

static void caches_what_is_marked(void **state)
{
    (void)state;
    char words[6001];
    for (size_t i = 0; i < sizeof(words) - 1; i++)
        words[i] = "abc "[i % 4];
    words[sizeof(words) - 1] = '\0';
    struct cache *c = cache_create();
    assert_non_null(c);
    struct str user = STR("{\"role\":\"user\",\"content\":\"hi\"}");
    struct str system =
        arena_printf(&arena, "\"system\":[{\"type\":\"text\",\"text\":\"%s\"," MARK "}],", words);
    struct str body = request("claude-opus-4-6", system.p, user);
    struct cache_usage first = use(c, body, "k"), again = use(c, body, "k"),
                       other = use(c, body, "x");
    assert_true(first.write >= 1500);
    assert_int_equal(first.read, 0);
    assert_int_equal(again.read, first.write);
    assert_int_equal(again.write, 0);
    assert_int_equal(other.read, 0);
    /* The automatic mark moves on with the conversation and finds what it wrote before. */
    struct str plain = arena_printf(&arena, "\"system\":\"%s\"," HOUR ",", words);
    struct cache_usage grown = use(c, request("claude-opus-4-6", plain.p, user), "auto");
    assert_int_equal(grown.read, 0);
    assert_int_equal(grown.write_1h, grown.write);
    struct str longer = arena_printf(&arena,
                                     "%.*s,{\"role\":\"assistant\",\"content\":\"ho\"},{\"role\":"
                                     "\"user\",\"content\":\"ha\"}",
                                     STR_ARG(user));
    struct cache_usage next = use(c, request("claude-opus-4-6", plain.p, longer), "auto");
    assert_int_equal(next.read, grown.write);
    assert_true(next.write > 0 && next.write < 10);
    cache_forget(c);
    assert_int_equal(use(c, body, "k").read, 0);
    struct str little = request("claude-opus-4-6", MARK ",", user);
    use(c, little, "k");
    assert_int_equal(use(c, little, "k").read, 0);
    cache_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_back_what_it_said, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refuses_what_was_changed, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(binds_blocks_to_their_prefix, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(misses_blocks, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(caches_what_is_marked, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

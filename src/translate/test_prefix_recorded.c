/*
 * The recorded conversations, turn by turn: what a request made of `system`, `tools` and
 * `messages` must stand in the next one to the byte, or caches and signed thinking are lost. Cache
 * marks may move. Where the text must change it is one of the reasons below, each of them counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "translate/model.h"
#include "translate/recorded.h"

#define ARENA_MAX (64u << 20)
#define SHOWN_MAX 5

/* One request of a conversation, as it goes upstream. */
struct turn {
    bool is_there; /* not refused */
    bool is_emulated;
    size_t n_messages; /* of the client */
    struct arena arena;
    struct buf body;
    yyjson_doc *doc;
};

static size_t conversations, compared, hoisted, instructed, emptied, broken;
static struct model_info model;

static bool is_role(yyjson_val *message, const char *role)
{
    return yyjson_equals_str(json_get(message, "role"), role);
}

/* Appends the value without its marks: they hold no braces, and no string holds a bare quote. */
static void write_unmarked(yyjson_val *v, struct buf *out)
{
    struct buf text;
    buf_init(&text, ARENA_MAX);
    if (v)
        json_write_value(&text, v);
    struct str rest = buf_str(&text);
    ptrdiff_t at;
    while ((at = str_find(rest, STR(",\"cache_control\":{"))) >= 0) {
        buf_append(out, rest.p, (size_t)at);
        struct str mark = {rest.p + at, rest.n - (size_t)at};
        ptrdiff_t end = str_find(mark, STR("}"));
        rest = (struct str){mark.p + end + 1, mark.n - (size_t)end - 1};
    }
    buf_append_str(out, rest);
    buf_done(&text);
}

static bool is_same(yyjson_val *before, yyjson_val *after)
{
    struct buf a, b;
    buf_init(&a, ARENA_MAX);
    buf_init(&b, ARENA_MAX);
    write_unmarked(before, &a);
    write_unmarked(after, &b);
    bool same = str_eq(buf_str(&a), buf_str(&b));
    if (!same && broken < SHOWN_MAX)
        print_message("before: %.*s\nafter:  %.*s\n", (int)(a.len < 600 ? a.len : 600), a.data,
                      (int)(b.len < 600 ? b.len : 600), b.data);
    buf_done(&a);
    buf_done(&b);
    return same;
}

static void turn_init(struct turn *t, yyjson_val *request, size_t n_messages)
{
    struct tr_policy policy = recorded_policy(model.id.p, false);
    struct tr_request req;
    struct api_error err;
    struct json_error json_err;
    struct buf in;
    memset(t, 0, sizeof(*t));
    buf_init(&in, ARENA_MAX);
    arena_init(&t->arena, ARENA_MAX);
    recorded_write(request, n_messages, &in);
    t->n_messages = n_messages;
    t->is_there = tr_request(&t->arena, &policy, NULL, buf_str(&in), &req, &err);
    if (t->is_there) {
        t->is_emulated = req.is_tool_choice_emulated;
        t->body = req.body;
        t->doc = json_parse(buf_str(&t->body), &json_err);
        assert_non_null(t->doc);
    }
    buf_done(&in);
}

static void turn_done(struct turn *t)
{
    if (t->is_there) {
        yyjson_doc_free(t->doc);
        buf_done(&t->body);
    }
    arena_done(&t->arena);
}

/* Whether a system message came between two requests. */
static bool has_late_system(yyjson_val *messages, const struct turn *before, size_t to)
{
    for (size_t i = before->n_messages; i < to; i++)
        if (is_role(yyjson_arr_get(messages, i), "system"))
            return true;
    return false;
}

/* Whether the answer to `before` came back without anything that can be sent: then it is no turn.
 */
static bool is_empty_answer(yyjson_val *messages, const struct turn *before)
{
    yyjson_val *answer = yyjson_arr_get(messages, before->n_messages);
    yyjson_val *content = json_get(answer, "content");
    return is_role(answer, "assistant") && json_str(content).n == 0 && !yyjson_is_arr(content) &&
           !json_get(answer, "tool_calls") && !json_get(answer, "function_call");
}

static void compare(yyjson_val *request, const struct turn *before, const struct turn *after)
{
    yyjson_val *a = yyjson_doc_get_root(before->doc), *b = yyjson_doc_get_root(after->doc);
    yyjson_val *messages = json_get(a, "messages"), *later = json_get(b, "messages");
    yyjson_val *said = json_get(request, "messages");
    size_t n = yyjson_arr_size(messages);
    compared++;
    bool is_fine = is_same(json_get(a, "tools"), json_get(b, "tools"));
    if (!model.takes_system_role && has_late_system(said, before, after->n_messages))
        hoisted++;
    else
        is_fine = is_fine && is_same(json_get(a, "system"), json_get(b, "system"));
    if (before->is_emulated) { /* told to call a tool, in words that the client does not keep */
        instructed++;
        n--;
    } else if (is_empty_answer(said, before)) { /* what the user says goes on */
        emptied++;
        n--;
    }
    for (size_t i = 0; i < n && is_fine; i++)
        is_fine = is_same(yyjson_arr_get(messages, i), yyjson_arr_get(later, i));
    if (!is_fine && broken++ < SHOWN_MAX)
        print_message("%.*s\nbecame %.*s\n", (int)(before->body.len < 900 ? before->body.len : 900),
                      before->body.data, (int)(after->body.len < 900 ? after->body.len : 900),
                      after->body.data);
}

/*
 * A request was sent wherever the assistant answered, and at the end. None had the system prompt
 * alone, which would be what the user says.
 */
static bool is_turn(yyjson_val *messages, size_t n)
{
    yyjson_val *last = yyjson_arr_get(messages, n - 1);
    return !is_role(last, "assistant") && !is_role(last, "system") &&
           (n == yyjson_arr_size(messages) || is_role(yyjson_arr_get(messages, n), "assistant"));
}

static void follow(yyjson_val *request)
{
    yyjson_val *messages = json_get(request, "messages");
    struct turn before = {0};
    size_t turns = 0;
    for (size_t n = 1; n <= yyjson_arr_size(messages); n++) {
        struct turn after;
        if (!is_turn(messages, n))
            continue;
        turn_init(&after, request, n);
        if (before.is_there && after.is_there)
            compare(request, &before, &after);
        if (turns++)
            turn_done(&before);
        before = after;
    }
    if (turns)
        turn_done(&before);
    conversations += turns > 1;
}

/* The same with a system message in front of what follows the first answer. */
static void follow_with_late_system(yyjson_val *request)
{
    yyjson_val *messages = json_get(request, "messages");
    size_t at = 1;
    while (at < yyjson_arr_size(messages) &&
           !(is_role(yyjson_arr_get(messages, at - 1), "assistant") &&
             !is_role(yyjson_arr_get(messages, at), "assistant")))
        at++;
    if (at >= yyjson_arr_size(messages))
        return;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, request);
    yyjson_mut_val *late = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    assert_true(yyjson_mut_obj_add_str(doc, late, "role", "system"));
    assert_true(yyjson_mut_obj_add_str(doc, late, "content", "Be brief from here on."));
    assert_true(yyjson_mut_arr_insert(yyjson_mut_obj_get(root, "messages"), late, at));
    yyjson_doc *changed = yyjson_mut_doc_imut_copy(doc, NULL);
    follow(yyjson_doc_get_root(changed));
    yyjson_doc_free(changed);
    yyjson_mut_doc_free(doc);
}

static void follow_everywhere(yyjson_val *request)
{
    for (size_t i = 0; i < RECORDED_CLASSES; i++) {
        tr_model_info(NULL, str_of(recorded_models[i]), &model);
        model.id = str_of(recorded_models[i]);
        follow(request);
        follow_with_late_system(request);
    }
}

static const char *shared_dir;

static void test_each_turn_keeps_the_last(void **state)
{
    (void)state;
    if (recorded_requests(shared_dir, follow_everywhere) == 0 ||
        recorded_exchanges(shared_dir, follow_everywhere) == 0)
        skip();
    print_message(
        "count: prefixes: %zu conversations of several turns, half of them with a late "
        "system message put in, for %d classes of models: %zu turns compared, %zu broken\n",
        conversations / RECORDED_CLASSES, RECORDED_CLASSES, compared, broken);
    print_message("%8zu with the late system message in the system prompt, where the model takes "
                  "none later\n",
                  hoisted);
    print_message("%8zu behind an instruction to call a tool\n", instructed);
    print_message("%8zu behind an empty answer\n", emptied);
    assert_true(compared > 0);
    assert_int_equal(broken, 0);
}

int main(int argc, char **argv)
{
    shared_dir = argc > 1 ? argv[1] : "../shared";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_turn_keeps_the_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * `claude-proxy translate request|response|stream`: the translation library from standard input to
 * standard output, for debugging and golden tests.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/own_flags.h"
#include "cli/setup.h"
#include "server/policy.h"
#include "translate/request.h"
#include "translate/stream.h"

#define PIECE_BYTES     65536
#define ARENA_BYTES_MAX ((size_t)256 << 20) /* of one request's translation */

enum {
    CREATED,
    JSON_OBJECT,
    STRUCTURED,
    METADATA,
    FUNCTION_CALL,
    CARRY_CONTENT,
    AGGREGATE,
    INCLUDE_USAGE,
    ANSWER_FLAGS
};

/* Up to `max` bytes more of standard input. False after saying what is wrong. */
static bool read_piece(struct buf *to, size_t max, bool *ret_is_end)
{
    char *p = buf_reserve(to, max);
    ssize_t n;
    do
        n = p ? read(STDIN_FILENO, p, max) : -1;
    while (p && n < 0 && errno == EINTR);
    if (n < 0) {
        if (p)
            setup_complain("cannot read standard input: %s", strerror(errno));
        else
            setup_complain("the input is larger than %zu bytes", to->max);
        return false;
    }
    to->len += (size_t)n;
    *ret_is_end = n == 0;
    return true;
}

static bool read_all(struct buf *to)
{
    bool is_end = false;
    while (!is_end) {
        size_t room = to->max - to->len;
        /* One byte more than fits would be asked for: then the buffer says that it is full. */
        if (!read_piece(to, room == 0 ? 1 : room < PIECE_BYTES ? room : PIECE_BYTES, &is_end))
            return false;
    }
    return true;
}

static bool write_all(struct str s)
{
    return fwrite(s.p, 1, s.n, stdout) == s.n && fflush(stdout) == 0;
}

static int print_error(const struct api_error *e)
{
    struct buf text;
    buf_init(&text, PIECE_BYTES);
    api_error_write(e, &text);
    buf_append_char(&text, '\n');
    write_all(buf_str(&text));
    buf_done(&text);
    return CLI_FAILED;
}

static void explain_line(const char *name, struct str value)
{
    if (value.n)
        fprintf(stderr, "%s: %.*s\n", name, STR_ARG(value));
}

static void explain(const struct tr_request *r)
{
    explain_line("model", r->model);
    explain_line("anthropic-version", str_of(r->version));
    explain_line("anthropic-beta", r->beta);
    explain_line("x-ignored-params", r->ignored);
    explain_line("x-modified-params", r->modified);
    if (r->is_best_effort_format)
        explain_line("x-response-format", STR("best-effort"));
    fprintf(stderr, "input-estimate: %lld\n", (long long)r->input_estimate);
}

static int translate_request(const struct config *c, struct str body, bool is_explained)
{
    struct arena arena;
    struct tr_request request;
    struct api_error error;
    const struct tr_policy policy = policy_of_config(c);
    arena_init(&arena, ARENA_BYTES_MAX);
    int exit_code = CLI_OK;
    if (tr_request(&arena, &policy, NULL, body, &request, &error)) {
        if (is_explained)
            explain(&request);
        if (!buf_append_char(&request.body, '\n') || !write_all(buf_str(&request.body)))
            exit_code = CLI_FAILED;
        buf_done(&request.body);
    } else {
        if (is_explained)
            fprintf(stderr, "status: %d\n", error.status);
        exit_code = print_error(&error);
    }
    arena_done(&arena);
    return exit_code;
}

static int run_request(int argc, char **argv)
{
    struct own_flag is_explained = {.name = "explain", .kind = OWN_FLAG_SWITCH};
    struct config config = {0};
    if (!own_flags_take(&argc, argv, &is_explained, 1) ||
        !setup_config(&config, argc, argv, NULL, 0)) {
        config_done(&config);
        return CLI_USAGE;
    }
    struct buf body;
    buf_init(&body, (size_t)config.max_body_bytes);
    int exit_code = read_all(&body)
                        ? translate_request(&config, buf_str(&body), is_explained.is_given)
                        : CLI_FAILED;
    buf_done(&body);
    config_done(&config);
    return exit_code;
}

/* A translation of an answer on its way from standard input to standard output. */
struct answer {
    struct tr_stream *stream;
    struct buf out;
    bool has_written;
};

/* Writes what the translation gave so far. */
static bool flush_answer(struct answer *a)
{
    if (a->out.len == 0)
        return !a->out.failed;
    bool is_fine = !a->out.failed && write_all(buf_str(&a->out));
    a->has_written = true;
    buf_reset(&a->out);
    return is_fine;
}

static bool is_over(const struct answer *a)
{
    enum tr_state now = tr_stream_state(a->stream);
    return now == TR_DONE || now == TR_FAILED;
}

/* Feeds standard input as it comes; chunks go out as they are translated. */
static bool feed_stream(struct answer *a)
{
    struct buf piece;
    buf_init(&piece, PIECE_BYTES);
    bool is_end = false, is_fine = true;
    while (is_fine && !is_end && !is_over(a)) {
        buf_reset(&piece);
        is_fine = read_piece(&piece, PIECE_BYTES, &is_end);
        if (!is_fine)
            break;
        if (is_end)
            tr_stream_end(a->stream, &a->out);
        else
            tr_stream_feed(a->stream, buf_str(&piece), &a->out);
        is_fine = flush_answer(a);
    }
    buf_done(&piece);
    return is_fine;
}

static bool feed_message(struct answer *a)
{
    struct buf message;
    buf_init(&message, TR_BODY_MAX);
    bool is_fine = read_all(&message);
    if (is_fine) {
        tr_stream_feed_message(a->stream, buf_str(&message), &a->out);
        is_fine = flush_answer(a);
    }
    buf_done(&message);
    return is_fine;
}

static int translate_answer(const struct tr_stream_params *params, bool is_event_stream)
{
    struct answer a = {.stream = tr_stream_create(params)};
    if (!a.stream) {
        setup_complain("out of memory");
        return CLI_FAILED;
    }
    buf_init(&a.out, TR_BODY_MAX);
    bool is_fine = is_event_stream ? feed_stream(&a) : feed_message(&a);
    bool is_done = tr_stream_state(a.stream) == TR_DONE;
    if (is_fine && is_done && !params->is_stream)
        is_fine = write_all(STR("\n"));
    /* Chunks that had begun to flow have ended with their own error. */
    if (is_fine && !is_done && !a.has_written)
        print_error(tr_stream_error(a.stream));
    buf_done(&a.out);
    tr_stream_destroy(a.stream);
    return is_fine && is_done ? CLI_OK : CLI_FAILED;
}

static int run_answer(int argc, char **argv, bool is_event_stream)
{
    struct own_flag flags[ANSWER_FLAGS] = {
        [CREATED] = {.name = "created", .kind = OWN_FLAG_NUMBER, .high = INT64_MAX},
        [JSON_OBJECT] = {.name = "json-object", .kind = OWN_FLAG_SWITCH},
        [STRUCTURED] = {.name = "structured", .kind = OWN_FLAG_SWITCH},
        [METADATA] = {.name = "metadata", .kind = OWN_FLAG_TEXT},
        [FUNCTION_CALL] = {.name = "function-call", .kind = OWN_FLAG_SWITCH},
        [CARRY_CONTENT] = {.name = "carry-content", .kind = OWN_FLAG_SWITCH},
        [AGGREGATE] = {.name = "aggregate", .kind = OWN_FLAG_SWITCH},
        [INCLUDE_USAGE] = {.name = "include-usage", .kind = OWN_FLAG_SWITCH},
    };
    size_t n = is_event_stream ? ANSWER_FLAGS : AGGREGATE; /* the last two are of streams only */
    struct config config = {0};
    if (!own_flags_take(&argc, argv, flags, n) || !setup_config(&config, argc, argv, NULL, 0)) {
        config_done(&config);
        return CLI_USAGE;
    }
    const struct tr_policy policy = policy_of_config(&config);
    const struct tr_stream_params params = {
        .is_stream = is_event_stream && !flags[AGGREGATE].is_given,
        .include_usage = flags[INCLUDE_USAGE].is_given,
        .is_json_object = flags[JSON_OBJECT].is_given,
        .is_structured = flags[STRUCTURED].is_given,
        .is_function_call = flags[FUNCTION_CALL].is_given,
        .carries_content = flags[CARRY_CONTENT].is_given,
        .reasoning_forms = policy.reasoning_forms,
        .anthropic_usage = policy.anthropic_usage,
        .created_unix_s = flags[CREATED].is_given ? flags[CREATED].number : clock_unix_ms() / 1000,
        .metadata = str_of(flags[METADATA].text),
    };
    const int exit_code = translate_answer(&params, is_event_stream);
    config_done(&config);
    return exit_code;
}

int cli_translate(int argc, char **argv)
{
    const char *what = argc > 0 ? argv[0] : "";
    if (strcmp(what, "request") == 0)
        return run_request(argc - 1, argv + 1);
    if (strcmp(what, "response") == 0)
        return run_answer(argc - 1, argv + 1, false);
    if (strcmp(what, "stream") == 0)
        return run_answer(argc - 1, argv + 1, true);
    setup_complain("translate what: request, response or stream?");
    return CLI_USAGE;
}

/*
 * The translation as a library: an OpenAI request on standard input, Anthropic's on standard
 * output.
 */
#include <stdio.h>

#include "translate/request.h"

int main(void)
{
    static char text[1 << 20];
    const struct tr_policy policy = {.default_model = STR("claude-haiku-5-5"), .max_tokens = 4096};
    struct arena arena;
    struct tr_request request;
    struct api_error error;
    arena_init(&arena, 16 << 20);
    struct str body = {text, fread(text, 1, sizeof(text), stdin)};
    bool is_fine = tr_request(&arena, &policy, NULL, body, &request, &error);
    if (is_fine) {
        printf("%.*s\n", STR_ARG(buf_str(&request.body)));
        buf_done(&request.body);
    } else {
        fprintf(stderr, "%d %s: %s\n", error.status, error.param, error.message);
    }
    arena_done(&arena);
    return is_fine ? 0 : 1;
}

/*
 * Reads recorded requests line by line.
 */
#include "translate/recorded.h"

#include <stdio.h>
#include <stdlib.h>

const char *const recorded_models[RECORDED_CLASSES] = {
    "claude-fable-5-2", "claude-fable-5-1",  "claude-fable-5",  "claude-mythos-preview",
    "claude-opus-5-5",  "claude-opus-5",     "claude-opus-4-8", "claude-opus-4-7",
    "claude-opus-4-5",  "claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6",
    "claude-haiku-5-5", "claude-haiku-4-5",
};

static bool use_line(struct str line, void (*use)(yyjson_val *))
{
    struct json_error err;
    yyjson_doc *doc = json_parse(line, &err);
    yyjson_val *root = yyjson_doc_get_root(doc), *body = json_get(root, "request_body");
    bool is_chat = body && str_find(json_str(json_get(root, "path")), STR("chat/completions")) >= 0;
    if (is_chat)
        use(body);
    yyjson_doc_free(doc);
    return is_chat;
}

size_t recorded_requests(const char *otherwise, void (*use)(yyjson_val *))
{
    char path[4096];
    const char *shared = getenv("SHARED_DIR");
    snprintf(path, sizeof(path), "%s/fixtures/openai_requests.jsonl", shared ? shared : otherwise);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("no recordings at %s\n", path);
        return 0;
    }
    size_t requests = 0, cap = 0;
    char *line = NULL;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0)
        requests += use_line((struct str){line, (size_t)n}, use);
    free(line);
    fclose(f);
    return requests;
}

static void write_messages(yyjson_val *messages, size_t n_messages, struct buf *out)
{
    size_t i, max;
    yyjson_val *message;
    buf_append_char(out, '[');
    yyjson_arr_foreach(messages, i, max, message)
    {
        if (i >= n_messages)
            break;
        buf_append_z(out, i ? "," : "");
        json_write_value(out, message);
    }
    buf_append_char(out, ']');
}

void recorded_write(yyjson_val *request, size_t n_messages, struct buf *out)
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
        if (yyjson_equals_str(key, "messages") && yyjson_is_arr(v))
            write_messages(v, n_messages, out);
        else
            json_write_value(out, v);
        between = ",";
    }
    buf_append_z(out, between[0] == '{' ? "{}" : "}");
}

struct tr_policy recorded_policy(const char *model, bool is_strict)
{
    return (struct tr_policy){.default_model = str_of(model),
                              .model_succession = true,
                              .max_tokens = 4096,
                              .thinking_reserve = true,
                              .temperature = 0.1,
                              .eager_tool_input = true,
                              .strict = is_strict};
}

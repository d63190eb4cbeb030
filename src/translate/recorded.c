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

static bool use_request(yyjson_val *root, void (*use)(yyjson_val *))
{
    yyjson_val *body = json_get(root, "request_body");
    if (!body || str_find(json_str(json_get(root, "path")), STR("chat/completions")) < 0)
        return false;
    use(body);
    return true;
}

static bool turn_around(yyjson_val *root, void (*use)(yyjson_val *))
{
    yyjson_val *body = json_get(root, "request_body"), *system = json_get(body, "system");
    if (!yyjson_is_arr(json_get(body, "messages")))
        return false;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *request = yyjson_mut_obj(doc);
    yyjson_mut_val *messages = yyjson_val_mut_copy(doc, json_get(body, "messages"));
    yyjson_mut_doc_set_root(doc, request);
    if (system) {
        yyjson_mut_val *first = yyjson_mut_obj(doc);
        yyjson_mut_obj_add_str(doc, first, "role", "system");
        yyjson_mut_obj_add_val(doc, first, "content", yyjson_val_mut_copy(doc, system));
        yyjson_mut_arr_prepend(messages, first);
    }
    yyjson_mut_obj_add_val(doc, request, "messages", messages);
    if (json_get(body, "tools"))
        yyjson_mut_obj_add_val(doc, request, "tools",
                               yyjson_val_mut_copy(doc, json_get(body, "tools")));
    yyjson_doc *turned = yyjson_mut_doc_imut_copy(doc, NULL);
    use(yyjson_doc_get_root(turned));
    yyjson_doc_free(turned);
    yyjson_mut_doc_free(doc);
    return true;
}

static size_t each_line(const char *otherwise, const char *name,
                        bool (*use_line)(yyjson_val *, void (*)(yyjson_val *)),
                        void (*use)(yyjson_val *))
{
    char path[4096];
    const char *shared = getenv("SHARED_DIR");
    snprintf(path, sizeof(path), "%s/fixtures/%s", shared ? shared : otherwise, name);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("no recordings at %s\n", path);
        return 0;
    }
    size_t lines = 0, cap = 0;
    char *line = NULL;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0) {
        struct json_error err;
        yyjson_doc *doc = json_parse((struct str){line, (size_t)n}, &err);
        lines += doc && use_line(yyjson_doc_get_root(doc), use);
        yyjson_doc_free(doc);
    }
    free(line);
    fclose(f);
    return lines;
}

size_t recorded_requests(const char *otherwise, void (*use)(yyjson_val *))
{
    return each_line(otherwise, "openai_requests.jsonl", use_request, use);
}

size_t recorded_exchanges(const char *otherwise, void (*use)(yyjson_val *))
{
    return each_line(otherwise, "anthropic_exchanges.jsonl", turn_around, use);
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

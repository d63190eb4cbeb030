/*
 * Anthropic's usage objects -> OpenAI's. Anthropic counts cached input apart from the rest, OpenAI
 * counts it in.
 */
#include "translate/usage.h"

static void read_count(int64_t *count, yyjson_val *v)
{
    int64_t n;
    if (json_to_int(v, &n) && n >= 0 && n <= USAGE_TOKENS_MAX)
        *count = n;
}

void usage_read(struct tr_usage *u, yyjson_val *usage)
{
    enum { INPUT, CACHE_WRITE, CACHE_READ, OUTPUT, DETAILS, MEMBERS };
    static const struct str names[MEMBERS] = {
        [INPUT] = STR("input_tokens"),
        [CACHE_WRITE] = STR("cache_creation_input_tokens"),
        [CACHE_READ] = STR("cache_read_input_tokens"),
        [OUTPUT] = STR("output_tokens"),
        [DETAILS] = STR("output_tokens_details"),
    };
    yyjson_val *member[MEMBERS];
    json_get_all(usage, names, MEMBERS, member);
    read_count(&u->input, member[INPUT]);
    read_count(&u->cache_write, member[CACHE_WRITE]);
    read_count(&u->cache_read, member[CACHE_READ]);
    read_count(&u->output, member[OUTPUT]);
    read_count(&u->thinking, json_get(member[DETAILS], "thinking_tokens"));
}

struct tr_usage usage_sum(const struct tr_usage *a, const struct tr_usage *b)
{
    return (struct tr_usage){
        .input = a->input + b->input,
        .cache_write = a->cache_write + b->cache_write,
        .cache_read = a->cache_read + b->cache_read,
        .output = a->output + b->output,
        .thinking = a->thinking + b->thinking,
    };
}

bool usage_is_known(const struct tr_usage *u)
{
    return u->input + u->cache_write + u->cache_read + u->output > 0;
}

bool usage_write(const struct usage_report *report, struct buf *out)
{
    const struct tr_usage *u = &report->counts;
    int64_t prompt = u->input + u->cache_write + u->cache_read;
    buf_append_z(out, "{\"prompt_tokens\":");
    buf_append_i64(out, prompt);
    buf_append_z(out, ",\"completion_tokens\":");
    buf_append_i64(out, u->output);
    buf_append_z(out, ",\"total_tokens\":");
    buf_append_i64(out, prompt + u->output);
    buf_append_z(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    buf_append_i64(out, u->cache_read);
    buf_append_z(out, ",\"cache_write_tokens\":");
    buf_append_i64(out, u->cache_write);
    buf_append_z(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
    buf_append_i64(out, u->thinking);
    buf_append_char(out, '}');
    if (report->upstream.n) {
        buf_append_z(out, ",\"anthropic\":");
        buf_append_str(out, report->upstream);
    }
    return buf_append_char(out, '}');
}

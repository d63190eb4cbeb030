/*
 * Anthropic's usage objects -> OpenAI's. Anthropic counts cached input apart from the rest, OpenAI
 * counts it in.
 */
#include "translate/usage.h"

static void read_count(int64_t *count, yyjson_val *obj, const char *name)
{
    int64_t v;
    if (json_to_int(json_get(obj, name), &v) && v >= 0 && v <= USAGE_TOKENS_MAX)
        *count = v;
}

void usage_read(struct tr_usage *u, yyjson_val *usage)
{
    read_count(&u->input, usage, "input_tokens");
    read_count(&u->cache_write, usage, "cache_creation_input_tokens");
    read_count(&u->cache_read, usage, "cache_read_input_tokens");
    read_count(&u->output, usage, "output_tokens");
    read_count(&u->thinking, json_get(usage, "output_tokens_details"), "thinking_tokens");
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

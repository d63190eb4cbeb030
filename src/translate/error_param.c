/*
 * Anthropic's error paths -> paths in an OpenAI request. Anthropic's carry the tags of unions (the
 * type of a block or a tool) as if they were fields; those are left out.
 */
#include "translate/error_param.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "translate/origin.h"

#define PATH_BYTES_MAX 256

/* How the components behind a root are translated, or its own name. */
enum rest { REST_DROPPED, REST_MESSAGE, REST_TOOL, REST_MAX_TOKENS, REST_USER };

/* Upstream path, from its start -> the client's. Longer ones stand before their beginnings. */
static const struct {
    struct str from, to;
    enum rest rest;
} roots[] = {
#define ROOT(from, to, rest)                                                                       \
    {                                                                                              \
        {from, sizeof(from) - 1}, {to, sizeof(to) - 1}, rest                                       \
    }
    ROOT("messages", "messages", REST_MESSAGE),
    ROOT("tools", "tools", REST_TOOL),
    ROOT("system", "messages", REST_DROPPED),
    ROOT("output_config.format.schema", "response_format.json_schema.schema", REST_DROPPED),
    ROOT("output_config.format", "response_format", REST_DROPPED),
    ROOT("output_config.effort", "reasoning_effort", REST_DROPPED),
    ROOT("thinking", "reasoning_effort", REST_DROPPED),
    ROOT("stop_sequences", "stop", REST_DROPPED),
    ROOT("metadata.user_id", "user", REST_USER),
    ROOT("tool_choice", "tool_choice", REST_DROPPED),
    ROOT("max_tokens", "max_tokens", REST_MAX_TOKENS),
    ROOT("temperature", "temperature", REST_DROPPED),
    ROOT("top_p", "top_p", REST_DROPPED),
    ROOT("top_k", "top_k", REST_DROPPED),
    ROOT("model", "model", REST_DROPPED),
    ROOT("service_tier", "service_tier", REST_DROPPED),
#undef ROOT
};

static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/* What stands in front of the first ": ", if it looks like a path. */
static bool find_path(struct str message, struct str *ret)
{
    size_t n = 0;
    while (n < message.n && n < PATH_BYTES_MAX && is_path_char(message.p[n]))
        n++;
    if (n == 0 || n >= message.n || message.p[n] != ':')
        return false;
    *ret = (struct str){message.p, n};
    return true;
}

/* Whether `path` begins with all the components of `root`; moves it behind them. */
static bool skip_root(struct str *path, struct str root)
{
    if (!str_starts(*path, root) || (path->n > root.n && path->p[root.n] != '.'))
        return false;
    size_t n = path->n > root.n ? root.n + 1 : root.n;
    *path = (struct str){path->p + n, path->n - n};
    return true;
}

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static void write_component(struct buf *b, struct str part)
{
    bool is_index = is_number(part);
    buf_append_char(b, is_index ? '[' : '.');
    buf_append_str(b, part);
    if (is_index)
        buf_append_char(b, ']');
}

/* Blocks are a union: the component behind the index in a content list is the block's type. */
static void write_block_path(struct buf *b, struct str rest)
{
    struct str part, last = {0}, tag;
    while (str_split(&rest, '.', &part)) {
        if (str_eq(part, STR("source")))
            return; /* the client wrote images and files in another way */
        write_component(b, part);
        struct str behind = rest;
        if (is_number(part) && str_eq(last, STR("content")) && str_split(&behind, '.', &tag) &&
            !str_eq(tag, STR("type")))
            rest = behind;
        last = part;
    }
}

/* Where the upstream's message came from; none when nobody knows. */
static struct origin origin_at(const struct client_names *names, struct str index)
{
    uint64_t i;
    if (!names || !str_to_u64(index, &i) || i >= names->n_messages)
        return (struct origin){0};
    return names->messages[i];
}

/* As much of the path as it has in the client's message, which the index counts differently. */
static void write_message_path(struct buf *b, const struct client_names *names, struct str rest)
{
    struct str index, part, behind;
    if (!str_split(&rest, '.', &index))
        return;
    const struct origin o = origin_at(names, index);
    if (o.message == 0)
        return;
    buf_printf(b, "[%u]", (unsigned)o.message - 1);
    behind = rest;
    const bool is_content = str_split(&behind, '.', &part) && str_eq(part, STR("content"));
    if (is_content && o.parts == 0) {
        if (o.is_text)
            write_component(b, part);
        return;
    }
    write_block_path(b, rest);
}

static bool is_tool_field(struct str s)
{
    static const char names[][16] = {"name", "description", "input_schema", "strict", "type"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (str_eq(s, str_of(names[i])))
            return true;
    return false;
}

/* Tools are a union too; OpenAI has the fields of a tool one level deeper. */
static void write_tool_path(struct buf *b, struct str rest)
{
    struct str part;
    if (!str_split(&rest, '.', &part))
        return;
    write_component(b, part);
    if (!str_split(&rest, '.', &part))
        return;
    if (!is_tool_field(part) && !str_split(&rest, '.', &part))
        return;
    if (str_eq(part, STR("input_schema")))
        part = STR("parameters");
    if (!str_eq(part, STR("type")))
        buf_append_z(b, ".function");
    do
        write_component(b, part);
    while (str_split(&rest, '.', &part));
}

/* The root as the client wrote it, where it has two names for it. */
static struct str root_name(size_t root, const struct client_names *names)
{
    if (names && roots[root].rest == REST_MAX_TOKENS)
        return str_of(names->max_tokens);
    if (names && roots[root].rest == REST_USER)
        return str_of(names->user);
    return roots[root].to;
}

bool error_param(struct str message, const struct client_names *names, char *to, size_t size)
{
    struct str path;
    size_t i = 0;
    to[0] = '\0';
    if (!find_path(message, &path))
        return false;
    while (i < PX_ARRAY_LEN(roots) && !skip_root(&path, roots[i].from))
        i++;
    if (i == PX_ARRAY_LEN(roots))
        return false;
    struct buf b;
    buf_init(&b, size - 1);
    buf_append_str(&b, root_name(i, names));
    if (roots[i].rest == REST_MESSAGE)
        write_message_path(&b, names, path);
    else if (roots[i].rest == REST_TOOL)
        write_tool_path(&b, path);
    bool is_fit = !b.failed;
    if (is_fit) {
        memcpy(to, b.data, b.len);
        to[b.len] = '\0';
    }
    buf_done(&b);
    return is_fit;
}

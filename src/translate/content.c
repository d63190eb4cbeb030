/*
 * Content parts -> blocks. One rule per part type; a type that a speaker may not use, or that is
 * not served, is refused by its path.
 */
#include "translate/content.h"

#include <stdio.h>

#include "translate/fields.h"
#include "translate/media.h"
#include "translate/replay.h"
#include "translate/text.h"
#include "translate/tool_history.h"

const char *content_path(struct translation *t, const struct content_part *p, const char *member)
{
    if (p->parent)
        return path_of(t, "messages[%zu].content[%zu].content[%zu]%s", p->message, p->parent->index,
                       p->index, member);
    return path_of(t, "messages[%zu].content[%zu]%s", p->message, p->index, member);
}

bool content_cache(struct translation *t, const struct content_part *p, enum cache_ttl *ret)
{
    *ret = CACHE_NONE;
    return !cache_has_marker(p->v) || cache_read_marker(t, content_path(t, p, ""), p->v, ret);
}

bool content_pass(struct translation *t, const struct content_part *p)
{
    struct block *block = blocks_add_kind(t, p->to, BLOCK_VALUE);
    if (!block)
        return false;
    block->value = p->v;
    return content_cache(t, p, &block->cache);
}

static bool add_text(struct translation *t, struct blocks *to, struct str text,
                     enum cache_ttl cache)
{
    if (!text_is_blank(text))
        return blocks_add(t, to, text, cache);
    /* Blank text says nothing and is refused upstream where it stands alone; its marker goes too.
     */
    return cache == CACHE_NONE || ignore_param(t, STR("messages.content.cache_control"));
}

static bool read_text_member(struct translation *t, const struct content_part *p, const char *name)
{
    yyjson_val *v = json_get(p->v, name + 1);
    enum cache_ttl cache;
    if (!v)
        return refuse_missing(t, content_path(t, p, name));
    if (!yyjson_is_str(v))
        return refuse_type(t, content_path(t, p, name), "a string", v);
    return content_cache(t, p, &cache) && add_text(t, p->to, json_str(v), cache);
}

static bool read_text(struct translation *t, const struct content_part *p)
{
    return read_text_member(t, p, ".text");
}

static bool read_refusal(struct translation *t, const struct content_part *p)
{
    return read_text_member(t, p, ".refusal");
}

static bool read_thinking(struct translation *t, const struct content_part *p)
{
    return replay_part(t, p->message, p->v, p->to);
}

static bool read_search_result(struct translation *t, const struct content_part *p)
{
    static const char *const members[] = {".source", ".title", ".content"};
    for (size_t i = 0; i < PX_ARRAY_LEN(members); i++)
        if (!json_get(p->v, members[i] + 1))
            return refuse_missing(t, content_path(t, p, members[i]));
    return content_pass(t, p);
}

static bool refuse_part(struct translation *t, const struct content_part *p)
{
    const char *path = content_path(t, p, ".type");
    struct str type = json_str(json_get(p->v, "type"));
    return refuse(t, "unsupported_value", path,
                  "Unsupported value: '%s' is \"%.*s\", which this server does not support.", path,
                  STR_ARG(type));
}

#define BY(speaker)     (1u << (speaker))
#define BY_ANYONE       (BY(SPEAKER_SYSTEM) | BY(SPEAKER_USER) | BY(SPEAKER_ASSISTANT) | BY(SPEAKER_TOOL))
#define BY_USER_OR_TOOL (BY(SPEAKER_USER) | BY(SPEAKER_TOOL))

static const struct {
    const char *type;
    unsigned speakers;
    bool (*read)(struct translation *t, const struct content_part *p);
} part_types[] = {
    {"text", BY_ANYONE, read_text},
    {"refusal", BY(SPEAKER_ASSISTANT), read_refusal},
    {"image_url", BY_USER_OR_TOOL, media_read_image_url},
    {"file", BY_USER_OR_TOOL, media_read_file},
    {"document_url", BY_USER_OR_TOOL, media_read_document_url},
    /* Nothing the upstream hears or watches. */
    {"input_audio", BY_USER_OR_TOOL, refuse_part},
    {"audio_url", BY_USER_OR_TOOL, refuse_part},
    {"video_url", BY_USER_OR_TOOL, refuse_part},
    {"input_video", BY_USER_OR_TOOL, refuse_part},
    /* Anthropic's own blocks in OpenAI's place. */
    {"image", BY_USER_OR_TOOL, media_read_own_image},
    {"document", BY_USER_OR_TOOL, media_read_own_document},
    {"document", BY(SPEAKER_ASSISTANT), media_read_assistant_document},
    {"search_result", BY_USER_OR_TOOL, read_search_result},
    {"tool_result", BY(SPEAKER_USER), tool_history_read_own_result},
    {"tool_use", BY(SPEAKER_ASSISTANT), tool_history_read_own_call},
    {"thinking", BY(SPEAKER_ASSISTANT), read_thinking},
    {"redacted_thinking", BY(SPEAKER_ASSISTANT), read_thinking},
};

static bool refuse_type_word(struct translation *t, const struct content_part *p, struct str type)
{
    static const char *const expected[] = {[SPEAKER_SYSTEM] = "\"text\"",
                                           [SPEAKER_USER] = "a content part of a user",
                                           [SPEAKER_ASSISTANT] = "\"text\" or \"refusal\"",
                                           [SPEAKER_TOOL] = "\"text\""};
    const char *path = content_path(t, p, ".type");
    return refuse(t, "invalid_value", path, "Invalid value for '%s': \"%.*s\"; expected %s.", path,
                  STR_ARG(type), expected[p->speaker]);
}

static bool read_part(struct translation *t, const struct content_part *p)
{
    if (!yyjson_is_obj(p->v))
        return refuse_type(t, content_path(t, p, ""), "an object", p->v);
    yyjson_val *v = json_get(p->v, "type");
    if (!v)
        return refuse_missing(t, content_path(t, p, ".type"));
    if (!yyjson_is_str(v))
        return refuse_type(t, content_path(t, p, ".type"), "a string", v);
    for (size_t i = 0; i < PX_ARRAY_LEN(part_types); i++)
        if (str_eq(json_str(v), str_of(part_types[i].type)) &&
            (part_types[i].speakers & BY(p->speaker)))
            return part_types[i].read(t, p);
    return refuse_type_word(t, p, json_str(v));
}

/* `part` says where the parts stand; its own index and value are filled for each. */
static bool read_parts(struct translation *t, struct content_part *part, yyjson_val *content)
{
    if (!content) /* null, or not there: as an empty text */
        return true;
    if (yyjson_is_str(content))
        return add_text(t, part->to, json_str(content), CACHE_NONE);
    if (!yyjson_is_arr(content)) {
        const char *path = part->parent ? content_path(t, part->parent, ".content")
                                        : path_of(t, "messages[%zu].content", part->message);
        return refuse_type(t, path, "a string or an array of content parts", content);
    }
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(content, i, max, v)
    {
        part->index = i;
        part->v = v;
        if (!read_part(t, part))
            return false;
    }
    return true;
}

bool content_read(struct translation *t, size_t index, enum speaker speaker, yyjson_val *content,
                  struct blocks *ret)
{
    struct content_part part = {.message = index, .speaker = speaker, .to = ret};
    return read_parts(t, &part, content);
}

bool content_read_inner(struct translation *t, const struct content_part *parent,
                        yyjson_val *content, struct blocks *ret)
{
    struct content_part part = {
        .message = parent->message, .parent = parent, .speaker = SPEAKER_TOOL, .to = ret};
    return read_parts(t, &part, content);
}

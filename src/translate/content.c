/*
 * Content parts -> blocks. One rule per part type; a type that a speaker may not use, or that is
 * not served, is refused by its path.
 */
#include "translate/content.h"

#include "translate/fields.h"
#include "translate/replay.h"
#include "translate/text.h"

/* A part on its way: messages[message].content[index]. */
struct part {
    size_t message, index;
    yyjson_val *v;
    struct blocks *to;
};

/* Paths are made only for errors: a request may have a million parts. */
static const char *part_path(struct translation *t, const struct part *p, const char *member)
{
    return path_of(t, "messages[%zu].content[%zu]%s", p->message, p->index, member);
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

static bool read_text_member(struct translation *t, const struct part *p, const char *name)
{
    yyjson_val *v = json_get(p->v, name + 1);
    enum cache_ttl cache = CACHE_NONE;
    if (!v)
        return refuse_missing(t, part_path(t, p, name));
    if (!yyjson_is_str(v))
        return refuse_type(t, part_path(t, p, name), "a string", v);
    if (cache_has_marker(p->v) && !cache_read_marker(t, part_path(t, p, ""), p->v, &cache))
        return false;
    return add_text(t, p->to, json_str(v), cache);
}

static bool read_text(struct translation *t, const struct part *p)
{
    return read_text_member(t, p, ".text");
}

static bool read_refusal(struct translation *t, const struct part *p)
{
    return read_text_member(t, p, ".refusal");
}

static bool read_thinking(struct translation *t, const struct part *p)
{
    return replay_part(t, p->message, p->v, p->to);
}

static bool refuse_part(struct translation *t, const struct part *p)
{
    const char *path = part_path(t, p, ".type");
    struct str type = json_str(json_get(p->v, "type"));
    return refuse(t, "unsupported_value", path,
                  "Unsupported value: '%s' is \"%.*s\", which this server does not support.", path,
                  STR_ARG(type));
}

#define BY(speaker) (1u << (speaker))
#define BY_ANYONE   (BY(SPEAKER_SYSTEM) | BY(SPEAKER_USER) | BY(SPEAKER_ASSISTANT))

static const struct {
    const char *type;
    unsigned speakers;
    bool (*read)(struct translation *t, const struct part *p);
} part_types[] = {
    {"text", BY_ANYONE, read_text},
    {"refusal", BY(SPEAKER_ASSISTANT), read_refusal},
    {"image_url", BY(SPEAKER_USER), refuse_part},
    {"file", BY(SPEAKER_USER), refuse_part},
    {"input_audio", BY(SPEAKER_USER), refuse_part},
    /* Anthropic's own blocks in OpenAI's place. */
    {"image", BY(SPEAKER_USER), refuse_part},
    {"document", BY(SPEAKER_USER), refuse_part},
    {"search_result", BY(SPEAKER_USER), refuse_part},
    {"tool_result", BY(SPEAKER_USER), refuse_part},
    {"tool_use", BY(SPEAKER_ASSISTANT), refuse_part},
    {"thinking", BY(SPEAKER_ASSISTANT), read_thinking},
    {"redacted_thinking", BY(SPEAKER_ASSISTANT), read_thinking},
};

static bool refuse_type_word(struct translation *t, enum speaker speaker, const struct part *p,
                             struct str type)
{
    static const char *const expected[] = {[SPEAKER_SYSTEM] = "\"text\"",
                                           [SPEAKER_USER] = "a content part of a user",
                                           [SPEAKER_ASSISTANT] = "\"text\" or \"refusal\""};
    const char *path = part_path(t, p, ".type");
    return refuse(t, "invalid_value", path, "Invalid value for '%s': \"%.*s\"; expected %s.", path,
                  STR_ARG(type), expected[speaker]);
}

static bool read_part(struct translation *t, enum speaker speaker, const struct part *p)
{
    if (!yyjson_is_obj(p->v))
        return refuse_type(t, part_path(t, p, ""), "an object", p->v);
    yyjson_val *v = json_get(p->v, "type");
    if (!v)
        return refuse_missing(t, part_path(t, p, ".type"));
    if (!yyjson_is_str(v))
        return refuse_type(t, part_path(t, p, ".type"), "a string", v);
    for (size_t i = 0; i < PX_ARRAY_LEN(part_types); i++)
        if (str_eq(json_str(v), str_of(part_types[i].type)) &&
            (part_types[i].speakers & BY(speaker)))
            return part_types[i].read(t, p);
    return refuse_type_word(t, speaker, p, json_str(v));
}

bool content_read(struct translation *t, size_t index, enum speaker speaker, yyjson_val *content,
                  struct blocks *ret)
{
    if (!content) /* null, or not there: as an empty text */
        return true;
    if (yyjson_is_str(content))
        return add_text(t, ret, json_str(content), CACHE_NONE);
    if (!yyjson_is_arr(content))
        return refuse_type(t, path_of(t, "messages[%zu].content", index),
                           "a string or an array of content parts", content);
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(content, i, max, v)
    {
        struct part part = {index, i, v, ret};
        if (!read_part(t, speaker, &part))
            return false;
    }
    return true;
}

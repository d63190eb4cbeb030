/*
 * Reads deltas, with and without a tree.
 */
#include "translate/delta.h"

#include <string.h>

#include "base/utf8.h"

/* The types with one text each, and how the API writes the way to it. */
static const struct shape {
    enum delta_kind kind;
    struct str type, member, way;
} shapes[] = {
#define SHAPE(kind, type, member)                                                                  \
    {                                                                                              \
        kind, {type, sizeof(type) - 1}, {member, sizeof(member) - 1},                              \
        {                                                                                          \
            "\"" type "\",\"" member "\":\"", sizeof("\"" type "\",\"" member "\":\"") - 1         \
        }                                                                                          \
    }
    SHAPE(DELTA_TEXT, "text_delta", "text"),
    SHAPE(DELTA_INPUT, "input_json_delta", "partial_json"),
    SHAPE(DELTA_THINKING, "thinking_delta", "thinking"),
    SHAPE(DELTA_SIGNATURE, "signature_delta", "signature"),
#undef SHAPE
};

static bool skip(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    *s = (struct str){s->p + prefix.n, s->n - prefix.n};
    return true;
}

/* A number without sign, fraction or leading zero; nine digits are more than any index has. */
static bool skip_index(struct str *s, int64_t *ret)
{
    int64_t v = 0;
    size_t n = 0;
    while (n < s->n && n < 9 && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    if (n == 0 || (n > 1 && s->p[0] == '0'))
        return false;
    *s = (struct str){s->p + n, s->n - n};
    *ret = v;
    return true;
}

/*
 * The rest of a string behind its opening quote, up to its closing one. Only escapes that our own
 * writer would write in the same way: the text can then be passed on as it stands.
 */
static bool skip_string(struct str *s, struct str *ret)
{
    bool is_ascii = true;
    size_t i = 0;
    for (; i < s->n && s->p[i] != '"'; i++) {
        unsigned char c = (unsigned char)s->p[i];
        if (c < 0x20)
            return false;
        if (c >= 0x80)
            is_ascii = false;
        if (c == '\\' && (++i == s->n || !memchr("\"\\nrtbf", s->p[i], 7)))
            return false;
    }
    struct str text = {s->p, i};
    if (i >= s->n || (!is_ascii && !utf8_is_valid(text)))
        return false;
    *s = (struct str){s->p + i + 1, s->n - i - 1};
    *ret = text;
    return true;
}

/* Nothing but the two closing braces, and blanks: the API pads every event with some. */
static bool is_tail(struct str s)
{
    size_t braces = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '}')
            braces++;
        else if (s.p[i] != ' ')
            return false;
    }
    return braces == 2;
}

bool delta_scan(struct str data, struct delta *ret)
{
    struct delta d = {.text.is_escaped = true};
    if (!skip(&data, STR("{\"type\":\"content_block_delta\",\"index\":")) ||
        !skip_index(&data, &d.index) || !skip(&data, STR(",\"delta\":{\"type\":")))
        return false;
    for (size_t i = 0; i < PX_ARRAY_LEN(shapes); i++) {
        if (!skip(&data, shapes[i].way))
            continue;
        d.kind = shapes[i].kind;
        if (!skip_string(&data, &d.text.s) || !is_tail(data))
            return false;
        *ret = d;
        return true;
    }
    return false;
}

bool delta_read(yyjson_val *event, struct delta *ret)
{
    yyjson_val *delta = json_get(event, "delta");
    if (!yyjson_is_obj(delta))
        return false;
    *ret = (struct delta){.kind = DELTA_OTHER, .index = -1};
    json_to_int(json_get(event, "index"), &ret->index);
    struct str type = json_str(json_get(delta, "type"));
    for (size_t i = 0; i < PX_ARRAY_LEN(shapes); i++) {
        if (!str_eq(type, shapes[i].type))
            continue;
        ret->kind = shapes[i].kind;
        yyjson_val *text = json_get(delta, shapes[i].member.p);
        ret->text.s = json_str(text);
        return !text || yyjson_is_str(text);
    }
    if (str_eq(type, STR("citations_delta"))) {
        ret->kind = DELTA_CITATION;
        ret->citation = json_get(delta, "citation");
    }
    return true;
}

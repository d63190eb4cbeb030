/*
 * One content block: its shape (wire.h), its place, what is asked of its values.
 */
#include <stdio.h>

#include "sim/validate_part.h"
#include "sim/wire.h"

#define IMAGE_BYTES_MAX (10 * 1024 * 1024) /* of base64 */

enum place { IN_USER, IN_ASSISTANT, IN_SYSTEM };

/* Where blocks may stand that do not stand in both. */
static const struct block_rule {
    const char *type;
    enum place place;
} places[] = {
    {"thinking", IN_ASSISTANT},
    {"redacted_thinking", IN_ASSISTANT},
    {"tool_use", IN_ASSISTANT},
    {"tool_result", IN_USER},
    {"server_tool_use", IN_ASSISTANT},
    {"web_search_tool_result", IN_ASSISTANT},
    {"web_fetch_tool_result", IN_ASSISTANT},
    {"code_execution_tool_result", IN_ASSISTANT},
    {"bash_code_execution_tool_result", IN_ASSISTANT},
    {"text_editor_code_execution_tool_result", IN_ASSISTANT},
    {"tool_search_tool_result", IN_ASSISTANT},
    {"advisor_tool_result", IN_ASSISTANT},
    {"container_upload", IN_USER},
    {"mcp_tool_use", IN_ASSISTANT},
    {"mcp_tool_result", IN_ASSISTANT},
    {"mcp_tool_listing", IN_ASSISTANT},
    {"fallback", IN_ASSISTANT},
    {"tool_addition", IN_SYSTEM},
    {"tool_removal", IN_SYSTEM},
};

static const char *const place_names[] = {
    [IN_USER] = "user", [IN_ASSISTANT] = "assistant", [IN_SYSTEM] = "system"};

static bool is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

static bool check_text(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    yyjson_val *text = yyjson_obj_get(block, "text");
    if (yyjson_get_len(text) == 0)
        return bad(c, "messages: text content blocks must be non-empty");
    if (is_blank(json_str(text)) && yyjson_obj_get(block, "cache_control"))
        return bad(c, "%s.text: cache_control cannot be set for empty text blocks", path);
    if (c->is_2026 && str_eq(role, STR("user")) &&
        yyjson_arr_size(json_get(block, "citations")) > 0)
        return bad(c, "%s.text.citations: Extra inputs are not permitted", path);
    return true;
}

/* What base64 data begins with tells its type, whatever the request says. */
static const char *sniff(struct str data)
{
    static const struct {
        const char *start, *type;
    } magic[] = {{"iVBORw0KGgo", "image/png"},
                 {"/9j/", "image/jpeg"},
                 {"R0lGOD", "image/gif"},
                 {"UklGR", "image/webp"}};
    for (size_t i = 0; i < PX_ARRAY_LEN(magic); i++)
        if (str_starts(data, str_of(magic[i].start)))
            return magic[i].type;
    return NULL;
}

static bool check_image(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    (void)role;
    yyjson_val *source = yyjson_obj_get(block, "source");
    if (!str_eq(json_str(yyjson_obj_get(source, "type")), STR("base64")))
        return true;
    struct str data = json_str(yyjson_obj_get(source, "data"));
    struct str media = json_str(yyjson_obj_get(source, "media_type"));
    if (!data.n)
        return bad(c, "%s.image.source.base64: image cannot be empty", path);
    if (data.n > IMAGE_BYTES_MAX)
        return bad(c, "%s.image.source.base64: image exceeds 10 MB maximum: %zu bytes > %d bytes",
                   path, data.n, IMAGE_BYTES_MAX);
    const char *real = sniff(data);
    if (!real)
        return bad(c, "%s.image.source.base64.data: Could not process image", path);
    if (!str_eq(media, str_of(real)))
        return bad(
            c,
            "%s.image.source.base64: The image was specified using the %.*s media type, but the "
            "image appears to be a %s image",
            path, STR_ARG(media), real);
    return true;
}

/* Text whose citations point into documents cannot be held to a schema. */
static bool check_citable(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    (void)role;
    yyjson_val *citations = json_get(block, "citations");
    bool has_format = json_get(json_get(c->root, "output_config"), "format") != NULL;
    return !has_format || !yyjson_is_true(json_get(citations, "enabled")) ||
           bad(c, "%s.citations: citations are not supported with structured outputs", path);
}

static bool id_is_fine(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '_' || ch == '-'))
            return false;
    }
    return s.n > 0;
}

static bool check_tool_use(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    (void)role;
    if (!id_is_fine(json_str(yyjson_obj_get(block, "id"))))
        return bad(c, "%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", path);
    struct str name = json_str(yyjson_obj_get(block, "name"));
    if (!name.n)
        return bad(c, "%s.tool_use.name: String should have at least 1 character", path);
    if (name.n > 200)
        return bad(c, "%s.tool_use.name: String should have at most 200 characters", path);
    if (!yyjson_is_obj(yyjson_obj_get(block, "input")))
        return bad(c, "%s.tool_use.input: Input should be a valid dictionary", path);
    return true;
}

static bool check_value(struct check *c, const char *path, yyjson_val *block, struct str role);

static bool check_tool_result(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    if (!id_is_fine(json_str(yyjson_obj_get(block, "tool_use_id"))))
        return bad(c, "%s.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'",
                   path);
    yyjson_val *part;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(block, "content"));
    for (size_t i = 0; (part = yyjson_arr_iter_next(&it)); i++) {
        char where[128];
        snprintf(where, sizeof(where), "%s.tool_result.content.%zu", path, i);
        if (!check_value(c, where, part, role))
            return false;
    }
    return true;
}

/* What is asked of a block beyond its shape. */
static bool check_value(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    static const struct {
        const char *type;
        bool (*check)(struct check *, const char *, yyjson_val *, struct str);
    } checks[] = {
        {"text", check_text},         {"image", check_image},
        {"document", check_citable},  {"search_result", check_citable},
        {"tool_use", check_tool_use}, {"tool_result", check_tool_result},
    };
    struct str type = json_str(yyjson_obj_get(block, "type"));
    for (size_t i = 0; i < PX_ARRAY_LEN(checks); i++)
        if (str_eq(type, str_of(checks[i].type)))
            return checks[i].check(c, path, block, role);
    return true;
}

static bool check_place(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    struct str type = json_str(yyjson_obj_get(block, "type"));
    struct str head = str_of(path); /* "messages.3.content.0" -> "messages.3" */
    ptrdiff_t dot = str_find(head, STR(".content"));
    int n = dot > 0 ? (int)dot : (int)head.n;
    for (size_t i = 0; i < PX_ARRAY_LEN(places); i++) {
        const char *place = place_names[places[i].place];
        if (str_eq(type, str_of(places[i].type)) && !str_eq(role, str_of(place)))
            return bad(c, "%.*s: `%s` blocks can only be in `%s` messages", n, path, places[i].type,
                       place);
    }
    if (c->is_2026 && str_eq(role, STR("assistant")) && str_eq(type, STR("document")))
        return bad(c, "%.*s: `document` blocks can only be in `user` messages", n, path);
    return true;
}

bool check_block(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    return wire_check(c, path, block, wire_message_content(role)->items) &&
           check_place(c, path, block, role) && check_value(c, path, block, role);
}

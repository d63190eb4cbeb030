/*
 * One content block: its keys, its place (user or assistant), what its type asks for.
 */
#include <stdio.h>

#include "sim/validate_part.h"

enum place { IN_USER = 1, IN_ASSISTANT = 2 };

struct block_rule {
    const char *type;
    unsigned places;
    const char *keys;     /* besides type and cache_control */
    const char *required; /* of them */
};

static const struct block_rule rules[] = {
    {"text", IN_USER | IN_ASSISTANT, "text citations", "text"},
    {"image", IN_USER | IN_ASSISTANT, "source transformations", "source"},
    {"document", IN_USER | IN_ASSISTANT, "source title context citations", "source"},
    {"search_result", IN_USER | IN_ASSISTANT, "source title content citations",
     "source title content"},
    {"thinking", IN_ASSISTANT, "thinking signature", "thinking signature"},
    {"redacted_thinking", IN_ASSISTANT, "data", "data"},
    {"tool_use", IN_ASSISTANT, "id name input caller toolset_name", "id name input"},
    {"tool_result", IN_USER, "tool_use_id content is_error", "tool_use_id"},
    {"server_tool_use", IN_ASSISTANT, "id name input caller", "id name input"},
    {"web_search_tool_result", IN_ASSISTANT, "tool_use_id content caller", "tool_use_id content"},
    {"web_fetch_tool_result", IN_ASSISTANT, "tool_use_id content caller", "tool_use_id content"},
    {"code_execution_tool_result", IN_ASSISTANT, "tool_use_id content", "tool_use_id content"},
    {"bash_code_execution_tool_result", IN_ASSISTANT, "tool_use_id content", "tool_use_id content"},
    {"text_editor_code_execution_tool_result", IN_ASSISTANT, "tool_use_id content",
     "tool_use_id content"},
    {"tool_search_tool_result", IN_ASSISTANT, "tool_use_id content", "tool_use_id content"},
    {"container_upload", IN_USER, "file_id", "file_id"},
    {"mcp_tool_use", IN_ASSISTANT, "id name input server_name", "id name input"},
    {"mcp_tool_result", IN_ASSISTANT, "tool_use_id content is_error", "tool_use_id"},
    {"compaction", IN_USER | IN_ASSISTANT, "content signature", ""},
    {"fallback", IN_ASSISTANT, "from to", ""},
};

static const struct block_rule *find_rule(struct str type)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(rules); i++)
        if (str_eq(type, str_of(rules[i].type)))
            return &rules[i];
    return NULL;
}

static bool is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

static bool check_text(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    yyjson_val *text = yyjson_obj_get(block, "text");
    if (!yyjson_is_str(text))
        return bad(c, "%s.text.text: Input should be a valid string", path);
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

static bool check_base64_image(struct check *c, const char *path, yyjson_val *source)
{
    static const char types[] = "image/jpeg image/png image/gif image/webp";
    char where[160];
    snprintf(where, sizeof(where), "%s.image.source.base64.media_type", path);
    yyjson_val *media = yyjson_obj_get(source, "media_type");
    struct str data = json_str(yyjson_obj_get(source, "data"));
    if (!check_choice(c, where, media, types))
        return false;
    if (!data.p)
        return bad(c, "%s.image.source.base64.data: Field required", path);
    if (!data.n)
        return bad(c, "%s.image.source.base64: image cannot be empty", path);
    const char *real = sniff(data);
    if (!real)
        return bad(c, "%s.image.source.base64.data: Could not process image", path);
    if (!str_eq(json_str(media), str_of(real)))
        return bad(
            c,
            "%s.image.source.base64: The image was specified using the %.*s media type, but the "
            "image appears to be a %s image",
            path, STR_ARG(json_str(media)), real);
    return true;
}

static bool check_document_type(struct check *c, const char *path, yyjson_val *source,
                                struct str kind)
{
    static const struct {
        const char *kind, *media_type;
    } types[] = {{"base64", "application/pdf"}, {"text", "text/plain"}};
    for (size_t i = 0; i < PX_ARRAY_LEN(types); i++) {
        char where[160];
        if (!str_eq(kind, str_of(types[i].kind)))
            continue;
        snprintf(where, sizeof(where), "%s.document.source.%s.media_type", path, types[i].kind);
        if (!check_choice(c, where, yyjson_obj_get(source, "media_type"), types[i].media_type))
            return false;
        if (!yyjson_is_str(yyjson_obj_get(source, "data")))
            return bad(c, "%s.document.source.%s.data: Field required", path, types[i].kind);
    }
    return true;
}

static bool check_source(struct check *c, const char *path, yyjson_val *block, struct str type)
{
    yyjson_val *source = yyjson_obj_get(block, "source");
    bool is_image = str_eq(type, STR("image"));
    struct str kind = json_str(yyjson_obj_get(source, "type"));
    const char *kinds = is_image ? "base64 url file" : "base64 text content url file";
    if (!yyjson_is_obj(source))
        return bad(c, "%s.%.*s.source: Input should be a valid dictionary", path, STR_ARG(type));
    if (!is_in_list(kinds, kind))
        return bad(c,
                   "%s.%.*s.source: Input tag '%.*s' found using 'type' does not match any of the "
                   "expected tags",
                   path, STR_ARG(type), STR_ARG(check_key(yyjson_obj_get(source, "type"))));
    if (str_eq(kind, STR("url")) && !json_str(yyjson_obj_get(source, "url")).n)
        return bad(c, "%s.%.*s.source.url.url: Field required", path, STR_ARG(type));
    if (!is_image && !check_document_type(c, path, source, kind))
        return false;
    if (is_image && str_eq(kind, STR("base64")))
        return check_base64_image(c, path, source);
    return true;
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

static bool check_tool_use(struct check *c, const char *path, yyjson_val *block)
{
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

static bool check_tool_result(struct check *c, const char *path, yyjson_val *block)
{
    yyjson_val *content = yyjson_obj_get(block, "content"), *part;
    yyjson_val *is_error = yyjson_obj_get(block, "is_error");
    if (!id_is_fine(json_str(yyjson_obj_get(block, "tool_use_id"))))
        return bad(c, "%s.tool_result.tool_use_id: String should match pattern '^[a-zA-Z0-9_-]+$'",
                   path);
    if (is_error && !yyjson_is_bool(is_error))
        return bad(c, "%s.tool_result.is_error: Input should be a valid boolean", path);
    if (!content || yyjson_is_str(content))
        return true;
    if (!yyjson_is_arr(content))
        return bad(c, "%s.tool_result.content: Input should be a valid string or list", path);
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    for (size_t i = 0; (part = yyjson_arr_iter_next(&it)); i++) {
        char where[128];
        snprintf(where, sizeof(where), "%s.tool_result.content.%zu", path, i);
        struct str type = json_str(yyjson_obj_get(part, "type"));
        if (!is_in_list("text image document search_result tool_reference", type))
            return bad(
                c,
                "%s: Input tag '%.*s' found using 'type' does not match any of the expected tags: "
                "'document', 'image', 'search_result', 'text', 'tool_reference'",
                where, STR_ARG(check_key(yyjson_obj_get(part, "type"))));
        if (!str_eq(type, STR("tool_reference")) && !check_block(c, where, part, STR("user")))
            return false;
    }
    return true;
}

/* Whether the signature is right is seen later, with what stands in front of the block. */
static bool check_thinking(struct check *c, const char *path, yyjson_val *block)
{
    static const char *const texts[] = {"thinking", "signature"};
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        if (!yyjson_is_str(yyjson_obj_get(block, texts[i])))
            return bad(c, "%s.thinking.%s: Input should be a valid string", path, texts[i]);
    if (yyjson_obj_get(block, "cache_control"))
        return bad(c, "%s.thinking.cache_control: Extra inputs are not permitted", path);
    return true;
}

static bool check_required(struct check *c, const char *path, yyjson_val *block,
                           const struct block_rule *rule)
{
    struct str rest = str_of(rule->required), name;
    while (str_split(&rest, ' ', &name))
        if (!yyjson_obj_getn(block, name.p, name.n))
            return bad(c, "%s.%s.%.*s: Field required", path, rule->type, STR_ARG(name));
    char keys[160], where[160];
    snprintf(keys, sizeof(keys), "type cache_control %s", rule->keys);
    snprintf(where, sizeof(where), "%s.%s", path, rule->type);
    return check_keys(c, where, block, keys);
}

static bool check_place(struct check *c, const char *path, struct str role,
                        const struct block_rule *rule)
{
    bool is_user = str_eq(role, STR("user"));
    struct str head = str_of(path); /* "messages.3.content.0" -> "messages.3" */
    ptrdiff_t dot = str_find(head, STR(".content"));
    int n = dot > 0 ? (int)dot : (int)head.n;
    if (!(rule->places & (is_user ? IN_USER : IN_ASSISTANT)))
        return bad(c, "%.*s: `%s` blocks can only be in `%s` messages", n, path, rule->type,
                   is_user ? "assistant" : "user");
    if (c->is_2026 && !is_user && str_eq(str_of(rule->type), STR("document")))
        return bad(c, "%.*s: `document` blocks can only be in `user` messages", n, path);
    return true;
}

bool check_block(struct check *c, const char *path, yyjson_val *block, struct str role)
{
    if (!yyjson_is_obj(block))
        return bad(c, "%s: Input should be a valid dictionary or object to extract fields from",
                   path);
    yyjson_val *type_val = yyjson_obj_get(block, "type");
    if (!type_val)
        return bad(c, "%s.type: Field required", path);
    struct str type = json_str(type_val);
    const struct block_rule *rule = find_rule(type);
    if (!rule)
        return bad(
            c,
            "%s: Input tag '%.*s' found using 'type' does not match any of the expected tags: "
            "'document', 'image', 'redacted_thinking', 'search_result', 'server_tool_use', "
            "'text', 'thinking', 'tool_result', 'tool_use'",
            path, STR_ARG(check_key(type_val)));
    char where[160];
    snprintf(where, sizeof(where), "%s.%s.cache_control", path, rule->type);
    if (!check_required(c, path, block, rule) || !check_place(c, path, role, rule))
        return false;
    bool is_thinking = str_eq(type, STR("thinking"));
    if (!is_thinking && !check_cache_control(c, where, yyjson_obj_get(block, "cache_control")))
        return false;
    if (is_thinking)
        return check_thinking(c, path, block);
    if (str_eq(type, STR("text")))
        return check_text(c, path, block, role);
    if (str_eq(type, STR("image")) || str_eq(type, STR("document")))
        return check_source(c, path, block, type);
    if (str_eq(type, STR("tool_use")))
        return check_tool_use(c, path, block);
    if (str_eq(type, STR("tool_result")))
        return check_tool_result(c, path, block);
    return true;
}

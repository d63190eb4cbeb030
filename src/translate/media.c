/*
 * Image and file parts -> image and document blocks. The declared type is corrected by the first
 * bytes, as the upstream refuses what does not match; its limits are told in the client's words.
 */
#include "translate/media.h"

#include <string.h>

#include "base/utf8.h"
#include "translate/data_url.h"
#include "translate/media_type.h"
#include "translate/text.h"

/* The upstream's limits. */
#define IMAGE_BASE64_MAX (10u << 20)
#define IMAGE_SIDE_MAX   8000
#define IMAGES_MAX       600
#define IMAGES_MAX_200K  100 /* of models with a context of 200,000 tokens */
#define MANY_MEDIA       20
#define MANY_SIDE_MAX    2000
#define CONTEXT_200K     200000

static bool refuse_image(struct translation *t, const char *path, const char *code,
                         const char *what)
{
    return refuse(t, code, path, "Invalid value for '%s': %s.", path, what);
}

static bool count_image(struct translation *t, const struct content_part *p, const char *member)
{
    size_t max = t->model.max_input_tokens <= CONTEXT_200K ? IMAGES_MAX_200K : IMAGES_MAX;
    t->media.all++;
    if (++t->media.images <= max)
        return true;
    const char *path = content_path(t, p, member);
    return refuse(t, "array_above_max_length", path,
                  "Invalid value for '%s': model '%.*s' takes at most %zu images in a request.",
                  path, STR_ARG(t->out->model), max);
}

static bool check_image_data(struct translation *t, const struct content_part *p,
                             const char *member, enum media_kind kind, struct str base64)
{
    unsigned width, height;
    if (base64.n > IMAGE_BASE64_MAX)
        return refuse_image(t, content_path(t, p, member), "image_too_large",
                            "an image of more than 10 MB as base64 is not supported");
    if (!media_image_size(kind, base64, &width, &height))
        return true;
    unsigned side = width > height ? width : height;
    if (side > IMAGE_SIDE_MAX)
        return refuse_image(t, content_path(t, p, member), "image_too_large",
                            "an image of more than 8000 pixels on a side is not supported");
    if (side > MANY_SIDE_MAX && !t->media.wide_path)
        t->media.wide_path = content_path(t, p, member);
    return true;
}

bool media_settle(struct translation *t)
{
    if (t->media.all <= MANY_MEDIA || !t->media.wide_path)
        return true;
    return refuse_image(t, t->media.wide_path, "image_too_large",
                        "in a request of more than 20 images and documents, none may have more "
                        "than 2000 pixels on a side");
}

/* Megabytes are not copied where they can stand in the upstream's body as in the client's: what the
 * parser left there, and no repair has written anew. */
static void refer(struct translation *t, struct media *m)
{
    const size_t min = t->policy->referred_bytes_min;
    if (m->source != SOURCE_BASE64 || min == 0 || m->data.n < min)
        return;
    if (t->out->may_pause) /* the body is written again, with what the answer has so far */
        return;
    if (!str_is_within(m->data, t->source))
        return;
    m->is_referred = true;
    m->next_referred = t->media.referred;
    t->media.referred = m;
    t->media.n_referred++;
}

/* One image or document that is found, with the part's cache marker. */
static bool add_media(struct translation *t, const struct content_part *p, struct media found)
{
    struct media *m = arena_alloc(t->arena, sizeof(*m));
    struct block *block = m ? blocks_add_kind(t, p->to, BLOCK_MEDIA) : NULL;
    if (!block)
        return refuse_memory(t);
    *m = found;
    refer(t, m);
    block->media = m;
    return content_cache(t, p, &block->cache);
}

static bool add_image(struct translation *t, const struct content_part *p, const char *member,
                      struct media found)
{
    found.type = "image";
    return count_image(t, p, member) && add_media(t, p, found);
}

static bool add_document(struct translation *t, const struct content_part *p, struct media found)
{
    found.type = "document";
    t->media.all++;
    return add_media(t, p, found);
}

/* A file that came inside the request: a data URL, or base64 alone. */
struct inline_file {
    struct data_url url;
    struct str base64; /* empty where only the text is wanted */
    struct str name;
    const char *member; /* its path in the part */
    bool takes_text;
};

static bool refuse_kind(struct translation *t, const struct content_part *p,
                        const struct inline_file *f)
{
    const char *path = content_path(t, p, f->member);
    struct str type = f->url.media_type.n ? f->url.media_type : STR("unknown");
    return refuse(t, "invalid_value", path,
                  "Invalid value for '%s': files of type \"%.*s\" are not supported; supported are "
                  "image/jpeg, image/png, image/gif, image/webp%s.",
                  path, STR_ARG(utf8_cut(type, 100)),
                  f->takes_text ? ", application/pdf and text" : " and application/pdf");
}

/* Declared a picture, but nothing that the upstream could show to the model. */
static bool refuse_bytes(struct translation *t, const struct content_part *p,
                         const struct inline_file *f)
{
    return refuse_image(t, content_path(t, p, f->member), "invalid_value",
                        "the data is no JPEG, PNG, GIF or WebP image in base64");
}

static bool add_text_file(struct translation *t, const struct content_part *p,
                          const struct inline_file *f)
{
    struct str text;
    if (!data_url_bytes(t->arena, &f->url, &text))
        return refuse_memory(t);
    if (!text.p || !utf8_is_valid(text) || (text.n && memchr(text.p, '\0', text.n)))
        return refuse_kind(t, p, f);
    if (text_is_blank(text)) {
        const char *path = content_path(t, p, f->member);
        return refuse(t, "invalid_value", path, "Invalid value for '%s': the file is empty.", path);
    }
    return add_document(
        t, p,
        (struct media){
            .source = SOURCE_TEXT, .media_type = "text/plain", .data = text, .title = f->name});
}

static bool add_binary(struct translation *t, const struct content_part *p,
                       const struct inline_file *f, enum media_kind kind)
{
    struct media found = {.source = SOURCE_BASE64,
                          .media_type = media_kind_name(kind),
                          .data = f->base64,
                          .title = f->name};
    if (kind == MEDIA_PDF)
        return add_document(t, p, found);
    found.title = (struct str){0};
    return check_image_data(t, p, f->member, kind, f->base64) && add_image(t, p, f->member, found);
}

/* Of unknown types, those of pictures and sounds are not even tried. */
static bool may_be_text(struct str media_type)
{
    return media_type.n == 0 || (media_type.n > 12 && str_eq_nocase((struct str){media_type.p, 12},
                                                                    STR("application/")));
}

/* The bytes tell what it is; where they do not, the declared type, then the file's name. */
static bool add_inline(struct translation *t, const struct content_part *p, struct inline_file *f)
{
    enum media_kind declared = media_kind_of_type(f->url.media_type);
    if (f->url.payload.n == 0) {
        const char *path = content_path(t, p, f->member);
        return refuse(t, "invalid_value", path, "Invalid value for '%s': it holds no data.", path);
    }
    if (declared == MEDIA_TEXT)
        return f->takes_text ? add_text_file(t, p, f) : refuse_kind(t, p, f);
    f->base64 = data_url_base64(t->arena, &f->url);
    if (!f->base64.p)
        return refuse_memory(t);
    enum media_kind kind = media_kind_of_data(f->base64);
    bool is_declared = declared != MEDIA_OTHER;
    if (kind != MEDIA_OTHER && is_declared && kind != declared &&
        !repair(t, "media_type", content_path(t, p, f->member)))
        return false;
    if (kind == MEDIA_OTHER && media_kind_is_image(declared))
        return refuse_bytes(t, p, f);
    if (kind == MEDIA_OTHER)
        kind = declared != MEDIA_OTHER ? declared : media_kind_of_name(f->name);
    if (kind != MEDIA_OTHER)
        return add_binary(t, p, f, kind);
    return f->takes_text && may_be_text(f->url.media_type) ? add_text_file(t, p, f)
                                                           : refuse_kind(t, p, f);
}

/* The upstream fetches it. */
static bool is_web_url(struct str url)
{
    return (url.n > 8 && str_eq_nocase((struct str){url.p, 8}, STR("https://"))) ||
           (url.n > 7 && str_eq_nocase((struct str){url.p, 7}, STR("http://")));
}

static bool refuse_url(struct translation *t, const struct content_part *p, const char *member)
{
    const char *path = content_path(t, p, member);
    return refuse(t, "invalid_value", path,
                  "Invalid value for '%s': expected an https URL or a data URL with base64.", path);
}

bool media_read_image_url(struct translation *t, const struct content_part *p)
{
    yyjson_val *holder = json_get(p->v, "image_url"), *v = holder;
    const char *member = ".image_url";
    if (yyjson_is_obj(holder)) { /* some clients send the URL alone */
        v = json_get(holder, "url");
        member = ".image_url.url";
    }
    if (!v)
        return refuse_missing(t, content_path(t, p, member));
    if (!yyjson_is_str(v))
        return refuse_type(t, content_path(t, p, member), "a string", v);
    struct str url = str_trim(json_str(v));
    struct inline_file f = {.member = member};
    if (data_url_is(url))
        return data_url_read(url, &f.url) ? add_inline(t, p, &f) : refuse_url(t, p, member);
    if (!is_web_url(url))
        return refuse_url(t, p, member);
    return add_image(t, p, member, (struct media){.source = SOURCE_URL, .data = url});
}

/* Ids of files that were uploaded to the upstream; others' mean nothing there. */
static bool add_file_id(struct translation *t, const struct content_part *p, yyjson_val *v,
                        struct str name)
{
    const char *member = ".file.file_id";
    struct str id = json_str(v);
    if (!yyjson_is_str(v))
        return refuse_type(t, content_path(t, p, member), "a string", v);
    if (!str_starts(id, STR("file_")))
        return refuse(t, "invalid_value", content_path(t, p, member),
                      "Invalid value for '%s': no file with this id is known to Anthropic; send "
                      "the file as 'file_data'.",
                      content_path(t, p, member));
    struct media found = {.source = SOURCE_FILE, .data = id};
    if (media_kind_is_image(media_kind_of_name(name)))
        return add_image(t, p, member, found);
    found.title = name;
    return add_document(t, p, found);
}

static bool add_file_data(struct translation *t, const struct content_part *p, const char *member,
                          struct str data, struct str name)
{
    struct inline_file f = {.name = name, .member = member, .takes_text = true};
    if (is_web_url(data))
        return add_document(t, p,
                            (struct media){.source = SOURCE_URL, .data = data, .title = name});
    if (data_url_is(data))
        return data_url_read(data, &f.url) ? add_inline(t, p, &f) : refuse_url(t, p, member);
    f.url = (struct data_url){.is_base64 = true, .payload = data};
    return add_inline(t, p, &f);
}

bool media_read_file(struct translation *t, const struct content_part *p)
{
    yyjson_val *file = json_get(p->v, "file");
    if (!file)
        return refuse_missing(t, content_path(t, p, ".file"));
    if (!yyjson_is_obj(file))
        return refuse_type(t, content_path(t, p, ".file"), "an object", file);
    struct str name = json_str(json_get(file, "filename"));
    yyjson_val *data = json_get(file, "file_data"), *id = json_get(file, "file_id");
    if (!data && id)
        return add_file_id(t, p, id, name);
    if (!data)
        return refuse_missing(t, content_path(t, p, ".file.file_data"));
    if (!yyjson_is_str(data))
        return refuse_type(t, content_path(t, p, ".file.file_data"), "a string", data);
    return add_file_data(t, p, ".file.file_data", str_trim(json_str(data)), name);
}

bool media_read_document_url(struct translation *t, const struct content_part *p)
{
    yyjson_val *v = json_get(p->v, "document_url");
    const char *member = ".document_url";
    if (yyjson_is_obj(v)) {
        v = json_get(v, "url");
        member = ".document_url.url";
    }
    if (!v)
        return refuse_missing(t, content_path(t, p, member));
    if (!yyjson_is_str(v))
        return refuse_type(t, content_path(t, p, member), "a string", v);
    struct str url = str_trim(json_str(v));
    if (!is_web_url(url) && !data_url_is(url))
        return refuse_url(t, p, member);
    return add_file_data(t, p, member, url, json_str(json_get(p->v, "document_name")));
}

static bool want_source(struct translation *t, const struct content_part *p, yyjson_val **ret)
{
    *ret = json_get(p->v, "source");
    if (!*ret)
        return refuse_missing(t, content_path(t, p, ".source"));
    if (!yyjson_is_obj(*ret))
        return refuse_type(t, content_path(t, p, ".source"), "an object", *ret);
    return yyjson_is_str(json_get(*ret, "type")) ||
           refuse_missing(t, content_path(t, p, ".source.type"));
}

/* Base64 under the wrong type is sent under the right one. */
static bool read_own_base64(struct translation *t, const struct content_part *p, yyjson_val *source,
                            struct str data)
{
    struct inline_file f = {.base64 = data, .member = ".source.data"};
    enum media_kind declared = media_kind_of_type(json_str(json_get(source, "media_type")));
    enum media_kind kind = media_kind_of_data(data);
    if (!media_kind_is_image(kind))
        return refuse_bytes(t, p, &f);
    if (kind == declared)
        return check_image_data(t, p, f.member, kind, data) && count_image(t, p, ".source") &&
               content_pass(t, p);
    return repair(t, "media_type", content_path(t, p, ".source.media_type")) &&
           add_binary(t, p, &f, kind);
}

bool media_read_own_image(struct translation *t, const struct content_part *p)
{
    yyjson_val *source;
    if (!want_source(t, p, &source))
        return false;
    struct str data = json_str(json_get(source, "data"));
    if (data.p)
        return read_own_base64(t, p, source, data);
    return count_image(t, p, ".source") && content_pass(t, p);
}

bool media_read_own_document(struct translation *t, const struct content_part *p)
{
    yyjson_val *source;
    if (!want_source(t, p, &source))
        return false;
    t->media.all++;
    return content_pass(t, p);
}

bool media_read_assistant_document(struct translation *t, const struct content_part *p)
{
    yyjson_val *source;
    if (!want_source(t, p, &source))
        return false;
    bool is_text = str_eq(json_str(json_get(source, "type")), STR("text"));
    struct str text = is_text ? json_str(json_get(source, "data")) : (struct str){0};
    if (text_is_blank(text))
        return ignore_param(t, STR("messages.content.document"));
    return repair(t, "document->text", content_path(t, p, ".type")) &&
           blocks_add(t, p->to, text, CACHE_NONE);
}

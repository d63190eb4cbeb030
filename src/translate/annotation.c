/*
 * Counts characters and turns citations of web pages into OpenAI's url_citation.
 */
#include "translate/annotation.h"

#include <inttypes.h>

#define SEPARATOR_CHARACTERS 2

void annotations_init(struct annotations *a)
{
    *a = (struct annotations){0};
    buf_init(&a->links, ANNOTATION_BYTES_MAX);
    buf_init(&a->raw, ANNOTATION_BYTES_MAX);
    buf_init(&a->elements, 2 * ANNOTATION_BYTES_MAX);
}

void annotations_done(struct annotations *a)
{
    buf_done(&a->links);
    buf_done(&a->raw);
    buf_done(&a->elements);
}

/* An escape is one character; the short ones are all there are, see delta_scan. */
static uint64_t characters_of(struct piece text)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.s.n; i++) {
        unsigned char c = (unsigned char)text.s.p[i];
        n += (c & 0xc0) != 0x80;
        i += text.is_escaped && c == '\\';
    }
    return n;
}

void annotations_begin(struct annotations *a)
{
    a->is_begun = false;
    buf_reset(&a->links);
    buf_reset(&a->raw);
}

void annotations_text(struct annotations *a, struct piece text, bool is_apart)
{
    if (is_apart)
        a->characters += SEPARATOR_CHARACTERS;
    if (!a->is_begun)
        a->start = a->characters;
    a->is_begun = true;
    a->characters += characters_of(text);
}

static struct str url_of(yyjson_val *citation)
{
    struct str url = json_str(json_get(citation, "url"));
    struct str source = json_str(json_get(citation, "source")); /* of search results */
    if (url.n)
        return url;
    bool is_url = str_starts(source, STR("https://")) || str_starts(source, STR("http://"));
    return is_url ? source : (struct str){0};
}

bool annotations_add(struct annotations *a, yyjson_val *citation)
{
    if (!yyjson_is_obj(citation))
        return true;
    if (a->raw.len)
        buf_append_char(&a->raw, ',');
    json_write_value(&a->raw, citation);
    struct str url = url_of(citation), title = json_str(json_get(citation, "title"));
    if (url.n) {
        buf_append_z(&a->links, "\"url\":");
        json_write_string(&a->links, url);
        buf_append_z(&a->links, ",\"title\":");
        json_write_string(&a->links, title.p ? title : STR(""));
        buf_append_char(&a->links, '\n');
    }
    return !a->raw.failed && !a->links.failed;
}

static void write_elements(struct annotations *a)
{
    struct str links = buf_str(&a->links), link, last = {0};
    buf_reset(&a->elements);
    while (str_split(&links, '\n', &link)) {
        if (link.n == 0 || str_eq(link, last)) /* one page may be cited for several reasons */
            continue;
        last = link;
        if (a->elements.len)
            buf_append_char(&a->elements, ',');
        buf_append_z(&a->elements, "{\"type\":\"url_citation\",\"url_citation\":{");
        buf_append_str(&a->elements, link);
        buf_printf(&a->elements, ",\"start_index\":%" PRIu64 ",\"end_index\":%" PRIu64 "}}",
                   a->is_begun ? a->start : a->characters, a->characters);
    }
}

bool annotations_end(struct annotations *a, struct part *ret)
{
    write_elements(a);
    *ret = (struct part){
        .kind = PART_CITATIONS, .text.s = buf_str(&a->elements), .name = buf_str(&a->raw)};
    return !a->elements.failed;
}

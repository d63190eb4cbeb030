/*
 * The completion writer. What is collected is kept as the JSON it will be written as, so that
 * nothing is decoded, and nothing is kept twice but reasoning, which is answered twice.
 */
#include "translate/completion.h"

#include <stdlib.h>

#include "translate/carrier.h"
#include "translate/conformity.h"
#include "translate/usage.h"
#include "json/json.h"

struct completion {
    struct buf head;                   /* from '{' up to the value of "choices" */
    struct buf content;                /* between the quotes */
    struct buf refusal;                /* members of the message */
    struct buf reasoning;              /* between the quotes */
    struct buf details;                /* elements of reasoning_details */
    struct buf signature;              /* of the open element, between the quotes */
    struct buf calls;                  /* elements of tool_calls, or function_call */
    struct buf annotations, citations; /* elements of the two */
    bool is_detail_open;               /* the last element of `details` stands inside its text */
    bool is_detail_carrier;            /* and is the copy of the content */
    bool is_call_open;                 /* the last element of `calls` stands inside its arguments */
    bool is_function_call;             /* `calls` is one legacy function_call */
    unsigned detail_index;
    struct completion_end end;
};

struct completion *completion_create(void)
{
    struct completion *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    struct buf *bufs[] = {&c->head,      &c->content, &c->refusal,     &c->reasoning, &c->details,
                          &c->signature, &c->calls,   &c->annotations, &c->citations};
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++)
        buf_init(bufs[i], COMPLETION_BYTES_MAX);
    return c;
}

void completion_destroy(struct completion *c)
{
    if (!c)
        return;
    buf_done(&c->head);
    buf_done(&c->content);
    buf_done(&c->refusal);
    buf_done(&c->reasoning);
    buf_done(&c->details);
    buf_done(&c->signature);
    buf_done(&c->calls);
    buf_done(&c->annotations);
    buf_done(&c->citations);
    free(c);
}

static bool is_within_limit(const struct completion *c)
{
    const struct buf *bufs[] = {&c->head,      &c->content,     &c->refusal,
                                &c->reasoning, &c->details,     &c->signature,
                                &c->calls,     &c->annotations, &c->citations};
    size_t bytes = 0;
    for (size_t i = 0; i < PX_ARRAY_LEN(bufs); i++) {
        if (bufs[i]->failed)
            return false;
        bytes += bufs[i]->len;
    }
    return bytes <= COMPLETION_BYTES_MAX;
}

bool completion_begin(struct completion *c, struct str id, struct str model, int64_t created_unix_s)
{
    return part_write_head(&c->head, "chat.completion", id, model, created_unix_s);
}

static void close_detail(struct completion *c)
{
    if (!c->is_detail_open)
        return;
    c->is_detail_open = false;
    buf_append_char(&c->details, '"');
    if (c->signature.len) {
        buf_append_z(&c->details, ",\"signature\":\"");
        buf_append_str(&c->details, buf_str(&c->signature));
        buf_append_char(&c->details, '"');
    }
    buf_printf(&c->details, ",\"index\":%u,\"format\":\"%s\"}", c->detail_index,
               c->is_detail_carrier ? CARRIER_FORMAT : PART_REASONING_FORMAT);
    c->is_detail_carrier = false;
    buf_reset(&c->signature);
}

static void open_detail(struct completion *c, unsigned index, const char *opening)
{
    if (c->is_detail_open && c->detail_index == index)
        return;
    close_detail(c);
    buf_append_z(&c->details,
                 c->details.len ? ",{\"type\":\"reasoning." : "{\"type\":\"reasoning.");
    buf_append_z(&c->details, opening);
    c->is_detail_open = true;
    c->detail_index = index;
}

static void close_call(struct completion *c)
{
    if (c->is_call_open)
        buf_append_z(&c->calls, c->is_function_call ? "\"}" : "\"}}");
    c->is_call_open = false;
}

static void open_call(struct completion *c, const struct part *part)
{
    const struct part_call_words *words = &part_call_words[part->form];
    close_call(c);
    c->is_call_open = true;
    c->is_function_call = part->form == CALL_FUNCTION;
    if (!c->is_function_call) {
        buf_append_z(&c->calls, c->calls.len ? ",{\"id\":" : "{\"id\":");
        json_write_string(&c->calls, part->id);
        buf_printf(&c->calls, ",\"type\":\"%s\",\"%s\":", words->type, words->type);
    }
    buf_append_z(&c->calls, "{\"name\":");
    json_write_string(&c->calls, part->name);
    buf_printf(&c->calls, ",\"%s\":\"", words->arguments);
}

static void set_refusal(struct completion *c, const struct part *part)
{
    buf_reset(&c->refusal);
    buf_append_z(&c->refusal, "\"refusal\":\"");
    piece_write(&c->refusal, part->text);
    buf_append_char(&c->refusal, '"');
    if (part->name.n) {
        buf_append_z(&c->refusal, ",\"refusal_category\":");
        json_write_string(&c->refusal, part->name);
    }
}

static void add_elements(struct buf *to, struct str elements)
{
    if (elements.n && to->len)
        buf_append_char(to, ',');
    buf_append_str(to, elements);
}

bool completion_add(struct completion *c, const struct part *part)
{
    switch (part->kind) {
    case PART_TEXT:
        if (part->is_apart)
            buf_append_z(&c->content, PART_SEPARATOR);
        piece_write(&c->content, part->text);
        break;
    case PART_REASONING:
        piece_write(&c->reasoning, part->text);
        open_detail(c, part->index, "text\",\"text\":\"");
        piece_write(&c->details, part->text);
        break;
    case PART_SIGNATURE:
        open_detail(c, part->index, "text\",\"text\":\"");
        buf_reset(&c->signature); /* a second one replaces the first */
        piece_write(&c->signature, part->text);
        break;
    case PART_ENCRYPTED:
        open_detail(c, part->index, "encrypted\",\"data\":\"");
        piece_write(&c->details, part->text);
        break;
    case PART_CARRIER:
        open_detail(c, part->index, "encrypted\",\"data\":\"");
        c->is_detail_carrier = true;
        piece_write(&c->details, part->text);
        break;
    case PART_CALL:
        open_call(c, part);
        break;
    case PART_ARGUMENTS:
        piece_write(&c->calls, part->text);
        break;
    case PART_CITATIONS:
        add_elements(&c->annotations, part->text.s);
        add_elements(&c->citations, part->name);
        break;
    case PART_REFUSAL:
        set_refusal(c, part);
        break;
    }
    return is_within_limit(c);
}

static void write_elements(const char *name, const struct buf *elements, struct buf *out)
{
    if (elements->len == 0)
        return;
    buf_printf(out, ",\"%s\":[", name);
    buf_append_str(out, buf_str(elements));
    buf_append_char(out, ']');
}

static void write_message(const struct completion *c, bool is_refused, struct buf *out)
{
    bool has_calls = c->calls.len > 0 && !is_refused;
    buf_append_z(out, "{\"role\":\"assistant\",\"content\":");
    if (is_refused || (c->content.len == 0 && has_calls)) {
        buf_append_z(out, "null");
    } else {
        buf_append_char(out, '"');
        buf_append_str(out, buf_str(&c->content));
        buf_append_char(out, '"');
    }
    buf_append_char(out, ',');
    buf_append_str(out, is_refused ? buf_str(&c->refusal) : STR("\"refusal\":null"));
    if (c->reasoning.len) {
        buf_append_z(out, ",\"reasoning_content\":\"");
        buf_append_str(out, buf_str(&c->reasoning));
        buf_append_char(out, '"');
    }
    write_elements("reasoning_details", &c->details, out);
    if (!is_refused) {
        write_elements("annotations", &c->annotations, out);
        write_elements("citations", &c->citations, out);
    }
    if (has_calls) {
        buf_append_z(out, c->is_function_call ? ",\"function_call\":" : ",\"tool_calls\":[");
        buf_append_str(out, buf_str(&c->calls));
        buf_append_z(out, c->is_function_call ? "" : "]");
    }
    buf_append_char(out, '}');
}

bool completion_end(struct completion *c, const struct completion_end *end)
{
    close_detail(c);
    close_call(c);
    c->end = *end;
    return is_within_limit(c);
}

bool completion_check(struct completion *c, struct str schema, struct buf *ret_unmet)
{
    return conformity_check(&c->content, schema, ret_unmet) && is_within_limit(c);
}

static void write_choice(const struct completion *c, size_t index, struct buf *out)
{
    buf_printf(out, "{\"index\":%zu,\"message\":", index);
    write_message(c, c->end.is_refused, out);
    buf_append_z(out, ",\"logprobs\":null,\"finish_reason\":\"");
    buf_append_z(out, c->end.finish_reason);
    buf_append_z(out, "\"}");
}

bool completion_write(const struct completion *const all[], size_t n, const struct tr_usage *usage,
                      struct buf *out)
{
    const struct completion_end *end = &all[0]->end;
    buf_append_str(out, buf_str(&all[0]->head));
    for (size_t i = 0; i < n; i++) {
        buf_append_char(out, i == 0 ? '[' : ',');
        write_choice(all[i], i, out);
    }
    buf_append_z(out, "],\"usage\":");
    usage_write(usage, out);
    if (end->service_tier) {
        buf_append_z(out, ",\"service_tier\":\"");
        buf_append_z(out, end->service_tier);
        buf_append_char(out, '"');
    }
    if (end->metadata.n) {
        buf_append_z(out, ",\"metadata\":");
        buf_append_str(out, end->metadata);
    }
    buf_append_char(out, '}');
    return !out->failed;
}

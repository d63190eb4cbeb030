/*
 * The completion writer. What is collected is kept as the JSON it will be written as, so that
 * nothing is decoded.
 */
#include "translate/completion.h"

#include <stdlib.h>

#include "translate/carrier.h"
#include "translate/conformity.h"
#include "translate/reasoning_form.h"
#include "json/json.h"

struct completion {
    struct buf head;                   /* from '{' up to the value of "choices" */
    struct buf content;                /* between the quotes */
    struct buf refusal;                /* members of the message */
    struct buf calls;                  /* elements of tool_calls, or function_call */
    struct buf annotations, citations; /* elements of the two */
    bool is_call_open;                 /* the last element of `calls` stands inside its arguments */
    bool is_function_call;             /* `calls` is one legacy function_call */
    struct buf extra;                  /* what the open element of `calls` ends with */
    struct reasoning_message reasoning;
    struct completion_end end;
};

enum { BUFS = 7 };

static void list_bufs(struct completion *c, struct buf *ret[BUFS])
{
    struct buf *bufs[BUFS] = {&c->head,        &c->content,   &c->refusal, &c->calls,
                              &c->annotations, &c->citations, &c->extra};
    for (size_t i = 0; i < BUFS; i++)
        ret[i] = bufs[i];
}

struct completion *completion_create(unsigned reasoning_forms)
{
    struct completion *c = malloc(sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct completion){0};
    struct buf *bufs[BUFS];
    list_bufs(c, bufs);
    for (size_t i = 0; i < BUFS; i++)
        buf_init(bufs[i], COMPLETION_BYTES_MAX);
    reasoning_message_init(&c->reasoning, reasoning_forms, COMPLETION_BYTES_MAX);
    return c;
}

void completion_destroy(struct completion *c)
{
    if (!c)
        return;
    struct buf *bufs[BUFS];
    list_bufs(c, bufs);
    for (size_t i = 0; i < BUFS; i++)
        buf_done(bufs[i]);
    reasoning_message_done(&c->reasoning);
    free(c);
}

static bool is_within_limit(struct completion *c)
{
    struct buf *bufs[BUFS];
    bool has_failed = false;
    size_t bytes = reasoning_message_bytes(&c->reasoning, &has_failed);
    list_bufs(c, bufs);
    for (size_t i = 0; i < BUFS; i++) {
        has_failed |= bufs[i]->failed;
        bytes += bufs[i]->len;
    }
    return !has_failed && bytes <= COMPLETION_BYTES_MAX;
}

bool completion_begin(struct completion *c, struct str id, struct str model, int64_t created_unix_s)
{
    return part_write_head(&c->head, "chat.completion", id, model, created_unix_s);
}

static void close_call(struct completion *c)
{
    if (!c->is_call_open)
        return;
    c->is_call_open = false;
    buf_append_z(&c->calls, "\"}");
    if (c->is_function_call)
        return;
    buf_append_str(&c->calls, buf_str(&c->extra));
    buf_append_char(&c->calls, '}');
}

static void open_call(struct completion *c, const struct part *part)
{
    const struct part_call_words *words = &part_call_words[part->form];
    close_call(c);
    c->is_call_open = true;
    buf_reset(&c->extra);
    buf_append_str(&c->extra, part->extra);
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
        reasoning_message_add(&c->reasoning, part);
        break;
    case PART_REASONING:
    case PART_SIGNATURE:
    case PART_ENCRYPTED:
    case PART_CARRIER:
        reasoning_message_add(&c->reasoning, part);
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
    reasoning_message_write(&c->reasoning, is_refused, out);
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
    reasoning_message_end(&c->reasoning);
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
    buf_append_z(out, "{\"index\":");
    buf_append_u64(out, index);
    buf_append_z(out, ",\"message\":");
    write_message(c, c->end.is_refused, out);
    buf_append_z(out, ",\"logprobs\":null,\"finish_reason\":\"");
    buf_append_z(out, c->end.finish_reason);
    buf_append_z(out, "\"}");
}

bool completion_write(const struct completion *const all[], size_t n,
                      const struct usage_report *usage, struct buf *out)
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

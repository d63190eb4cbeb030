/*
 * The state machine between Anthropic's blocks and the writers.
 */
#include "translate/answer.h"

#include <string.h>

#include "translate/memory.h"
#include "translate/text.h"
#include "translate/tool_name.h"

#define NAMES_BYTES_MAX 4096
#define EXTRA_BYTES_MAX 65536
#define DEFAULT_REFUSAL "The model declined this request."

bool answer_init(struct answer *a, const struct tr_stream_params *params)
{
    *a = (struct answer){.params = params};
    chunk_init(&a->chunk, params);
    buf_init(&a->input, ANSWER_INPUT_BYTES_MAX);
    buf_init(&a->names, NAMES_BYTES_MAX);
    buf_init(&a->unmet, CONFORMITY_BYTES_MAX);
    buf_init(&a->extra, EXTRA_BYTES_MAX);
    custom_input_init(&a->custom);
    buf_init(&a->custom_text, ANSWER_INPUT_BYTES_MAX);
    /* The filter lets go of what it held back, besides what it is given. */
    annotations_init(&a->annotations);
    buf_init(&a->unfenced, ANSWER_INPUT_BYTES_MAX + FENCE_HELD_MAX);
    const bool is_whole = !params->is_stream;
    const bool has_carrier = params->carries_content || params->may_pause;
    if (is_whole)
        a->whole = completion_create(a->chunk.reasoning_forms);
    if (has_carrier)
        a->carrier = carrier_create();
    return (a->whole || !is_whole) && (a->carrier || !has_carrier);
}

void answer_done(struct answer *a)
{
    chunk_done(&a->chunk);
    completion_destroy(a->whole);
    buf_done(&a->input);
    buf_done(&a->names);
    buf_done(&a->extra);
    annotations_done(&a->annotations);
    carrier_destroy(a->carrier);
    buf_done(&a->unmet);
    custom_input_done(&a->custom);
    buf_done(&a->custom_text);
    buf_done(&a->unfenced);
    pending_done(&a->pending);
}

/* All choices of an answer go by the names of the first that begins. */
static void share_names(struct tr_choices *choices, struct str *id, struct str *model)
{
    if (!choices->is_named) {
        choices->is_named = true;
        memcpy(choices->id, id->n ? id->p : "", id->n);
        memcpy(choices->model, model->n ? model->p : "", model->n);
    }
    *id = str_of(choices->id);
    *model = str_of(choices->model);
}

enum answer_err answer_begin(struct answer *a, struct str id, struct str model)
{
    if (a->params->choices)
        share_names(a->params->choices, &id, &model);
    int64_t created = a->params->created_unix_s;
    bool is_done = a->whole ? completion_begin(a->whole, id, model, created)
                            : chunk_begin(&a->chunk, id, model, created);
    return is_done ? ANSWER_OK : ANSWER_TOO_LARGE;
}

static enum answer_err emit(struct answer *a, const struct part *part, struct buf *out)
{
    if (a->whole)
        return completion_add(a->whole, part) ? ANSWER_OK : ANSWER_TOO_LARGE;
    chunk_write_part(&a->chunk, part, out);
    return ANSWER_OK;
}

static bool is_blank_escape(char c)
{
    return c == 'n' || c == 'r' || c == 't' || c == 'f';
}

static bool begins_blank(struct piece p)
{
    if (p.is_escaped && p.s.p[0] == '\\')
        return is_blank_escape(p.s.p[1]);
    return text_is_blank_char(p.s.p[0]);
}

static bool ends_blank(struct piece p)
{
    char last = p.s.p[p.s.n - 1];
    if (!p.is_escaped)
        return text_is_blank_char(last);
    size_t slashes = 0; /* in front of `last`: an odd number escapes it */
    while (slashes + 1 < p.s.n && p.s.p[p.s.n - 2 - slashes] == '\\')
        slashes++;
    return slashes % 2 ? is_blank_escape(last) : text_is_blank_char(last);
}

/*
 * Adjacent text blocks are one text, cut where a citation begins: nothing goes between them. Texts
 * with something else in between are separate paragraphs.
 */
static enum answer_err add_text(struct answer *a, struct piece text, struct buf *out)
{
    if (text.s.n == 0)
        return ANSWER_OK;
    bool is_json = a->params->is_json_object || a->params->is_structured;
    bool is_apart =
        a->has_text && a->is_after_gap && !a->is_blank_last && !begins_blank(text) && !is_json;
    a->has_text = true;
    a->is_after_gap = false;
    a->is_blank_last = ends_blank(text);
    annotations_text(&a->annotations, text, is_apart);
    struct part part = {
        .kind = PART_TEXT, .block = a->text_shown, .text = text, .is_apart = is_apart};
    return emit(a, &part, out);
}

static enum answer_err add_unfenced(struct answer *a, struct buf *out)
{
    if (a->unfenced.failed)
        return ANSWER_TOO_LARGE;
    enum answer_err err = add_text(a, (struct piece){.s = buf_str(&a->unfenced)}, out);
    buf_reset(&a->unfenced);
    return err;
}

/* In JSON mode `text` is never escaped: the filter looks at the text itself. */
static enum answer_err take_text(struct answer *a, struct piece text, struct buf *out)
{
    if (!a->params->is_json_object)
        return add_text(a, text, out);
    fence_feed(&a->fence, text.s, &a->unfenced);
    return add_unfenced(a, out);
}

static enum answer_err add_reasoning(struct answer *a, enum part_kind kind, struct piece text,
                                     struct buf *out)
{
    if (text.s.n == 0)
        return ANSWER_OK;
    struct part part = {
        .kind = kind, .index = a->block.number, .block = a->block.shown, .text = text};
    return emit(a, &part, out);
}

static enum call_form form_of(const struct answer *a, struct str name)
{
    if (a->params->is_function_call)
        return CALL_FUNCTION;
    return tool_name_is_custom(a->params->tool_names, name) ? CALL_CUSTOM : CALL_TOOL;
}

/* The legacy form has room for one call: the first is given, the client asks for the others. */
static bool is_dropped(enum call_form form, unsigned number)
{
    return form == CALL_FUNCTION && number > 0;
}

static enum answer_err add_call(struct answer *a, const struct pending_call *call, struct buf *out)
{
    struct part part = {.kind = PART_CALL,
                        .index = a->calls++,
                        .id = call->id,
                        .name = tool_name_client(a->params->tool_names, call->name),
                        .extra = call->extra,
                        .form = form_of(a, call->name)};
    return is_dropped(part.form, part.index) ? ANSWER_OK : emit(a, &part, out);
}

static enum answer_err add_custom_text(struct answer *a, unsigned number, struct buf *out)
{
    if (a->custom_text.failed)
        return ANSWER_TOO_LARGE;
    struct part part = {.kind = PART_ARGUMENTS,
                        .index = number,
                        .text = {.s = buf_str(&a->custom_text), .is_escaped = true},
                        .form = CALL_CUSTOM};
    enum answer_err err = part.text.s.n ? emit(a, &part, out) : ANSWER_OK;
    buf_reset(&a->custom_text);
    return err;
}

static enum answer_err add_custom_input(struct answer *a, unsigned number, struct piece json,
                                        struct buf *out)
{
    struct buf raw;
    buf_init(&raw, ANSWER_INPUT_BYTES_MAX);
    bool is_read = piece_read(&raw, json);
    if (is_read)
        custom_input_feed(&a->custom, buf_str(&raw), &a->custom_text);
    buf_done(&raw);
    return is_read ? add_custom_text(a, number, out) : ANSWER_TOO_LARGE;
}

static enum answer_err end_custom_input(struct answer *a, unsigned number, struct buf *out)
{
    custom_input_end(&a->custom, &a->custom_text);
    return add_custom_text(a, number, out);
}

static enum answer_err add_arguments(struct answer *a, unsigned number, enum call_form form,
                                     struct piece json, struct buf *out)
{
    if (form == CALL_CUSTOM)
        return add_custom_input(a, number, json, out);
    struct part part = {.kind = PART_ARGUMENTS, .index = number, .text = json, .form = form};
    return is_dropped(form, number) ? ANSWER_OK : emit(a, &part, out);
}

/* The JSON of a call that is whole. */
static enum answer_err add_all_arguments(struct answer *a, unsigned number, enum call_form form,
                                         struct piece json, struct buf *out)
{
    enum answer_err err = add_arguments(a, number, form, json, out);
    return err || form != CALL_CUSTOM ? err : end_custom_input(a, number, out);
}

/* Keeps what identifies a call until its block ends. */
static enum answer_err open_pending(struct answer *a, struct pending_call call)
{
    buf_reset(&a->names);
    char *at = buf_reserve(&a->names, call.caller.n + call.id.n + call.name.n);
    if (!at)
        return ANSWER_TOO_LARGE;
    struct str *parts[] = {&call.caller, &call.id, &call.name};
    for (size_t i = 0; i < PX_ARRAY_LEN(parts); i++) {
        buf_append_str(&a->names, *parts[i]);
        parts[i]->p = at;
        at += parts[i]->n;
    }
    a->open_call = call;
    a->block.is_pending = true;
    return ANSWER_OK;
}

static bool is_direct(struct str caller_type)
{
    return caller_type.n == 0 || str_eq(caller_type, STR("direct"));
}

/* Who called, and of which set the tool is: clients that know these send them back. */
static bool write_extra(struct answer *a, yyjson_val *block)
{
    yyjson_val *caller = json_get(block, "caller"), *toolset = json_get(block, "toolset_name");
    buf_reset(&a->extra);
    if (!is_direct(json_str(json_get(caller, "type")))) {
        buf_append_z(&a->extra, ",\"caller\":");
        json_write_value(&a->extra, caller);
    }
    if (yyjson_is_str(toolset)) {
        buf_append_z(&a->extra, ",\"toolset_name\":");
        json_write_value(&a->extra, toolset);
    }
    return !a->extra.failed;
}

static enum answer_err open_call(struct answer *a, yyjson_val *block, struct buf *out)
{
    yyjson_val *caller = json_get(block, "caller");
    struct pending_call call = {.caller = json_str(json_get(caller, "tool_id")),
                                .id = json_str(json_get(block, "id")),
                                .name = json_str(json_get(block, "name"))};
    if (!call.id.n || !call.name.n)
        return ANSWER_MALFORMED;
    if (!write_extra(a, block))
        return ANSWER_TOO_LARGE;
    call.extra = buf_str(&a->extra);
    buf_reset(&a->input);
    yyjson_val *input = json_get(block, "input");
    if (yyjson_is_obj(input) && yyjson_obj_size(input) > 0 && !json_write_value(&a->input, input))
        return ANSWER_TOO_LARGE;
    a->block.number = a->calls;
    a->block.form = form_of(a, call.name);
    const bool is_own = is_direct(json_str(json_get(caller, "type")));
    return is_own ? add_call(a, &call, out) : open_pending(a, call);
}

static enum answer_err open_thinking(struct answer *a, yyjson_val *block, struct buf *out)
{
    a->block.number = a->reasonings++;
    a->block.shown = a->shown++;
    struct piece text = {.s = json_str(json_get(block, "thinking"))};
    struct piece signature = {.s = json_str(json_get(block, "signature"))};
    enum answer_err err = add_reasoning(a, PART_REASONING, text, out);
    return err ? err : add_reasoning(a, PART_SIGNATURE, signature, out);
}

static enum answer_err open_redacted(struct answer *a, yyjson_val *block, struct buf *out)
{
    a->block.number = a->reasonings++;
    a->block.shown = a->shown++;
    struct piece data = {.s = json_str(json_get(block, "data"))};
    return add_reasoning(a, PART_ENCRYPTED, data, out);
}

static enum answer_err add_citation(struct answer *a, yyjson_val *citation)
{
    return annotations_add(&a->annotations, citation) ? ANSWER_OK : ANSWER_TOO_LARGE;
}

static enum answer_err open_text(struct answer *a, yyjson_val *block, struct buf *out)
{
    yyjson_val *citations = json_get(block, "citations"), *citation;
    size_t i, n;
    a->text_shown = a->shown++;
    annotations_begin(&a->annotations);
    yyjson_arr_foreach(citations, i, n, citation)
    {
        enum answer_err err = add_citation(a, citation);
        if (err)
            return err;
    }
    return take_text(a, (struct piece){.s = json_str(json_get(block, "text"))}, out);
}

static enum answer_err close_text(struct answer *a, struct buf *out)
{
    struct part part;
    if (!annotations_end(&a->annotations, &part))
        return ANSWER_TOO_LARGE;
    return part.name.n ? emit(a, &part, out) : ANSWER_OK;
}

enum answer_err answer_block(struct answer *a, int64_t index, yyjson_val *block, struct buf *out)
{
    enum answer_err err = answer_block_end(a, out);
    if (err)
        return err;
    struct str type = json_str(json_get(block, "type"));
    if (!type.n)
        return ANSWER_MALFORMED;
    a->block = (struct block){.kind = BLOCK_OTHER, .index = index};
    carrier_open(a->carrier, block);
    if (str_eq(type, STR("text"))) {
        a->block.kind = BLOCK_TEXT;
        return open_text(a, block, out);
    }
    a->is_after_gap = true;
    if (str_eq(type, STR("thinking"))) {
        a->block.kind = BLOCK_THINKING;
        return open_thinking(a, block, out);
    }
    if (str_eq(type, STR("redacted_thinking")))
        return open_redacted(a, block, out);
    if (str_eq(type, STR("tool_use"))) {
        a->block.kind = BLOCK_CALL;
        return open_call(a, block, out);
    }
    if (str_ends(type, STR("_tool_result")))
        pending_answered(&a->pending, json_str(json_get(block, "tool_use_id")));
    return ANSWER_OK;
}

static enum answer_err take_input(struct answer *a, struct piece json, struct buf *out)
{
    if (json.s.n == 0)
        return ANSWER_OK;
    if (!a->block.has_input)
        buf_reset(&a->input); /* what the block began with was a placeholder */
    a->block.has_input = true;
    if (a->block.is_pending)
        return piece_write(&a->input, json) ? ANSWER_OK : ANSWER_TOO_LARGE;
    return add_arguments(a, a->block.number, a->block.form, json, out);
}

/* What a delta says of its block, for the copy of it. */
static void carry(struct answer *a, const struct delta *delta)
{
    switch (delta->kind) {
    case DELTA_TEXT:
    case DELTA_INPUT:
    case DELTA_THINKING:
        carrier_text(a->carrier, delta->text);
        break;
    case DELTA_SIGNATURE:
        carrier_signature(a->carrier, delta->text);
        break;
    case DELTA_CITATION:
        carrier_cite(a->carrier, delta->citation);
        break;
    case DELTA_OTHER:
        carrier_break(a->carrier);
        break;
    }
}

enum answer_err answer_delta(struct answer *a, const struct delta *delta, struct buf *out)
{
    carry(a, delta);
    if (delta->kind == DELTA_OTHER)
        return ANSWER_OK;
    /* Blocks do not interleave. Guessing where a stray piece belongs would garble the answer. */
    if (a->block.kind == BLOCK_NONE || delta->index != a->block.index)
        return ANSWER_MALFORMED;
    if (a->block.kind == BLOCK_TEXT && delta->kind == DELTA_TEXT)
        return take_text(a, delta->text, out);
    if (a->block.kind == BLOCK_TEXT && delta->kind == DELTA_CITATION)
        return add_citation(a, delta->citation);
    if (a->block.kind == BLOCK_THINKING && delta->kind == DELTA_THINKING)
        return add_reasoning(a, PART_REASONING, delta->text, out);
    if (a->block.kind == BLOCK_THINKING && delta->kind == DELTA_SIGNATURE)
        return add_reasoning(a, PART_SIGNATURE, delta->text, out);
    if (a->block.kind == BLOCK_CALL && delta->kind == DELTA_INPUT)
        return take_input(a, delta->text, out);
    return ANSWER_OK;
}

enum answer_err answer_block_end(struct answer *a, struct buf *out)
{
    struct block block = a->block;
    a->block = (struct block){0};
    carrier_close(a->carrier);
    if (block.kind == BLOCK_TEXT)
        return close_text(a, out);
    if (block.kind != BLOCK_CALL)
        return ANSWER_OK;
    bool is_custom = block.form == CALL_CUSTOM;
    if (block.has_input && !block.is_pending)
        return is_custom ? end_custom_input(a, block.number, out) : ANSWER_OK;
    /* A tool without arguments gets no JSON at all; clients parse what they get. */
    struct piece json = {.s = is_custom ? STR("") : STR("{}"), .is_escaped = block.has_input};
    if (a->input.len)
        json.s = buf_str(&a->input);
    if (!block.is_pending)
        return add_all_arguments(a, block.number, block.form, json, out);
    a->open_call.arguments = json;
    return pending_add(&a->pending, &a->open_call) ? ANSWER_OK : ANSWER_TOO_LARGE;
}

/* Calls that nothing answered are the client's after all. */
static enum answer_err release_pending(struct answer *a, struct buf *out)
{
    for (const struct pending_node *node = a->pending.first; node; node = node->next) {
        unsigned number = a->calls;
        enum call_form form = form_of(a, node->call.name);
        enum answer_err err = add_call(a, &node->call, out);
        if (!err)
            err = add_all_arguments(a, number, form, node->call.arguments, out);
        if (err)
            return err;
    }
    return ANSWER_OK;
}

static enum answer_err add_refusal(struct answer *a, const struct answer_end *end, struct buf *out)
{
    if (end->reason != STOP_REFUSAL)
        return ANSWER_OK;
    struct part part = {.kind = PART_REFUSAL, .name = end->category};
    part.text.s = end->explanation.n ? end->explanation : STR(DEFAULT_REFUSAL);
    return emit(a, &part, out);
}

static enum answer_err add_carrier(struct answer *a, const struct answer_end *end, struct buf *out)
{
    if (!a->params->carries_content)
        return ANSWER_OK;
    if (end->reason == STOP_REFUSAL) /* what it said is to be forgotten */
        return ANSWER_OK;
    struct piece content = {.s = carrier_finish(a->carrier)};
    if (content.s.n == 0)
        return ANSWER_OK;
    return emit(a, &(struct part){.kind = PART_CARRIER, .index = a->reasonings, .text = content},
                out);
}

static enum answer_err end_text(struct answer *a, struct buf *out)
{
    if (!a->params->is_json_object)
        return ANSWER_OK;
    fence_end(&a->fence, &a->unfenced);
    return add_unfenced(a, out);
}

struct str answer_paused(struct answer *a, enum stop_reason reason)
{
    const bool is_paused = reason == STOP_PAUSE_TURN || reason == STOP_TOOL_USE;
    /* A call that waits for the client must be answered first. */
    if (!a->params->may_pause || !is_paused || a->calls > 0 || a->pending.first)
        return (struct str){0};
    return carrier_array(a->carrier);
}

bool answer_memo(struct answer *a, const struct tr_place *place, struct digest *ret_key,
                 struct str *ret_content)
{
    struct json_error err;
    const bool has_thinking = a->carrier && a->carrier->has_thinking;
    /* What a function_call answers has no id to be found by. */
    if (!place->is_kept || (a->calls == 0 && !has_thinking) ||
        (a->calls > 0 && a->params->is_function_call))
        return false;
    const struct str content = carrier_array(a->carrier);
    yyjson_doc *doc = content.n ? json_parse(content, &err) : NULL;
    const bool has_key = doc && memory_key_of_content(place->key, place->conversation,
                                                      yyjson_doc_get_root(doc), ret_key);
    yyjson_doc_free(doc);
    *ret_content = has_thinking ? content : STR("[]");
    return has_key;
}

/* What stands behind the only choice. */
static bool write_end(const struct answer *a, const struct usage_report *usage, struct buf *out)
{
    const struct completion *whole = a->whole;
    if (whole)
        return completion_write(&whole, 1, usage, out);
    chunk_write_end(&a->chunk, usage, out);
    return true;
}

/* The whole answer, complete, against what was wanted of it. */
static bool check_wanted(struct answer *a, enum stop_reason stop, const char *reason)
{
    const struct tr_wanted *wanted = &a->params->wanted;
    if (!wanted->is_json || stop != STOP_END_TURN || strcmp(reason, "stop") != 0)
        return true;
    return completion_check(a->whole, wanted->schema, &a->unmet);
}

enum answer_err answer_finish(struct answer *a, const struct answer_end *end, struct buf *out,
                              const char **ret_reason)
{
    enum answer_err err = answer_block_end(a, out);
    if (!err)
        err = end_text(a, out);
    if (!err)
        err = release_pending(a, out);
    if (!err)
        err = add_refusal(a, end, out);
    if (!err)
        err = add_carrier(a, end, out);
    if (err)
        return err;
    const char *reason = finish_reason(end->reason, a->has_text, a->calls > 0);
    if (a->params->is_function_call && strcmp(reason, "tool_calls") == 0)
        reason = "function_call";
    if (a->whole) {
        struct completion_end whole_end = {.finish_reason = reason,
                                           .service_tier = end->service_tier,
                                           .is_refused = end->reason == STOP_REFUSAL,
                                           .metadata = a->params->metadata};
        if (!completion_end(a->whole, &whole_end) || !check_wanted(a, end->reason, reason))
            return ANSWER_TOO_LARGE;
    } else {
        chunk_write_finish(&a->chunk, reason, end->service_tier, out);
    }
    if (!a->params->choices && !write_end(a, end->usage, out))
        return ANSWER_TOO_LARGE;
    *ret_reason = reason;
    return ANSWER_OK;
}

/*
 * Writes the upstream request, once, straight into its buffer: the texts are copied from the
 * parsed document into the body and nowhere else. The big members come last.
 */
#include <string.h>

#include "translate/block.h"
#include "translate/tools.h"

static void write_name(struct buf *b, const char *name)
{
    buf_append_z(b, ",\"");
    buf_append_z(b, name);
    buf_append_z(b, "\":");
}

static void write_text_member(struct buf *b, const char *name, struct str text)
{
    write_name(b, name);
    json_write_string(b, text);
}

static void write_number(struct buf *b, const char *name, struct str number)
{
    if (number.n == 0)
        return;
    write_name(b, name);
    buf_append_str(b, number);
}

static void write_stops(struct buf *b, const struct blocks *stops)
{
    if (!stops->first)
        return;
    buf_append_z(b, ",\"stop_sequences\":[");
    for (const struct block *it = stops->first; it; it = it->next) {
        if (it != stops->first)
            buf_append_char(b, ',');
        json_write_string(b, it->text);
    }
    buf_append_char(b, ']');
}

/* Anthropic's own fields, as the client wrote them. */
static void write_passed(struct buf *b, const struct translation *t)
{
    static const struct {
        const char *name;
        enum field field;
    } passed[] = {{"inference_geo", FIELD_inference_geo},
                  {"speed", FIELD_speed},
                  {"fallbacks", FIELD_fallbacks},
                  {"diagnostics", FIELD_diagnostics},
                  {"context_management", FIELD_context_management},
                  {"mcp_servers", FIELD_mcp_servers}};
    for (size_t i = 0; i < PX_ARRAY_LEN(passed); i++) {
        yyjson_val *v = t->field[passed[i].field];
        if (!v)
            continue;
        write_name(b, passed[i].name);
        json_write_value(b, v);
    }
    yyjson_val *container = t->field[FIELD_container];
    if (!container)
        return;
    buf_append_z(b, yyjson_is_str(container) ? ",\"container\":{\"id\":" : ",\"container\":");
    json_write_value(b, container);
    buf_append_z(b, yyjson_is_str(container) ? "}" : "");
}

static void write_output_config(struct buf *b, const struct translation *t)
{
    struct str schema = buf_str(&t->format.schema);
    const char *effort = reasoning_effort_word(t->thinking.effort);
    if (!effort && schema.n == 0)
        return;
    buf_append_z(b, ",\"output_config\":{");
    if (effort)
        buf_printf(b, "\"effort\":\"%s\"%s", effort, schema.n ? "," : "");
    if (schema.n) {
        buf_append_z(b, "\"format\":{\"type\":\"json_schema\",\"schema\":");
        buf_append_str(b, schema);
        buf_append_char(b, '}');
    }
    buf_append_char(b, '}');
}

static void write_settings(struct buf *b, const struct translation *t)
{
    buf_append_z(b, "{\"model\":");
    json_write_string(b, t->out->model);
    buf_append_z(b, ",\"max_tokens\":");
    buf_append_i64(b, t->out->max_tokens);
    buf_append_z(b, ",\"stream\":true");
    write_number(b, "temperature", t->sampling.temperature);
    write_number(b, "top_p", t->sampling.top_p);
    write_number(b, "top_k", t->sampling.top_k);
    write_stops(b, &t->stops);
    if (t->user_id.n) {
        buf_append_z(b, ",\"metadata\":{\"user_id\":");
        json_write_string(b, t->user_id);
        buf_append_char(b, '}');
    }
    if (t->service_tier)
        write_text_member(b, "service_tier", str_of(t->service_tier));
    write_passed(b, t);
    reasoning_write(t, b);
    write_output_config(b, t);
    cache_write(b, t->auto_cache);
}

static void write_turns(struct buf *b, const struct translation *t)
{
    static const char *const roles[] = {
        [TURN_USER] = "user", [TURN_ASSISTANT] = "assistant", [TURN_SYSTEM] = "system"};
    buf_append_z(b, ",\"messages\":[");
    for (const struct turn *turn = t->turns; turn; turn = turn->next) {
        if (turn != t->turns)
            buf_append_char(b, ',');
        buf_append_z(b, "{\"role\":\"");
        buf_append_z(b, roles[turn->role]);
        buf_append_z(b, "\",\"content\":");
        blocks_write(b, &turn->blocks);
        buf_append_char(b, '}');
    }
    buf_append_z(b, "]}");
}

/* What the body refers to, sorted by where: blocks may be written in another order than found. */
static bool settle_splices(struct translation *t)
{
    struct splice *splices = arena_alloc(t->arena, t->media.n_referred * sizeof(*splices));
    size_t n = 0;
    if (!splices)
        return refuse_memory(t);
    for (const struct media *m = t->media.referred; m; m = m->next_referred) {
        if (m->written_at == 0) /* its message came to nothing */
            continue;
        size_t i = n++;
        for (; i > 0 && splices[i - 1].at > m->written_at; i--)
            splices[i] = splices[i - 1];
        splices[i] = (struct splice){m->written_at, m->data};
    }
    t->out->splices = splices;
    t->out->n_splices = n;
    return true;
}

bool body_write(struct translation *t)
{
    struct buf *b = &t->out->body;
    write_settings(b, t);
    if (t->verbosity && !blocks_add(t, &t->system, str_of(t->verbosity), CACHE_NONE))
        return false;
    if (t->format.instruction.n && !blocks_add(t, &t->system, t->format.instruction, CACHE_NONE))
        return false;
    tools_write(t, b);
    if (t->system.first) {
        buf_append_z(b, ",\"system\":");
        blocks_write(b, &t->system);
    }
    write_turns(b, t);
    if (b->failed)
        return refuse_memory(t);
    return t->media.n_referred == 0 || settle_splices(t);
}

/*
 * Strict tools. The upstream compiles their schemas together with that of the answer and takes only
 * so much of it: tools that do not fit are sent without `strict`, which leaves them usable.
 */
#include "translate/schema.h"
#include "translate/tools.h"

#define STRICT_MAX   20 /* the upstream's limits, of all strict schemas together */
#define OPTIONAL_MAX 24
#define UNIONS_MAX   16
#define EMPTY_SCHEMA "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"

/* What is taken already. */
struct totals {
    size_t tools, optionals, unions;
};

/* Which tools go first: what must be called, what may be, then the stand-ins for text. */
enum rank { RANK_FORCED, RANK_ASKED, RANK_CUSTOM, RANKS };

static enum rank rank_of(const struct translation *t, const struct tool *tool)
{
    if (tool == t->tools->choice.tool)
        return RANK_FORCED;
    return tool->kind == TOOL_CUSTOM ? RANK_CUSTOM : RANK_ASKED;
}

/* A root that is written as an object: the upstream wants tools to have one. */
static bool has_plain_root(const struct tool *tool)
{
    yyjson_val *type = json_get(tool->schema, "type");
    return !tool->is_union && !json_get(tool->schema, "$ref") &&
           (str_eq(json_str(type), STR("object")) ||
            (!type && json_get(tool->schema, "properties")));
}

static bool is_empty(const struct tool *tool)
{
    return yyjson_obj_size(tool->schema) == 0;
}

bool tool_strict_write(const struct tool *tool, struct buf *b)
{
    struct schema_result result;
    if (is_empty(tool))
        return buf_append_z(b, EMPTY_SCHEMA);
    return schema_write(b, tool->schema, (struct str){0}, (struct str){0}, &result);
}

/* Drops `strict`; what the client did not ask for is not reported. */
static bool drop(struct translation *t, const struct tool *tool, const char *why)
{
    return tool->kind == TOOL_CUSTOM ||
           modify_param(t, "unsupported_value", tool_path(t, tool, ".strict"),
                        "tools.strict=false(%s)", why);
}

static bool keep(struct translation *t, struct tool *tool, struct totals *sum,
                 const struct schema_result *result)
{
    if (sum->tools == STRICT_MAX || sum->optionals + result->optionals > OPTIONAL_MAX ||
        sum->unions + result->unions > UNIONS_MAX)
        return drop(t, tool, "limit");
    sum->tools++;
    sum->optionals += result->optionals;
    sum->unions += result->unions;
    tool->is_strict = true;
    t->out->has_strict_tools = true;
    return !result->is_weakened ||
           modify_param(t, "unsupported_value", tool_path(t, tool, ".parameters"),
                        "tools.parameters(constraints->description)");
}

static bool settle_tool(struct translation *t, struct tool *tool, struct totals *sum)
{
    struct schema_result result = {0};
    struct buf scratch;
    if (!t->model.takes_structured_outputs)
        return drop(t, tool, "model");
    if (tool->kind == TOOL_CUSTOM || is_empty(tool))
        return keep(t, tool, sum, &result);
    if (!has_plain_root(tool))
        return drop(t, tool, "schema");
    buf_init(&scratch, TR_BODY_MAX);
    bool is_written =
        schema_write(&scratch, tool->schema, (struct str){0}, (struct str){0}, &result);
    buf_done(&scratch);
    if (!is_written)
        return result.why ? drop(t, tool, "schema") : refuse_memory(t);
    return keep(t, tool, sum, &result);
}

bool tool_strict_settle(struct translation *t)
{
    struct totals sum = {.optionals = t->format.optionals, .unions = t->format.unions};
    for (unsigned rank = 0; rank < RANKS; rank++)
        for (struct tool *tool = t->tools->first; tool; tool = tool->next) {
            bool is_wanted = tool->wants_strict || tool->kind == TOOL_CUSTOM;
            if (is_wanted && !tool->is_withheld && rank_of(t, tool) == rank &&
                !settle_tool(t, tool, &sum))
                return false;
        }
    return true;
}

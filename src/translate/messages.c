/*
 * messages -> system and messages. Groups of messages become turns, late system messages find the
 * place the upstream allows. Deterministic, and appending a message leaves what came before as it
 * was (prompt caches and signed thinking depend on it), except where a model has no system role
 * inside the conversation.
 */
#include "translate/block.h"
#include "translate/content.h"
#include "translate/fields.h"
#include "translate/media.h"
#include "translate/recall.h"
#include "translate/replay.h"
#include "translate/text.h"
#include "translate/tool_history.h"

#define MESSAGES_MAX  100000 /* the upstream's limit */
#define LEAD_TEXT     "..."
#define CONTINUE_TEXT "Continue from exactly where the previous message stopped."

/* The group of messages that is being read, and what it inherits. */
struct reading {
    struct blocks user;       /* of the open user turn */
    struct blocks system;     /* system texts in the open group */
    struct blocks carried;    /* system texts that still wait for a user turn */
    size_t last_index;        /* the last message that said something */
    ptrdiff_t blank_user;     /* a user message that said nothing; -1 = none */
    struct blocks last_lead;  /* the last message before the conversation, by itself */
    struct blocks other_lead; /* the ones before that */
};

/* A call from code is that only where the code stands in front of it: the upstream looks there. */
static void check_caller(struct turn *turn, const struct block *b)
{
    if (b->kind == BLOCK_VALUE &&
        str_eq(json_str(json_get(b->value, "type")), STR("server_tool_use")))
        turn->code = json_str(json_get(b->value, "id"));
    if (b->kind != BLOCK_TOOL_USE || !b->tool_use->caller)
        return;
    struct str code = json_str(json_get(b->tool_use->caller, "tool_id"));
    if (code.n && !str_eq(code, turn->code))
        b->tool_use->caller = NULL;
}

/*
 * A turn's blocks as they come, but texts in front of its tool calls: behind one, they make it
 * count as unanswered.
 */
static bool append(struct translation *t, struct turn *turn, struct blocks *from)
{
    while (from->first) {
        struct block *b = from->first;
        from->first = b->next;
        b->next = NULL;
        check_caller(turn, b);
        if (b->kind == BLOCK_TEXT && turn->has_call) {
            struct block **at = turn->before_call ? &turn->before_call->next : &turn->blocks.first;
            b->next = *at;
            *at = turn->before_call = b;
            if (!repair(t, "text before tool_use", "messages"))
                return false;
            continue;
        }
        if (b->kind == BLOCK_TOOL_USE && !turn->has_call) {
            turn->has_call = true;
            turn->before_call = turn->blocks.last;
        }
        struct blocks one = {b, b};
        blocks_move(&turn->blocks, &one);
    }
    *from = (struct blocks){0};
    return true;
}

static bool add_turn(struct translation *t, enum turn_role role, struct blocks *blocks)
{
    if (!blocks->first)
        return true;
    struct turn *turn = t->last_turn;
    if (!turn || turn->role != role) {
        turn = arena_alloc(t->arena, sizeof(*turn));
        if (!turn)
            return refuse_memory(t);
        turn->role = role;
        if (t->last_turn)
            t->last_turn->next = turn;
        else
            t->turns = turn;
        t->last_turn = turn;
    }
    return append(t, turn, blocks);
}

/* The results of tools come first in a user turn. */
static bool add_user_turn(struct translation *t, struct reading *r)
{
    struct blocks blocks = {0};
    if (!tool_history_settle(t, &blocks))
        return false;
    blocks_move(&blocks, &r->user);
    return add_turn(t, TURN_USER, &blocks);
}

/* Whether anyone but the system spoke since the assistant. */
static bool has_user_turn(const struct translation *t, const struct reading *r)
{
    return r->user.first || tool_history_has_results(t);
}

/* The conversation has begun: what came before it is the system prompt. */
static void close_lead(struct translation *t, struct reading *r)
{
    blocks_move(&t->system, &r->other_lead);
    blocks_move(&t->system, &r->last_lead);
}

/* For a model that was thought to take system messages anywhere, it is said that it did not. */
static bool report_hoisted(struct translation *t)
{
    return !(t->policy->amend.refuses & TR_REFUSES_SYSTEM_ROLE) ||
           modify_param(t, "unsupported_value", "messages", "messages(system->first)");
}

/*
 * Ends a group of user and system messages. System texts go right behind the user turn, the only
 * place where the upstream takes them; without a user turn they wait for the next one. Models
 * without that role get them in front of everything.
 */
static bool close_group(struct translation *t, struct reading *r)
{
    if (!t->model.takes_system_role) {
        if (r->system.first && !report_hoisted(t))
            return false;
        blocks_move(&t->system, &r->system);
    } else {
        blocks_move(&r->carried, &r->system);
    }
    if (!has_user_turn(t, r))
        return true;
    return add_user_turn(t, r) && add_turn(t, TURN_SYSTEM, &r->carried);
}

/* Where nobody but the system spoke last, its texts are what the model is to answer. */
static bool system_as_user(struct translation *t, struct reading *r)
{
    if (!modify_param(t, "invalid_value", "messages", "messages(system->user)"))
        return false;
    blocks_move(&r->user, &r->carried);
    blocks_move(&r->user, &r->system);
    return add_user_turn(t, r);
}

/* The conversation ends with the assistant: the model continues, or is asked to. */
static bool settle_trailing(struct translation *t, struct reading *r)
{
    struct block *last = t->last_turn->blocks.last;
    if (tool_history_is_open(t))
        return refuse(t, "invalid_value", "messages",
                      "An assistant message with 'tool_calls' must be followed by tool messages "
                      "responding to each 'tool_call_id'.");
    if (t->model.takes_prefill && !t->out->is_structured && !reasoning_is_on(t) &&
        last->kind == BLOCK_TEXT) {
        last->text = text_trim_end(last->text); /* the upstream refuses white space there */
        t->is_prefill = true;
        return true;
    }
    const char *path = path_of(t, "messages[%zu].role", r->last_index);
    if (!modify_param(t, "unsupported_value", path, "messages(continue)") ||
        !blocks_add(t, &r->user, STR(CONTINUE_TEXT), CACHE_NONE))
        return false;
    return close_group(t, r);
}

/* For an upstream that wants the user to speak first. */
static bool lead_with_user(struct translation *t)
{
    if (!(t->policy->amend.refuses & TR_REFUSES_ASSISTANT_FIRST) || !t->turns ||
        t->turns->role != TURN_ASSISTANT)
        return true;
    struct turn *turn = arena_alloc(t->arena, sizeof(*turn));
    if (!turn)
        return refuse_memory(t);
    *turn = (struct turn){.next = t->turns, .role = TURN_USER};
    t->turns = turn;
    return blocks_add(t, &turn->blocks, STR(LEAD_TEXT), CACHE_NONE) &&
           modify_param(t, "invalid_value", "messages", "messages(user->first)");
}

static bool settle_end(struct translation *t, struct reading *r)
{
    if (has_user_turn(t, r))
        return close_group(t, r);
    if (r->system.first) {
        close_lead(t, r); /* nobody did, where every user message was blank */
        return system_as_user(t, r);
    }
    if (t->last_turn)
        return settle_trailing(t, r);
    if (r->blank_user >= 0) {
        const char *path = path_of(t, "messages[%zu].content", (size_t)r->blank_user);
        return refuse(t, "invalid_value", path, "Invalid value for '%s': it holds no text.", path);
    }
    /* Only system messages: the last of them becomes what the user says. */
    if (!r->last_lead.first)
        return refuse(t, "invalid_value", "messages",
                      "Invalid value for 'messages': no message holds any text.");
    t->system = r->other_lead;
    blocks_move(&r->system, &r->last_lead);
    return system_as_user(t, r);
}

/* A message-level marker belongs to the message's last block. */
static bool read_marker(struct translation *t, size_t index, yyjson_val *message,
                        struct blocks *blocks)
{
    enum cache_ttl cache;
    if (!cache_has_marker(message))
        return true;
    if (!cache_read_marker(t, path_of(t, "messages[%zu]", index), message, &cache))
        return false;
    if (cache != CACHE_NONE && blocks->last && block_takes_marker(blocks->last))
        blocks->last->cache = cache;
    return true;
}

#define BY(role)     (1u << (role))
#define BY_ASSISTANT BY(ROLE_ASSISTANT)
#define BY_TOOL      (BY(ROLE_TOOL) | BY(ROLE_FUNCTION))
#define BY_ANYONE    (~0u)

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION };

/* What is read, and what clients echo from earlier answers though it says nothing. */
static const struct {
    const char *name;
    unsigned roles;
} members[] = {
    {"role", BY_ANYONE},
    {"content", BY_ANYONE},
    {"cache_control", BY_ANYONE},
    {"prompt_cache_breakpoint", BY_ANYONE},
    {"refusal", BY_ANYONE},
    {"audio", BY_ANYONE},
    {"tool_calls", BY_ANYONE},
    {"function_call", BY_ANYONE},
    {"annotations", BY_ANYONE},
    {"citations", BY_ASSISTANT},
    {"logprobs", BY_ANYONE},
    {"phase", BY_ANYONE},
    {"reasoning", BY_ANYONE},
    {"reasoning_content", BY_ANYONE},
    {"reasoning_details", BY_ASSISTANT},
    {"thinking_blocks", BY_ASSISTANT},
    {"content_blocks", BY_ASSISTANT},
    {"name", BY_TOOL}, /* the call has it too */
    {"tool_call_id", BY_TOOL},
    {"is_error", BY_TOOL},
};

static bool is_known_member(enum role role, struct str key)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(members); i++)
        if (str_eq(key, str_of(members[i].name)))
            return members[i].roles & BY(role);
    return false;
}

/* Lists the members that are not read. */
static bool report_members(struct translation *t, size_t index, enum role role, yyjson_val *message)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(message, i, max, key, v)
    {
        struct str name = json_str(key);
        if (yyjson_is_null(v) || is_known_member(role, name))
            continue;
        const char *path = repair_path(t, "messages[%zu]", index);
        if (!ignore_member(t, "messages", path, name))
            return false;
    }
    return true;
}

static bool read_system(struct translation *t, struct reading *r, size_t index, yyjson_val *message)
{
    struct blocks blocks = {0};
    if (!content_read(t, index, SPEAKER_SYSTEM, json_get(message, "content"), &blocks) ||
        !read_marker(t, index, message, &blocks))
        return false;
    if (!blocks.first)
        return true;
    r->last_index = index;
    if (t->turns || r->user.first || r->system.first || r->blank_user >= 0) {
        blocks_move(&r->system, &blocks);
        return true;
    }
    blocks_move(&r->other_lead, &r->last_lead);
    r->last_lead = blocks;
    return true;
}

static bool read_user(struct translation *t, struct reading *r, size_t index, yyjson_val *message)
{
    struct blocks blocks = {0};
    if (!content_read(t, index, SPEAKER_USER, json_get(message, "content"), &blocks) ||
        !read_marker(t, index, message, &blocks))
        return false;
    if (!blocks.first) {
        r->blank_user = (ptrdiff_t)index;
        return true;
    }
    r->last_index = index;
    close_lead(t, r);
    blocks_move(&r->user, &blocks);
    return true;
}

/* What an assistant message holds, in the upstream's order: thinking, texts, then calls. */
static bool gather_assistant(struct translation *t, size_t index, yyjson_val *message,
                             struct blocks *ret)
{
    bool is_whole;
    if (!replay_read_content(t, index, message, ret, &is_whole))
        return false;
    if (!is_whole &&
        (!replay_read(t, index, message, ret) || !recall_read(t, index, message, ret, &is_whole)))
        return false;
    if (is_whole)
        return true;
    if (!content_read(t, index, SPEAKER_ASSISTANT, json_get(message, "content"), ret))
        return false;
    struct str refusal = json_str(json_get(message, "refusal"));
    if (!ret->first && !text_is_blank(refusal) && !blocks_add(t, ret, refusal, CACHE_NONE))
        return false;
    return tool_history_read_calls(t, index, message, ret);
}

/* Where no user spoke since the assistant did, the message goes on with its turn. */
static bool read_assistant(struct translation *t, struct reading *r, size_t index,
                           yyjson_val *message)
{
    struct blocks blocks = {0};
    if (!gather_assistant(t, index, message, &blocks) || !read_marker(t, index, message, &blocks))
        return false;
    if (!blocks.first && json_get(message, "audio")) {
        const char *path = path_of(t, "messages[%zu].audio", index);
        return refuse(t, "unsupported_value", path,
                      "Unsupported value: '%s' refers to audio, and the message holds no text.",
                      path);
    }
    if (!blocks.first) /* it said nothing: the turns around it are one */
        return true;
    r->last_index = index;
    t->has_assistant = true;
    close_lead(t, r);
    return close_group(t, r) && tool_history_open(t, &blocks) &&
           add_turn(t, TURN_ASSISTANT, &blocks);
}

static bool read_result(struct translation *t, struct reading *r, size_t index, yyjson_val *message,
                        bool is_function)
{
    r->last_index = index;
    t->has_assistant = true;
    close_lead(t, r);
    return tool_history_read_result(t, index, message, is_function, &r->user);
}

static bool read_tool(struct translation *t, struct reading *r, size_t index, yyjson_val *message)
{
    return read_result(t, r, index, message, false);
}

static bool read_function(struct translation *t, struct reading *r, size_t index,
                          yyjson_val *message)
{
    return read_result(t, r, index, message, true);
}

static const struct {
    const char *name;
    bool (*read)(struct translation *t, struct reading *r, size_t index, yyjson_val *message);
} roles[] = {
    [ROLE_SYSTEM] = {"system", read_system}, [ROLE_DEVELOPER] = {"developer", read_system},
    [ROLE_USER] = {"user", read_user},       [ROLE_ASSISTANT] = {"assistant", read_assistant},
    [ROLE_TOOL] = {"tool", read_tool},       [ROLE_FUNCTION] = {"function", read_function},
};

static bool read_message(struct translation *t, struct reading *r, size_t index, yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return refuse_type(t, path_of(t, "messages[%zu]", index), "an object", v);
    yyjson_val *role = json_get(v, "role");
    if (!role)
        return refuse_missing(t, path_of(t, "messages[%zu].role", index));
    if (!yyjson_is_str(role))
        return refuse_type(t, path_of(t, "messages[%zu].role", index), "a string", role);
    for (size_t i = 0; i < PX_ARRAY_LEN(roles); i++)
        if (str_eq(json_str(role), str_of(roles[i].name)))
            return report_members(t, index, (enum role)i, v) && roles[i].read(t, r, index, v);
    return refuse(t, "invalid_value", path_of(t, "messages[%zu].role", index),
                  "Invalid value: '%.*s'. Supported values are: 'system', 'developer', 'user', "
                  "'assistant', 'tool' and 'function'.",
                  STR_ARG(json_str(role)));
}

bool messages_read(struct translation *t)
{
    yyjson_val *messages = t->field[FIELD_messages];
    if (!messages)
        return refuse_missing(t, "messages");
    if (!yyjson_is_arr(messages))
        return refuse_type(t, "messages", "an array of objects", messages);
    if (yyjson_arr_size(messages) == 0)
        return refuse(t, "empty_array", "messages",
                      "Invalid 'messages': empty array. Expected an array with minimum length 1, "
                      "but got an empty array instead.");
    if (yyjson_arr_size(messages) > MESSAGES_MAX)
        return refuse(t, "array_above_max_length", "messages",
                      "Invalid 'messages': array too long. Expected an array with maximum length "
                      "%d, but got an array with length %zu instead.",
                      MESSAGES_MAX, yyjson_arr_size(messages));
    struct reading r = {.blank_user = -1};
    size_t i, max;
    yyjson_val *v;
    recall_begin(t);
    yyjson_arr_foreach(messages, i, max, v)
    {
        t->origin = origin_of(i, v);
        if (!read_message(t, &r, i, v))
            return false;
        recall_pass(t, v);
    }
    recall_end(t);
    t->origin = (struct origin){0};
    return settle_end(t, &r) && lead_with_user(t) && media_settle(t);
}

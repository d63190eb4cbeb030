/*
 * messages -> system and messages. Groups of messages become turns, late system messages find the
 * place the upstream allows. Deterministic, and appending a message leaves what came before as it
 * was (prompt caches and signed thinking depend on it), except where a model has no system role
 * inside the conversation.
 */
#include "translate/content.h"
#include "translate/fields.h"
#include "translate/text.h"

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
    blocks_move(&turn->blocks, blocks);
    return true;
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
        return add_turn(t, TURN_USER, &r->user);
    }
    blocks_move(&r->carried, &r->system);
    if (!r->user.first)
        return true;
    return add_turn(t, TURN_USER, &r->user) && add_turn(t, TURN_SYSTEM, &r->carried);
}

/* Where nobody but the system spoke last, its texts are what the model is to answer. */
static bool system_as_user(struct translation *t, struct reading *r)
{
    if (!modify_param(t, "invalid_value", "messages", "messages(system->user)"))
        return false;
    blocks_move(&r->user, &r->carried);
    blocks_move(&r->user, &r->system);
    return add_turn(t, TURN_USER, &r->user);
}

/* The conversation ends with the assistant: the model continues, or is asked to. */
static bool settle_trailing(struct translation *t, struct reading *r)
{
    if (t->model.takes_prefill && !t->out->is_structured) {
        struct block *last = t->last_turn->blocks.last;
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
    if (r->user.first)
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
    if (cache != CACHE_NONE && blocks->last)
        blocks->last->cache = cache;
    return true;
}

/* What is read, and what clients echo from earlier answers though it says nothing. */
static bool is_known_member(struct str key)
{
    static const char *const names[] = {"role",
                                        "content",
                                        "refusal",
                                        "audio",
                                        "tool_calls",
                                        "function_call",
                                        "cache_control",
                                        "prompt_cache_breakpoint",
                                        "annotations",
                                        "logprobs",
                                        "phase",
                                        "reasoning",
                                        "reasoning_content"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++)
        if (str_eq(key, str_of(names[i])))
            return true;
    return false;
}

/* Lists the members that are not read. */
static bool report_members(struct translation *t, size_t index, yyjson_val *message)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(message, i, max, key, v)
    {
        struct str name = json_str(key);
        if (yyjson_is_null(v) || is_known_member(name))
            continue;
        const char *path = t->policy->strict ? path_of(t, "messages[%zu]", index) : "";
        if (!ignore_member(t, "messages", path, name))
            return false;
    }
    return true;
}

/* tool_calls: null and [] are what answers without calls hold. */
static bool refuse_calls(struct translation *t, size_t index, yyjson_val *message)
{
    static const char *const names[] = {"tool_calls", "function_call"};
    for (size_t i = 0; i < PX_ARRAY_LEN(names); i++) {
        yyjson_val *v = json_get(message, names[i]);
        if (!v || (yyjson_is_arr(v) && yyjson_arr_size(v) == 0))
            continue;
        const char *path = path_of(t, "messages[%zu].%s", index, names[i]);
        return refuse(t, "unsupported_parameter", path,
                      "Unsupported parameter: '%s' is not supported by this server.", path);
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

static bool read_assistant(struct translation *t, struct reading *r, size_t index,
                           yyjson_val *message)
{
    struct blocks blocks = {0};
    if (!refuse_calls(t, index, message) ||
        !content_read(t, index, SPEAKER_ASSISTANT, json_get(message, "content"), &blocks))
        return false;
    struct str refusal = json_str(json_get(message, "refusal"));
    if (!blocks.first && !text_is_blank(refusal) && !blocks_add(t, &blocks, refusal, CACHE_NONE))
        return false;
    if (!read_marker(t, index, message, &blocks))
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
    return close_group(t, r) && add_turn(t, TURN_ASSISTANT, &blocks);
}

static bool refuse_role(struct translation *t, struct reading *r, size_t index, yyjson_val *message)
{
    (void)r;
    const char *path = path_of(t, "messages[%zu].role", index);
    struct str role = json_str(json_get(message, "role"));
    return refuse(t, "unsupported_value", path,
                  "Unsupported value: '%s' is \"%.*s\", which this server does not support.", path,
                  STR_ARG(role));
}

static const struct {
    const char *name;
    bool (*read)(struct translation *t, struct reading *r, size_t index, yyjson_val *message);
} roles[] = {
    {"system", read_system},       {"developer", read_system}, {"user", read_user},
    {"assistant", read_assistant}, {"tool", refuse_role},      {"function", refuse_role},
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
            return report_members(t, index, v) && roles[i].read(t, r, index, v);
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
    yyjson_arr_foreach(messages, i, max, v)
    {
        if (!read_message(t, &r, i, v))
            return false;
    }
    return settle_end(t, &r) && lead_with_user(t);
}

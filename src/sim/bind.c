/*
 * One walk over the conversation with the chain of its prefix, on either way.
 */
#include "sim/bind.h"

#include <stdio.h>

#include "sim/message.h"
#include "sim/prefix.h"
#include "sim/signature.h"
#include "sim/validate_part.h"

#define SCRATCH_BYTES (128u * 1024 * 1024)
#define BETA_CONTROLS "thinking-binding-controls"

struct walk {
    struct check *c;
    struct buf scratch;
    struct digest chain;
    size_t last_assistant; /* index of the latest assistant message */
    bool is_bound;         /* the model checks prefixes for this account */
    bool drops;            /* what fails that check is left out instead of refused */
    bool ok, has_failed;   /* the latter: no memory */
    /* The thinking blocks of the answer that the walk is in. */
    uint64_t answer;
    unsigned n_ordinals;
};

static bool is_thinking(yyjson_val *block)
{
    return str_eq(json_str(json_get(block, "type")), STR("thinking"));
}

/* Blocks of one answer come in their order and none is missing in front of another. */
static bool check_order(struct walk *w, const struct prefix_step *s, const struct binding *b)
{
    if (s->message != w->last_assistant)
        return true;
    if (b->answer != w->answer) {
        w->answer = b->answer;
        w->n_ordinals = 0;
    }
    if (b->ordinal == w->n_ordinals++)
        return true;
    return bad(w->c,
               "messages.%zu.content.%zu: `thinking` or `redacted_thinking` blocks in the latest "
               "assistant message cannot be modified. These blocks must remain as they were in the "
               "original response.",
               s->message, s->block);
}

static bool check_bound(struct walk *w, const struct prefix_step *s)
{
    struct binding b;
    if (!signature_read(&b, json_str(json_get(s->value, "signature")),
                        json_str(json_get(s->value, "thinking"))))
        return bad(w->c, "messages.%zu.content.%zu: Invalid `signature` in `thinking` block",
                   s->message, s->block);
    if (!check_order(w, s, &b))
        return false;
    bool is_foreign = b.model != signature_model(w->c->model->id); /* dropped, no word of it */
    if (is_foreign || !w->is_bound || w->drops ||
        (b.prefix.a == w->chain.a && b.prefix.b == w->chain.b))
        return true;
    return bad(w->c,
               "messages.%zu.content.%zu: Invalid signature in thinking block. The block is bound "
               "to a different conversation. Thinking blocks must be sent back with the system "
               "prompt, tools and messages that they were created with.",
               s->message, s->block);
}

static bool add(void *arg, const struct prefix_step *s)
{
    struct walk *w = arg;
    w->chain = prefix_add(w->chain, s, &w->scratch);
    w->has_failed |= w->scratch.failed;
    return true;
}

static bool visit(void *arg, const struct prefix_step *s)
{
    struct walk *w = arg;
    if (s->part == PREFIX_MESSAGES && is_thinking(s->value) && !check_bound(w, s))
        return w->ok = false;
    return add(w, s);
}

static bool has_thinking(yyjson_val *messages, size_t *ret_last_assistant)
{
    yyjson_val *message, *block;
    bool found = false;
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    for (size_t i = 0; (message = yyjson_arr_iter_next(&it)); i++) {
        if (!str_eq(json_str(json_get(message, "role")), STR("assistant")))
            continue;
        *ret_last_assistant = i;
        yyjson_arr_iter blocks = yyjson_arr_iter_with(json_get(message, "content"));
        while (!found && (block = yyjson_arr_iter_next(&blocks)))
            found = is_thinking(block);
    }
    return found;
}

bool bind_check(struct check *c)
{
    struct walk w = {.c = c, .ok = true};
    if (c->trusts_signatures || !has_thinking(json_get(c->root, "messages"), &w.last_assistant))
        return true;
    yyjson_val *controls = json_get(json_get(c->root, "thinking"), "block_binding");
    struct str behavior = json_str(json_get(controls, "prefix_mismatch_behavior"));
    enum sim_binding binding = c->model->cls->binding;
    w.drops = str_eq(behavior, STR("drop_block"));
    /* Whoever sets the control asks for the check, on an old account too. */
    w.is_bound = binding == SIM_BINDS_ALL ||
                 (binding == SIM_BINDS_NEW_ACCOUNTS && (!c->is_old_account || behavior.p));
    buf_init(&w.scratch, SCRATCH_BYTES);
    prefix_walk(c->root, visit, &w);
    buf_done(&w.scratch);
    if (w.has_failed)
        return sim_error_set(c->err, c->arena, 500, "Internal server error");
    return w.ok;
}

/* The chain behind a block of the answer, which will come back as it is written now. */
static bool add_written(struct walk *w, const struct script_block *block)
{
    struct buf json;
    struct json_error e;
    buf_init(&json, SCRATCH_BYTES);
    message_write_block(&json, block);
    yyjson_doc *doc = json.failed ? NULL : json_parse(buf_str(&json), &e);
    bool ok = doc != NULL;
    if (ok) {
        struct prefix_step s = {
            .part = PREFIX_MESSAGES, .role = STR("assistant"), .value = yyjson_doc_get_root(doc)};
        add(w, &s);
    }
    yyjson_doc_free(doc);
    buf_done(&json);
    return ok;
}

bool bind_sign(struct script *s, yyjson_val *root, const struct sim_model *model, struct arena *a)
{
    struct walk w = {.ok = true};
    struct binding b = {.model = signature_model(model->id), .answer = siphash(s->id.p, s->id.n).a};
    size_t n = 0; /* blocks up to the last one that is signed */
    for (size_t i = 0; i < s->n_blocks; i++)
        if (s->blocks[i].kind == BLOCK_THINK)
            n = i + 1;
    if (n == 0)
        return true;
    buf_init(&w.scratch, SCRATCH_BYTES);
    prefix_walk(root, add, &w);
    for (size_t i = 0; i < n && w.ok; i++) {
        struct script_block *block = &s->blocks[i];
        if (block->kind == BLOCK_THINK) {
            char text[SIGNATURE_BYTES + 1];
            b.prefix = w.chain;
            signature_write(text, &b, block->text);
            b.ordinal++;
            block->signature = arena_strdup(a, str_of(text));
            w.ok = block->signature.p != NULL;
        }
        w.ok = w.ok && (i + 1 == n || add_written(&w, block));
    }
    buf_done(&w.scratch);
    return w.ok && !w.has_failed;
}

/*
 * What an upstream refuses although we took it for granted, learned from its error: models drift,
 * and other upstreams than Anthropic's own know less. A request is then translated once more, with
 * this in its policy.
 */
#ifndef TRANSLATE_AMEND_H
#define TRANSLATE_AMEND_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct model_info;

enum tr_refusal {
    TR_REFUSES_SAMPLING = 1 << 0,      /* temperature, top_p, top_k */
    TR_REFUSES_BOTH_SAMPLING = 1 << 1, /* temperature and top_p together */
    TR_REFUSES_PREFILL = 1 << 2,
    TR_REFUSES_SYSTEM_ROLE = 1 << 3, /* inside messages */
    TR_REFUSES_FORCED_TOOLS = 1 << 4,
    TR_REFUSES_EFFORT = 1 << 5, /* other levels than tr_amend.efforts */
    TR_REFUSES_ADAPTIVE = 1 << 6,
    TR_REFUSES_ENABLED = 1 << 7,
    TR_REFUSES_DISABLED = 1 << 8,
    TR_REFUSES_BETWEEN_TOOLS = 1 << 9,
    TR_REFUSES_SCHEMA = 1 << 10,          /* this request's schemas cannot be compiled */
    TR_REFUSES_VERSION = 1 << 11,         /* the newest anthropic-version */
    TR_REFUSES_ASSISTANT_FIRST = 1 << 12, /* a conversation that the assistant begins */
    TR_REFUSES_PREFIX = 1 << 13,          /* thinking that belongs to another prompt */
    TR_REFUSES_THOUGHTS = 1 << 14,        /* this request's thinking blocks, whatever they are */
    TR_REFUSES_NO_TOOLS = 1 << 15         /* calls in the history without definitions of tools */
};

/* True of one request only; true of the upstream whatever the model. The others are the model's. */
#define TR_REFUSALS_OF_REQUEST ((unsigned)(TR_REFUSES_SCHEMA | TR_REFUSES_THOUGHTS))
#define TR_REFUSALS_OF_UPSTREAM                                                                    \
    ((unsigned)(TR_REFUSES_VERSION | TR_REFUSES_ASSISTANT_FIRST | TR_REFUSES_NO_TOOLS))

struct tr_amend {
    unsigned refuses; /* a set of enum tr_refusal */
    unsigned efforts; /* with TR_REFUSES_EFFORT: the levels it takes, bits 1 << enum model_effort */
};

/* What the upstream's error teaches. False: nothing, it stands as it is. */
bool tr_amend_from_error(int status, struct str body, struct tr_amend *ret);
/* Adds `more`. False when all of it was known: another attempt would be refused as well. */
bool tr_amend_add(struct tr_amend *to, struct tr_amend more);
/* Takes from a model's capabilities what is known to be refused. */
void tr_amend_model(struct tr_amend amend, struct model_info *m);
/* For logs: "sampling,version". */
void tr_amend_write(struct tr_amend amend, struct buf *out);

#endif

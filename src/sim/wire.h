/*
 * The shapes of Anthropic's requests: which fields and block types there are, of which kinds, and
 * which of them need a beta header. The tables are written from the types of Anthropic's own SDK
 * (scripts/wire-types.mjs); what those types do not say is in validate*.c.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "sim/validate.h"

enum wire_kind { /* of JSON values, as bits */
                 WIRE_STRING = 1,
                 WIRE_NUMBER = 2, /* every number of a request is whole */
                 WIRE_BOOLEAN = 4,
                 WIRE_LIST = 8,
                 WIRE_OBJECT = 16, /* one of `objects` */
                 WIRE_MAP = 32,    /* any keys, values are `items` */
                 WIRE_DICT = 64,   /* any keys, any values */
                 WIRE_NULL = 128,
                 WIRE_ANY = 256,
};

enum wire_use { /* of a field or an object, as bits */
                WIRE_REQUIRED = 1,
                WIRE_BETA = 2,         /* not without an anthropic-beta header */
                WIRE_COUNTED = 4,      /* a field that count_tokens takes too */
                WIRE_OPEN = 8,         /* an object with other keys as well */
                WIRE_TAG_OPTIONAL = 16 /* what an object without `type` is */
};

struct wire_object;

struct wire_type {
    unsigned kinds;
    const char *choices;      /* of a string, space-separated; NULL = any text */
    const char *beta_choices; /* more of them */
    const struct wire_type *items;
    const struct wire_object *const *objects; /* NULL at the end */
};

struct wire_field {
    const char *name; /* NULL at the end */
    unsigned use;
    struct wire_type type;
};

struct wire_object {
    const char *tag; /* what `type` (of a message: `role`) may say, space-separated; NULL = none */
    unsigned use;
    const struct wire_field *fields;
};

/* A field of the request that this client may use; NULL when there is none. */
const struct wire_field *wire_request_field(const struct check *c, struct str name);
/* The first required field that a request lacks; NULL = none. */
const char *wire_request_lacks(const struct check *c, yyjson_val *root);
/* What messages of a role hold; NULL for unknown roles. */
const struct wire_object *wire_message(struct str role);
const struct wire_type *wire_message_content(struct str role);

/* Whether a value has the shape of its type. False with c->err filled. Counts cache marks. */
bool wire_check(struct check *c, const char *path, yyjson_val *v, const struct wire_type *type);
/* The same for an object's fields, except for one whose shape is checked elsewhere. */
bool wire_check_fields(struct check *c, const char *path, yyjson_val *v,
                       const struct wire_object *object, const char *except);

#endif

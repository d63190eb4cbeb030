/*
 * The signature of a thinking block: what it is bound to, and proof that neither that nor the
 * block's text was changed.
 */
#ifndef SIM_SIGNATURE_H
#define SIM_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "sim/siphash.h"

#define SIGNATURE_BYTES 160

struct binding {
    uint32_t model;        /* signature_model() of the one that thought */
    uint64_t answer;       /* the answer that the block came with */
    unsigned char ordinal; /* of the block among the thinking blocks of its answer */
    struct digest prefix;  /* of everything in front of the block */
};

uint32_t signature_model(const char *model_id);
/* NUL-terminated; the same binding and text always have the same one. */
void signature_write(char to[SIGNATURE_BYTES + 1], const struct binding *b, struct str thinking);
/* False when it is not one of ours for this text. */
bool signature_read(struct binding *ret, struct str signature, struct str thinking);

#endif

/*
 * The reasons a request can end for, as end_reasons.def lists them.
 */
#ifndef SERVER_END_H
#define SERVER_END_H

enum end_reason {
    END_NONE, /* it has not ended */
#define END(name, status, type, code, word, message) END_##name,
#include "server/end_reasons.def"
#undef END
    END_REASONS
};

struct end_info {
    int status;
    const char *type, *code, *word, *message;
};

const struct end_info *end_info(enum end_reason why);

#endif

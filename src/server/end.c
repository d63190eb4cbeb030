/*
 * The table behind end_info.
 */
#include "server/end.h"

static const struct end_info infos[] = {
    {0, "", "", "", ""},
#define END(name, status, type, code, word, message) {status, type, code, word, message},
#include "server/end_reasons.def"
#undef END
};

const struct end_info *end_info(enum end_reason why)
{
    return &infos[why];
}

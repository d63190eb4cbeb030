/*
 * The option table, built from options.def, and looking things up in it.
 */
#include "config/option.h"

/* A member of another type than its kind's would be written past its end. */
#define X(kind, type, must_be) typedef type option_type_##kind;
OPTION_KINDS(X)
#undef X
#define SECTION(title, introduction)
#define OPTION(kind, when, name, member, def, low, high, choices, summary, details)                \
    _Static_assert(__builtin_types_compatible_p(option_type_##kind,                                \
                                                __typeof__(((struct config *)NULL)->member)),      \
                   #name " has a member of another type than its kind");
#include "config/options.def"
#undef OPTION

#define OPTION(kind, when, name, member, def, low, high, choices, summary, details)                \
    {#name,   OPTION_##kind, OPTION_##when, offsetof(struct config, member), def, low, high,       \
     choices, summary,       details},
const struct option option_table[OPTIONS] = {
#include "config/options.def"
};
#undef SECTION
#undef OPTION

const struct option *option_find(struct str name)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (str_eq(name, str_of(option_table[i].name)))
            return &option_table[i];
    return NULL;
}

void option_flag(const struct option *o, char *to, size_t size)
{
    size_t n = 0;
    for (; o->name[n] && n + 1 < size; n++) {
        char c = o->name[n];
        to[n] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    to[n] = '\0';
}

bool option_is_text(const struct option *o)
{
    switch (o->kind) {
    case OPTION_SECRET:
    case OPTION_MODEL:
    case OPTION_PAIRS:
    case OPTION_MODELS:
    case OPTION_HOST:
    case OPTION_ORIGINS:
    case OPTION_URL:
    case OPTION_PATH:
    case OPTION_PROXY:
    case OPTION_HOSTS:
    case OPTION_ADDRESS:
    case OPTION_LISTEN:
        return true;
    case OPTION_INTEGER:
    case OPTION_SECONDS:
    case OPTION_NUMBER:
    case OPTION_BOOLEAN:
    case OPTION_CHOICE:
    case OPTION_CHOICES:
        return false;
    }
    return false;
}

bool option_is_secret(const struct option *o)
{
    return o->kind == OPTION_SECRET || o->kind == OPTION_PROXY;
}

bool option_is_shared(const struct option *o)
{
    return o->kind == OPTION_PROXY || o->kind == OPTION_HOSTS;
}

bool option_may_be_empty(const struct option *o)
{
    return option_is_text(o) && o->by_default[0] == '\0';
}

bool option_choice(const struct option *o, size_t i, struct str *ret)
{
    struct str rest = str_of(o->choices), part;
    for (size_t k = 0; str_split(&rest, '|', &part); k++)
        if (k == i)
            return str_split(&part, '=', ret);
    return false;
}

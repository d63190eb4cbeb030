/*
 * "--name value", "--name=value", and "--name" for switches.
 */
#include "cli/own_flags.h"

#include <string.h>

#include "base/str.h"
#include "cli/setup.h"

static struct own_flag *find(struct str name, struct own_flag *flags, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, str_of(flags[i].name)))
            return &flags[i];
    return NULL;
}

static bool set(struct own_flag *f, const char *value)
{
    uint64_t number;
    f->is_given = true;
    if (f->kind == OWN_FLAG_SWITCH) {
        if (value)
            setup_complain("--%s takes no value", f->name);
        return !value;
    }
    if (!value) {
        setup_complain("--%s needs a value", f->name);
        return false;
    }
    f->text = value;
    if (f->kind == OWN_FLAG_TEXT)
        return true;
    if (!str_to_u64(str_of(value), &number) || number > (uint64_t)f->high) {
        setup_complain("--%s must be a whole number from 0 to %lld", f->name, (long long)f->high);
        return false;
    }
    f->number = (int64_t)number;
    return true;
}

bool own_flags_take(int *argc, char **argv, struct own_flag *flags, size_t n)
{
    int left = 0;
    for (int i = 0; i < *argc; i++) {
        struct str name = str_of(argv[i]);
        const char *equals = strchr(argv[i], '=');
        if (equals)
            name.n = (size_t)(equals - argv[i]);
        bool has_dashes = str_starts(name, STR("--"));
        struct own_flag *f =
            has_dashes ? find((struct str){name.p + 2, name.n - 2}, flags, n) : NULL;
        if (!f) {
            argv[left++] = argv[i];
            continue;
        }
        const char *value = equals ? equals + 1 : NULL;
        bool takes_next = !equals && f->kind != OWN_FLAG_SWITCH && i + 1 < *argc;
        if (takes_next && strncmp(argv[i + 1], "--", 2) != 0)
            value = argv[++i];
        if (!set(f, value))
            return false;
    }
    *argc = left;
    return true;
}

bool own_flags_expect_none(int argc, char **argv, const char *command)
{
    if (argc == 0)
        return true;
    struct str name = str_of(argv[0]);
    const char *equals = strchr(argv[0], '=');
    if (equals)
        name.n = (size_t)(equals - argv[0]);
    if (!str_starts(name, STR("--")) || name.n > 40)
        name = STR("argument");
    setup_complain("unknown %.*s; `claude-proxy help %s` lists its flags", STR_ARG(name), command);
    return false;
}

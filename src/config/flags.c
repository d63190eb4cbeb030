/*
 * Flags: "--name value" and "--name=value" for every option, "--env-file PATH", and a boolean
 * alone means "on".
 */
#include <string.h>

#include "base/distance.h"
#include "config/given.h"

struct flag {
    struct str name;  /* without the dashes */
    struct str value; /* behind "="; p = NULL when there is none */
};

static bool split_flag(const char *argument, struct flag *ret)
{
    struct str text = str_of(argument);
    if (!str_starts(text, STR("--")) || text.n == 2)
        return false;
    struct str rest = {text.p + 2, text.n - 2};
    const char *equals = memchr(rest.p, '=', rest.n);
    *ret = (struct flag){.name = rest};
    if (equals) {
        ret->name.n = (size_t)(equals - rest.p);
        ret->value = (struct str){equals + 1, rest.n - ret->name.n - 1};
    }
    return true;
}

static const struct option *find_by_flag(struct str name)
{
    char flag[OPTION_FLAG_SIZE];
    for (size_t i = 0; i < OPTIONS; i++) {
        option_flag(&option_table[i], flag, sizeof(flag));
        if (str_eq(name, str_of(flag)))
            return &option_table[i];
    }
    return NULL;
}

static void say_unknown(struct str name, struct buf *why)
{
    char flag[OPTION_FLAG_SIZE], nearest[OPTION_FLAG_SIZE] = "env-file";
    size_t least = distance_between(name, str_of(nearest));
    for (size_t i = 0; i < OPTIONS; i++) {
        option_flag(&option_table[i], flag, sizeof(flag));
        size_t distance = distance_between(name, str_of(flag));
        if (distance < least) {
            least = distance;
            memcpy(nearest, flag, sizeof(flag));
        }
    }
    buf_append_z(why, "unknown flag --");
    buf_append_str(why, (struct str){name.p, name.n < 64 ? name.n : 64});
    if (least <= 2 || least <= name.n / 3)
        buf_printf(why, "; did you mean --%s?", nearest);
    else
        buf_append_z(why, "; `claude-proxy help options` lists all");
}

static bool say_missing_value(const struct option *o, struct str name, struct buf *why)
{
    buf_printf(why, "--%.*s needs a value: ", STR_ARG(name));
    if (o)
        option_write_allowed(o, why);
    else
        buf_append_z(why, "the path of a file");
    return false;
}

bool flags_read(const struct config_sources *s, struct all_given *g, struct buf *why)
{
    for (int i = 0; i < s->argc; i++) {
        struct flag flag;
        if (!split_flag(s->argv[i], &flag)) {
            /* Not shown: it may be the key that was meant as some flag's value. */
            buf_printf(why, "argument %d is no flag: settings are given as --name value", i + 1);
            return false;
        }
        const struct option *o = find_by_flag(flag.name);
        if (!o && !str_eq(flag.name, STR("env-file"))) {
            say_unknown(flag.name, why);
            return false;
        }
        bool has_next = i + 1 < s->argc && strncmp(s->argv[i + 1], "--", 2) != 0;
        if (!flag.value.p && has_next)
            flag.value = str_of(s->argv[++i]);
        else if (!flag.value.p && o && o->kind == OPTION_BOOLEAN)
            flag.value = STR("on");
        if (!flag.value.p)
            return say_missing_value(o, flag.name, why);
        if (o) {
            g->of[o - option_table] = (struct given){GIVEN_AS_FLAG, flag.value, 0};
        } else {
            g->env_file = flag.value.p; /* ends where the argument ends */
            g->env_file_is_asked = true;
        }
    }
    return true;
}

void flags_wipe_secrets(const struct config_sources *s)
{
    for (int i = 0; i < s->argc; i++) {
        struct flag flag;
        if (!split_flag(s->argv[i], &flag))
            continue;
        const struct option *o = find_by_flag(flag.name);
        if (!o || !option_is_secret(o))
            continue;
        if (flag.value.p)
            explicit_bzero(s->argv[i] + (flag.value.p - s->argv[i]), flag.value.n);
        else if (i + 1 < s->argc && strncmp(s->argv[i + 1], "--", 2) != 0)
            explicit_bzero(s->argv[i + 1], strlen(s->argv[i + 1]));
    }
}

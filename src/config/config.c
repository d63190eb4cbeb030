/*
 * Loading: what was given by flags, the environment and the .env is collected first, then the
 * value that wins is read, option by option.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/distance.h"
#include "base/utf8.h"
#include "config/dotenv.h"
#include "config/given.h"

/* Values with escapes are copied: at most the file once more, and what alignment adds. */
#define ENV_FILE_ARENA_MAX (4 * DOTENV_BYTES_MAX)
/* As much of a refused value as the message shows. */
#define SHOWN_BYTES_MAX 60
/* And of one that has changed. */
#define SHOWN_CHANGE_BYTES_MAX 65536

static void *member_of(struct config *c, const struct option *o)
{
    return (char *)c + o->offset;
}

static void free_text(const struct option *o, char *text)
{
    if (text && option_is_secret(o))
        explicit_bzero(text, strlen(text));
    free(text);
}

static void store(struct config *c, const struct option *o, union option_value v)
{
    void *member = member_of(c, o);
    if (option_is_text(o)) {
        free_text(o, *(char **)member);
        *(char **)member = v.text;
    } else if (o->kind == OPTION_NUMBER) {
        *(double *)member = v.number;
    } else if (o->kind == OPTION_BOOLEAN) {
        *(bool *)member = v.boolean;
    } else {
        *(int64_t *)member = v.integer;
    }
}

static void write_shown(struct str value, struct buf *out)
{
    bool is_utf8 = utf8_is_valid(value);
    struct str shown = is_utf8 ? utf8_cut(value, SHOWN_BYTES_MAX) : value;
    if (shown.n > SHOWN_BYTES_MAX)
        shown.n = SHOWN_BYTES_MAX;
    buf_append_char(out, '"');
    for (size_t i = 0; i < shown.n; i++) {
        unsigned char c = (unsigned char)shown.p[i];
        buf_append_char(out, c < ' ' || c == 0x7f || (c > 0x7f && !is_utf8) ? '?' : (char)c);
    }
    buf_append_z(out, shown.n < value.n ? "...\"" : "\"");
}

/* `PORT "http" (.env line 3) must be a whole number from 0 to 65535` */
static void say_refused(const struct option *o, const struct all_given *g, struct buf *why)
{
    const struct given *given = &g->of[o - option_table];
    char flag[OPTION_FLAG_SIZE];
    option_flag(o, flag, sizeof(flag));
    if (given->source == GIVEN_AS_FLAG)
        buf_printf(why, "--%s ", flag);
    else
        buf_printf(why, "%s ", o->name);
    if (!option_is_secret(o)) {
        write_shown(given->value, why);
        buf_append_char(why, ' ');
    }
    if (given->source == GIVEN_AS_FLAG)
        buf_append_z(why, "(command line)");
    else if (given->source == GIVEN_IN_ENVIRONMENT || given->source == GIVEN_IN_LOWER_CASE)
        buf_append_z(why, "(environment)");
    else
        buf_printf(why, "(%s line %d)", g->env_file, given->line);
    buf_append_z(why, " must be ");
    option_write_allowed(o, why);
}

static bool has_no_value(const struct option *o, struct str value)
{
    return str_trim(value).n == 0 && !option_may_be_empty(o);
}

/* Keeps what was given with a higher precedence. */
static void note(struct all_given *g, const struct option *o, struct given given)
{
    struct given *kept = &g->of[o - option_table];
    if (kept->source <= given.source && !has_no_value(o, given.value))
        *kept = given;
}

/* The setting that a name of the environment stands for. https_proxy is HTTPS_PROXY, unless that
 * is there too. */
static const struct option *find_in_environment(struct str name, enum given_source *ret_source)
{
    const struct option *o = option_find(name);
    *ret_source = GIVEN_IN_ENVIRONMENT;
    if (o)
        return o;
    *ret_source = GIVEN_IN_LOWER_CASE;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            return NULL;
    for (size_t i = 0; i < OPTIONS; i++)
        if (option_is_shared(&option_table[i]) && str_eq_nocase(name, str_of(option_table[i].name)))
            return &option_table[i];
    return NULL;
}

static void read_environment(char *const *environment, struct all_given *g)
{
    for (; environment && *environment; environment++) {
        struct str value = str_of(*environment), name;
        /* str_split takes the "=" off as well: what is left is the value. */
        if (!strchr(*environment, '=') || !str_split(&value, '=', &name))
            continue;
        enum given_source source;
        const struct option *o = find_in_environment(name, &source);
        /* The first of two wins, as getenv has it. */
        if (o && g->of[o - option_table].source < source)
            note(g, o, (struct given){source, value, 0});
    }
}

/* The option that `name` is probably meant to be. Short names have too many neighbours: POST. */
static const struct option *find_near(struct str name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        struct str ours = str_of(option_table[i].name);
        size_t allowed = ours.n >= 8 ? 2 : ours.n >= 6 ? 1 : 0;
        if (str_eq_nocase(name, ours) || distance_between(name, ours) <= allowed)
            return &option_table[i];
    }
    return NULL;
}

struct env_file_reader {
    struct all_given *given;
    struct buf *warnings;
};

static void take_pair(void *arg, struct str name, struct str value, int line)
{
    struct env_file_reader *r = arg;
    const struct option *o = option_find(name);
    if (o) {
        note(r->given, o, (struct given){GIVEN_IN_FILE, value, line});
        return;
    }
    /* Other programs share the file: only what looks like a slip is worth a word. */
    o = find_near(name);
    if (o && r->warnings)
        buf_printf(r->warnings, "%.200s line %d: %.*s is no setting; did you mean %s?\n",
                   r->given->env_file, line, STR_ARG(name), o->name);
}

/* The whole file, at most one byte more than a .env may have. -1 and errno on failure. */
static ssize_t read_file(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, to + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    return (ssize_t)n;
}

/* Memory that the values of the .env live in until they have been read. */
struct env_file {
    char *text;
    struct arena arena;
};

static bool read_env_file(struct env_file *f, struct all_given *g, struct buf *warnings,
                          struct buf *why)
{
    if (!g->env_file)
        return true;
    f->text = malloc(DOTENV_BYTES_MAX + 1);
    if (!f->text) {
        buf_append_z(why, "out of memory");
        return false;
    }
    ssize_t n = read_file(g->env_file, f->text, DOTENV_BYTES_MAX + 1);
    if (n < 0 && errno == ENOENT && !g->env_file_is_asked)
        return true;
    if (n < 0) {
        buf_printf(why, "cannot read %.200s: %s", g->env_file, strerror(errno));
        return false;
    }
    struct env_file_reader reader = {g, warnings};
    struct dotenv_error error;
    if (!dotenv_parse(&f->arena, (struct str){f->text, (size_t)n}, take_pair, &reader, &error)) {
        buf_printf(why, "%.200s line %d: %s", g->env_file, error.line, error.message);
        return false;
    }
    return true;
}

static void env_file_done(struct env_file *f)
{
    if (f->text)
        explicit_bzero(f->text, DOTENV_BYTES_MAX + 1);
    free(f->text);
    arena_wipe(&f->arena);
}

static bool store_all(struct config *c, const struct all_given *g, const struct config *before,
                      struct buf *why)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &option_table[i];
        const struct given *given = &g->of[i];
        union option_value v;
        struct str text = given->source == GIVEN_NOT ? str_of(o->by_default) : given->value;
        if (before && given->source == GIVEN_AS_FLAG && option_is_secret(o)) /* wiped by now */
            text = str_of(*(char *const *)((const char *)before + o->offset));
        switch (option_parse(o, text, &v)) {
        case OPTION_OK:
            store(c, o, v);
            break;
        case OPTION_REFUSED:
            say_refused(o, g, why);
            return false;
        case OPTION_NO_MEMORY:
            buf_append_z(why, "out of memory");
            return false;
        }
    }
    c->has_max_tokens = g->of[OPTION_IS_MAX_TOKENS].source > GIVEN_BY_SUBCOMMAND;
    return true;
}

enum config_result config_load(struct config *c, const struct config_sources *s, struct buf *why)
{
    struct all_given given = {.env_file = s->env_file};
    struct env_file file = {0};
    arena_init(&file.arena, ENV_FILE_ARENA_MAX);
    *c = (struct config){0};
    for (size_t i = 0; i < s->n_defaults; i++) {
        const struct option *o = option_find(str_of(s->defaults[i].name));
        if (o)
            note(&given, o, (struct given){GIVEN_BY_SUBCOMMAND, str_of(s->defaults[i].value), 0});
    }
    bool is_fine = flags_read(s, &given, why);
    if (is_fine) {
        read_environment(s->environment, &given);
        is_fine =
            read_env_file(&file, &given, s->warnings, why) && store_all(c, &given, s->before, why);
    }
    env_file_done(&file);
    flags_wipe_secrets(s);
    return is_fine ? CONFIG_OK : CONFIG_BAD;
}

bool config_set(struct config *c, const char *name, const char *value)
{
    const struct option *o = option_find(str_of(name));
    union option_value v;
    if (!o || option_parse(o, str_of(value), &v) != OPTION_OK)
        return false;
    store(c, o, v);
    if (o == &option_table[OPTION_IS_MAX_TOKENS])
        c->has_max_tokens = true;
    return true;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (option_is_text(&option_table[i]))
            free_text(&option_table[i], *(char **)member_of(c, &option_table[i]));
    *c = (struct config){0};
}

static void describe_choices(const struct option *o, int64_t set, struct buf *out)
{
    struct str choice;
    const char *comma = "";
    for (size_t i = 0; option_choice(o, i, &choice); i++) {
        if (!(set & (int64_t)1 << i))
            continue;
        buf_append_z(out, comma);
        buf_append_str(out, choice);
        comma = ",";
    }
}

static void describe_value(const struct config *c, const struct option *o, struct buf *out)
{
    const void *member = (const char *)c + o->offset;
    struct str choice;
    switch (o->kind) {
    case OPTION_SECRET:
    case OPTION_PROXY:
        buf_append_z(out, **(char *const *)member ? "set" : "not set");
        break;
    case OPTION_HOSTS:
    case OPTION_ADDRESS:
    case OPTION_LISTEN:
    case OPTION_MODEL:
    case OPTION_PAIRS:
    case OPTION_MODELS:
    case OPTION_HOST:
    case OPTION_ORIGINS:
    case OPTION_URL:
    case OPTION_PATH:
        buf_append_z(out, *(char *const *)member);
        break;
    case OPTION_INTEGER:
    case OPTION_SECONDS:
        buf_printf(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case OPTION_NUMBER:
        buf_printf(out, "%g", *(const double *)member);
        break;
    case OPTION_BOOLEAN:
        buf_append_z(out, *(const bool *)member ? "on" : "off");
        break;
    case OPTION_CHOICE:
        if (option_choice(o, (size_t) * (const int64_t *)member, &choice))
            buf_append_str(out, choice);
        break;
    case OPTION_CHOICES:
        describe_choices(o, *(const int64_t *)member, out);
        break;
    }
}

void config_describe(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        buf_printf(out, "%s=", option_table[i].name);
        describe_value(c, &option_table[i], out);
        buf_append_char(out, '\n');
    }
}

/* For a reload ---------------------------------------------------------------------------- */

static bool is_same(const struct config *a, const struct config *b, const struct option *o)
{
    const void *in_a = (const char *)a + o->offset, *in_b = (const char *)b + o->offset;
    if (o == &option_table[OPTION_IS_MAX_TOKENS] && a->has_max_tokens != b->has_max_tokens)
        return false;
    /* Secrets too: both are the operator's own, nobody else chooses one to measure the time. */
    if (option_is_text(o))
        return strcmp(*(char *const *)in_a, *(char *const *)in_b) == 0;
    if (o->kind == OPTION_NUMBER)
        return memcmp(in_a, in_b, sizeof(double)) == 0;
    if (o->kind == OPTION_BOOLEAN)
        return *(const bool *)in_a == *(const bool *)in_b;
    return *(const int64_t *)in_a == *(const int64_t *)in_b;
}

/* False without memory. */
static bool copy(struct config *to, const struct config *from, const struct option *o)
{
    void *member = member_of(to, o);
    const void *source = (const char *)from + o->offset;
    if (option_is_text(o)) {
        char *text = strdup(*(char *const *)source);
        if (!text)
            return false;
        free_text(o, *(char **)member);
        *(char **)member = text;
    } else if (o->kind == OPTION_NUMBER) {
        *(double *)member = *(const double *)source;
    } else if (o->kind == OPTION_BOOLEAN) {
        *(bool *)member = *(const bool *)source;
    } else {
        *(int64_t *)member = *(const int64_t *)source;
    }
    return true;
}

bool config_keep(struct config *c, const struct config *before,
                 void (*each)(void *arg, const char *name), void *arg)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &option_table[i];
        if (o->when == OPTION_ON_RELOAD || is_same(c, before, o))
            continue;
        if (!copy(c, before, o))
            return false;
        each(arg, o->name);
    }
    return true;
}

size_t config_compare(const struct config *before, const struct config *now,
                      void (*each)(void *arg, const char *name, struct str value), void *arg)
{
    size_t n = 0;
    struct buf value;
    buf_init(&value, SHOWN_CHANGE_BYTES_MAX);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &option_table[i];
        if (is_same(before, now, o))
            continue;
        buf_reset(&value);
        describe_value(now, o, &value);
        each(arg, o->name, buf_str(&value));
        n++;
    }
    buf_done(&value);
    return n;
}

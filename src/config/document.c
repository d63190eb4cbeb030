/*
 * What people read about the settings: --help, .env.example, docs/configuration.md, all from the
 * option table.
 */
#include <string.h>

#include "config/option.h"

#define HELP_COLUMN   26 /* where summaries begin */
#define COMMENT_WIDTH 96

/* The table in its order: a section's head, or an option. */
struct row {
    const char *title, *introduction;
    const struct option *option; /* NULL = a section's head */
};
#define SECTION(title, introduction) {title, introduction, NULL},
#define OPTION(kind, when, name, member, def, low, high, choices, summary, details)                \
    {NULL, NULL, &option_table[OPTION_IS_##name]},
static const struct row rows[] = {
#include "config/options.def"
};
#undef SECTION
#undef OPTION

static void write_help_line(const struct option *o, struct buf *out)
{
    char flag[OPTION_FLAG_SIZE];
    option_flag(o, flag, sizeof(flag));
    buf_printf(out, "  --%-*s", HELP_COLUMN - 4, flag);
    if (strlen(flag) >= HELP_COLUMN - 4) /* a line of its own */
        buf_printf(out, "\n%*s", HELP_COLUMN, "");
    buf_append_z(out, o->summary);
    if (o->by_default[0])
        buf_printf(out, " (%s)", o->by_default);
    buf_append_char(out, '\n');
}

void config_write_help(struct buf *out, const char *const *names)
{
    for (; names && *names; names++) {
        const struct option *o = option_find(str_of(*names));
        if (o)
            write_help_line(o, out);
        if (!names[1])
            return;
    }
    for (size_t i = 0; i < PX_ARRAY_LEN(rows); i++) {
        if (rows[i].option)
            write_help_line(rows[i].option, out);
        else
            buf_printf(out, "%s%s:\n", i ? "\n" : "", rows[i].title);
    }
}

/* Appends `text` as lines of at most COMMENT_WIDTH that begin with "# ". */
static void write_comment(struct str text, struct buf *out)
{
    struct str word;
    size_t column = 0;
    while (str_split(&text, ' ', &word)) {
        if (column + 1 + word.n > COMMENT_WIDTH) {
            buf_append_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_append_char(out, '#');
            column = 1;
        }
        buf_append_char(out, ' ');
        buf_append_str(out, word);
        column += 1 + word.n;
    }
    buf_append_char(out, '\n');
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* "summary" as the sentence "Summary." */
static void write_sentence(const char *summary, struct buf *out)
{
    buf_append_char(out, upper(summary[0]));
    buf_append_z(out, summary + 1);
    buf_append_char(out, '.');
}

static void write_env_option(const struct option *o, struct buf *out)
{
    struct buf text;
    buf_init(&text, 4096);
    write_sentence(o->summary, &text);
    buf_append_char(&text, ' ');
    if (o->details[0]) {
        buf_append_z(&text, o->details);
        buf_append_char(&text, ' ');
    }
    buf_append_z(&text, "Allowed: ");
    option_write_allowed(o, &text);
    buf_append_char(&text, '.');
    buf_append_char(out, '\n');
    write_comment(buf_str(&text), out);
    buf_done(&text);
    /* The keys stand ready to be filled in; what is commented out keeps its default. */
    buf_printf(out, "%s%s=%s\n", o->kind == OPTION_SECRET ? "" : "# ", o->name, o->by_default);
}

void config_write_env_example(struct buf *out)
{
    buf_append_z(out,
                 "# Settings of claude-proxy. Copy this file to .env, fill in the keys, and "
                 "uncomment what you\n# want to change. docs/configuration.md says more, and what "
                 "SIGHUP reads again.\n");
    for (size_t i = 0; i < PX_ARRAY_LEN(rows); i++) {
        if (rows[i].option)
            write_env_option(rows[i].option, out);
        else
            buf_printf(out, "\n# ---- %s ----\n", rows[i].title);
    }
}

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by `meson compile -C build docs` from src/config/options.def: edit that. -->\n"
    "\n"
    "Nothing needs to be configured to try the proxy (`claude-proxy demo`), and one key to use "
    "it:\n"
    "`ANTHROPIC_API_KEY`. Every setting below can be given in three places; the first that has it\n"
    "wins:\n"
    "\n"
    "1. a **flag**: the name in lower case with dashes, `--request-timeout 60` or\n"
    "   `--request-timeout=60`;\n"
    "2. an **environment variable**: `REQUEST_TIMEOUT=60`;\n"
    "3. a line of the **`.env` file** in the directory that the program was started in, or of the\n"
    "   file that `--env-file PATH` names.\n"
    "\n"
    "A value that is not allowed stops the start with exit code 2 and one line that says what it\n"
    "was, where it came from and what is allowed. An empty value counts as not given, except for\n"
    "settings whose default is empty (keys, lists, paths): there it is a value like any other, so\n"
    "that an empty environment variable can undo a line of the `.env`. SIGHUP reads the `.env`\n"
    "again, and the files of `TLS_CERT` and `TLS_KEY`: settings marked below take effect for new\n"
    "requests, others when the program is started again. Flags and environment variables stay "
    "what\n"
    "they were at the start, and still win ([docs/running.md](running.md#reloads)).\n"
    "\n"
    "**Keys** never appear in logs, error messages or `claude-proxy check`: only whether they are\n"
    "set. Give them in the environment or the `.env`; as flags they work too, but stay in the\n"
    "shell's history, and every user of the machine can see them in the list of processes until\n"
    "the program has overwritten them, which it does first of all.\n"
    "\n"
    "## The `.env` file\n"
    "\n"
    "```sh\n"
    "# A comment. Blank lines are fine, so are CR LF line ends and a byte order mark.\n"
    "PORT=8000                    # a comment needs a blank in front of its #\n"
    "export LOG_LEVEL = debug     # `export` and blanks around = are allowed\n"
    "ANTHROPIC_API_KEY='sk-ant-'  # between single quotes everything stands for itself\n"
    "CORS_ORIGINS=\"https://a.example\"\n"
    "```\n"
    "\n"
    "Between double quotes `\\n`, `\\r`, `\\t`, `\\\"`, `\\\\` and `\\$` are escapes; a backslash "
    "before\n"
    "anything else stands for itself. Quoted values may span lines. Nothing is expanded: `$HOME`\n"
    "is that text. When a name comes twice, the last line wins. The file must be UTF-8 and at\n"
    "most 1 MB. Names that are no settings are left to the other programs that share the file;\n"
    "one that differs from a setting by a letter or two draws a warning.\n";

static void write_markdown_option(const struct option *o, struct buf *out)
{
    char flag[OPTION_FLAG_SIZE];
    option_flag(o, flag, sizeof(flag));
    buf_printf(out, "\n### `%s`\n\n", o->name);
    write_sentence(o->summary, out);
    if (o->details[0])
        buf_printf(out, " %s", o->details);
    buf_printf(out, "\n\nFlag `--%s`. Default: ", flag);
    if (o->by_default[0])
        buf_printf(out, "`%s`", o->by_default);
    else
        buf_append_z(out, "empty");
    buf_append_z(out, ". Allowed: ");
    option_write_allowed(o, out);
    buf_append_z(out, o->when == OPTION_ON_RELOAD ? ". Read again on SIGHUP.\n" : ".\n");
}

void config_write_markdown(struct buf *out)
{
    buf_append_z(out, introduction);
    for (size_t i = 0; i < PX_ARRAY_LEN(rows); i++) {
        if (rows[i].option) {
            write_markdown_option(rows[i].option, out);
            continue;
        }
        buf_printf(out, "\n## %s\n", rows[i].title);
        if (rows[i].introduction[0])
            buf_printf(out, "\n%s\n", rows[i].introduction);
    }
}

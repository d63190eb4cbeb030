/*
 * Finds, reads and compares golden cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "translate/golden.h"
#include "json/json.h"

#define FILES_MAX      64
#define FILE_BYTES_MAX (64u << 20)

const char *golden_root(void)
{
    const char *root = getenv("SOURCE_ROOT");
    return root ? root : ".";
}

struct buf golden_read_file(const char *path)
{
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("cannot open %s", path);
        return b;
    }
    char *to;
    size_t n = 1;
    while (n > 0 && (to = buf_reserve(&b, 65536))) {
        n = fread(to, 1, 65536, f);
        b.len += n;
    }
    fclose(f);
    assert_false(b.failed);
    return b;
}

static void run_case(struct str name, struct str text, void (*run)(const struct golden_case *))
{
    struct golden_case c = {.name = name};
    struct str line;
    while (str_split(&text, '\n', &line)) {
        if (str_starts(line, STR("--- "))) {
            if (c.n == GOLDEN_SECTIONS_MAX)
                fail_msg("%.*s: too many sections", STR_ARG(name));
            c.sections[c.n].name = str_trim((struct str){line.p + 4, line.n - 4});
            c.sections[c.n].text = (struct str){text.p, 0};
            c.n++;
        } else if (c.n > 0) {
            struct str *section = &c.sections[c.n - 1].text;
            section->n = (size_t)(text.p - section->p);
        }
    }
    run(&c);
}

static size_t run_file(const char *path, void (*run)(const struct golden_case *))
{
    struct buf file = golden_read_file(path);
    struct str rest = buf_str(&file), line, name = {0};
    const char *from = NULL;
    size_t cases = 0;
    while (str_split(&rest, '\n', &line)) {
        if (!str_starts(line, STR("=== ")))
            continue;
        if (name.n)
            run_case(name, (struct str){from, (size_t)(line.p - from)}, run);
        name = str_trim((struct str){line.p + 4, line.n - 4});
        from = rest.p;
        cases++;
    }
    if (name.n)
        run_case(name, (struct str){from, (size_t)(rest.p - from)}, run);
    buf_done(&file);
    return cases;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

size_t golden_run(const char *folder, void (*run)(const struct golden_case *))
{
    static char names[FILES_MAX][256];
    char path[1024];
    size_t n = 0, cases = 0;
    snprintf(path, sizeof(path), "%s/tests/golden/%s", golden_root(), folder);
    DIR *dir = opendir(path);
    if (!dir) {
        fail_msg("cannot open %s", path);
        return 0;
    }
    for (struct dirent *e; (e = readdir(dir));)
        if (str_ends(str_of(e->d_name), STR(".golden")) && n < FILES_MAX)
            snprintf(names[n++], sizeof(names[0]), "%s", e->d_name);
    closedir(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/tests/golden/%s/%s", golden_root(), folder, names[i]);
        cases += run_file(path, run);
    }
    return cases;
}

bool golden_has(const struct golden_case *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(c->sections[i].name, str_of(name)))
            return true;
    return false;
}

struct str golden_section(const struct golden_case *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(c->sections[i].name, str_of(name)))
            return c->sections[i].text;
    return STR("");
}

bool golden_says(const struct golden_case *c, const char *name, const char *word)
{
    struct str text = golden_section(c, name), line, part;
    while (str_split(&text, '\n', &line))
        while (str_split(&line, ' ', &part))
            if (str_eq(part, str_of(word)))
                return true;
    return false;
}

void golden_equal(const struct golden_case *c, const char *what, struct str actual,
                  struct str expected)
{
    if (!str_eq(actual, expected))
        fail_msg("%.*s: %s\n--- actual (%zu bytes)\n%.*s\n--- expected (%zu bytes)\n%.*s",
                 STR_ARG(c->name), what, actual.n, STR_ARG(actual), expected.n, STR_ARG(expected));
}

void golden_compact(const struct golden_case *c, struct str json, struct buf *out)
{
    struct json_error err = {0};
    yyjson_doc *doc = json_parse(json, &err);
    if (!doc)
        fail_msg("%.*s: bad JSON: %s: %.*s", STR_ARG(c->name), err.message, STR_ARG(json));
    json_write_value(out, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

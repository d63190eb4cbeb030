/*
 * Test support: reads files of golden cases.
 *
 *   === name of the case
 *   --- section
 *   lines
 *
 * Lines before the first case are comments. A failing check names the case it belongs to.
 */
#ifndef TRANSLATE_GOLDEN_H
#define TRANSLATE_GOLDEN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

#define GOLDEN_SECTIONS_MAX 12

struct golden_case {
    struct str name;
    size_t n;
    struct {
        struct str name, text;
    } sections[GOLDEN_SECTIONS_MAX];
};

/* Runs every case of every file in tests/golden/<folder>, in the files' order; how many there were.
 */
size_t golden_run(const char *folder, void (*run)(const struct golden_case *));
/* Empty when the case has no such section. Ends with the line end of its last line. */
struct str golden_section(const struct golden_case *c, const char *name);
bool golden_has(const struct golden_case *c, const char *name);
/* Whether `word` is one of the blank-separated words of section `name`. */
bool golden_says(const struct golden_case *c, const char *name, const char *word);
/* Fails the test, with both texts, unless they are equal. */
void golden_equal(const struct golden_case *c, const char *what, struct str actual,
                  struct str expected);
/* Appends `json` in its compact form, so that cases may be written with blanks. */
void golden_compact(const struct golden_case *c, struct str json, struct buf *out);
/* A whole file; owned by the caller. Fails the test when it cannot be read. */
struct buf golden_read_file(const char *path);
/* The folder the sources are in. */
const char *golden_root(void);

#endif

/*
 * Collects and writes the lists of parameters that were ignored or changed.
 */
#include "translate/report.h"

#include <string.h>

static bool is_clean(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

static bool has(const struct report_list *list, struct str name)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->names[i], name))
            return true;
    return false;
}

bool report_add_own(struct arena *arena, struct report_list *list, struct str text)
{
    if (has(list, text))
        return true;
    if (list->n == REPORT_NAMES_MAX) {
        list->is_cut = true;
        return true;
    }
    struct str copy = arena_strdup(arena, text);
    if (!copy.p)
        return false;
    list->names[list->n++] = copy;
    return true;
}

bool report_add(struct arena *arena, struct report_list *list, struct str name)
{
    char clean[REPORT_NAME_BYTES_MAX];
    size_t n = name.n < sizeof(clean) ? name.n : sizeof(clean);
    for (size_t i = 0; i < n; i++)
        clean[i] = is_clean(name.p[i]) ? name.p[i] : '_';
    if (n == 0)
        clean[n++] = '_'; /* a field may be named "" */
    return report_add_own(arena, list, (struct str){clean, n});
}

bool report_join(struct arena *arena, const struct report_list *list, struct str *ret)
{
    size_t bytes = 0;
    *ret = (struct str){"", 0};
    if (list->n == 0)
        return true;
    for (size_t i = 0; i < list->n; i++)
        bytes += list->names[i].n + 1;
    char *p = arena_alloc(arena, bytes + 4), *at = p;
    if (!p)
        return false;
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            *at++ = ',';
        memcpy(at, list->names[i].p, list->names[i].n);
        at += list->names[i].n;
    }
    if (list->is_cut) {
        memcpy(at, ",...", 4);
        at += 4;
    }
    *ret = (struct str){p, (size_t)(at - p)};
    return true;
}

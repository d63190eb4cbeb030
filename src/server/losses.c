/*
 * The lists of a request -> names that there are few of, whatever clients send.
 */
#include "server/losses.h"

#include <string.h>

#include "base/log.h"
#include "translate/request.h"

#define LINE_BYTES_MAX (TALLY_NAMES_MAX * (TALLY_NAME_BYTES_MAX + 24))

static const char ignored[] = "ignored", modified[] = "modified", learned[] = "learned";

/* Members of `messages` that are worth a count of their own. */
static const char *const members[] = {
    "messages.reasoning_details",
    "messages.thinking_blocks",
    "messages.content_blocks",
    "messages.content.thinking",
    "messages.name",
};

/* A field as it is; of what stands in one the field; of the others, which clients invent, none. */
static void count_ignored(struct tally *t, struct str name)
{
    struct str rest = name, field;
    for (size_t i = 0; i < PX_ARRAY_LEN(members); i++)
        if (str_eq(name, str_of(members[i]))) {
            tally_add(t, ignored, name, 1);
            return;
        }
    if (str_split(&rest, '.', &field))
        tally_add(t, ignored, tr_is_field(field) ? field : STR("unknown"), 1);
}

/* "max_tokens=64000(clamped)" as "max_tokens(clamped)". */
static void count_modified(struct tally *t, struct str entry)
{
    char name[TALLY_NAME_BYTES_MAX];
    struct str rest = entry, param;
    if (!str_split(&rest, '=', &param))
        return;
    const char *why = rest.n ? memchr(rest.p, '(', rest.n) : NULL;
    const size_t n_why = why ? rest.n - (size_t)(why - rest.p) : 0;
    if (param.n + n_why > sizeof(name)) {
        tally_add(t, modified, param, 1);
        return;
    }
    memcpy(name, param.p, param.n);
    if (why)
        memcpy(name + param.n, why, n_why);
    tally_add(t, modified, (struct str){name, param.n + n_why}, 1);
}

static void count_learned(struct tally *t, struct str word)
{
    tally_add(t, learned, word, 1);
}

static void each(struct tally *t, struct str list, void (*count)(struct tally *t, struct str name))
{
    struct str name;
    while (str_split(&list, ',', &name))
        if (name.n && !str_eq(name, STR("..."))) /* there were more */
            count(t, name);
}

void losses_count(struct tally *t, const struct request_record *record)
{
    each(t, record->ignored, count_ignored);
    each(t, record->modified, count_modified);
    each(t, record->learned, count_learned);
}

void losses_log(const struct tally *t)
{
    static const char *const kinds[] = {ignored, modified, learned};
    for (size_t i = 0; i < PX_ARRAY_LEN(kinds); i++) {
        struct buf text;
        buf_init(&text, LINE_BYTES_MAX);
        tally_write(t, kinds[i], &text);
        if (text.len)
            log_line(LOG_INFO, "requests by what was not done as asked", LOG_Z("kind", kinds[i]),
                     LOG_S("counts", buf_str(&text)));
        buf_done(&text);
    }
}

/*
 * Looks for members in the text of an event, without a tree: an event is a microsecond's work, and
 * the load generator shares its core with the simulator.
 */
#include "stream.h"

static const struct stream_form forms[] = {
    {"openai",
     {"\"content\":", 10},
     {"\"finish_reason\":", 16},
     {"stop", 4},
     {"", 0},
     {"[DONE]", 6}},
    {"anthropic",
     {"\"text\":", 7},
     {"\"stop_reason\":", 14},
     {"end_turn", 8},
     {"message_stop", 12},
     {"", 0}},
};

const struct stream_form *stream_form_find(const char *name)
{
    for (size_t i = 0; i < PX_ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

void stream_begin(struct stream *s, const struct stream_form *form)
{
    *s = (struct stream){.form = form};
    sse_init(&s->sse);
}

void stream_done(struct stream *s)
{
    sse_done(&s->sse);
}

/* The text of a member that is a string, up to its next quote; .p is NULL when it is none. */
static struct str string_member(struct str data, struct str member)
{
    const char *at = memmem(data.p, data.n, member.p, member.n);
    const char *end = data.p + data.n;
    if (!at)
        return (struct str){0};
    for (at += member.n; at < end && *at == ' ';)
        at++;
    if (at == end || *at++ != '"')
        return (struct str){0};
    const char *quote = memchr(at, '"', (size_t)(end - at));
    return quote ? (struct str){at, (size_t)(quote - at)} : (struct str){0};
}

/* "@1700000000000000 " */
static bool read_stamp(struct str text, int64_t *ret_us)
{
    uint64_t us;
    if (text.n < 3 || text.p[0] != '@' || text.p[text.n - 1] != ' ' ||
        !str_to_u64((struct str){text.p + 1, text.n - 2}, &us) || us > INT64_MAX)
        return false;
    *ret_us = (int64_t)us;
    return true;
}

static void complain(struct stream *s, enum fault fault)
{
    if (s->fault == FAULT_NONE)
        s->fault = fault;
}

static void take_token(struct stream *s, struct str text, int64_t now_us, struct tally *t)
{
    int64_t stamp_us;
    if (s->has_reason || !read_stamp(text, &stamp_us) || stamp_us < s->last_stamp_us) {
        complain(s, FAULT_CONTENT);
        return;
    }
    s->last_stamp_us = stamp_us;
    s->n_tokens++;
    t->n_tokens++;
    spread_add(&t->lag_us, now_us - stamp_us);
}

static void take_event(struct stream *s, const struct sse_event *e, int64_t now_us, struct tally *t)
{
    if (s->is_last)
        complain(s, FAULT_LAST);
    if (str_eq(e->name, s->form->last_name) &&
        (s->form->last_data.n == 0 || str_eq(e->data, s->form->last_data))) {
        s->is_last = true;
        return;
    }
    struct str text = string_member(e->data, s->form->text);
    if (text.n)
        take_token(s, text, now_us, t);
    struct str reason = string_member(e->data, s->form->reason);
    if (!reason.p)
        return;
    s->has_reason = true;
    if (!str_eq(reason, s->form->finish))
        complain(s, FAULT_FINISH);
}

bool stream_take(struct stream *s, struct str bytes, int64_t now_us, struct tally *t)
{
    int64_t before = s->n_tokens;
    struct sse_event event;
    enum sse_result result;
    while ((result = sse_next(&s->sse, &bytes, &event)) == SSE_EVENT)
        take_event(s, &event, now_us, t);
    if (result == SSE_FAILED)
        complain(s, FAULT_CUT);
    return before == 0 && s->n_tokens > 0;
}

enum fault stream_end(struct stream *s, int64_t n_tokens)
{
    if (s->n_tokens != n_tokens)
        complain(s, FAULT_CONTENT);
    if (!s->has_reason)
        complain(s, FAULT_FINISH);
    if (!s->is_last)
        complain(s, FAULT_LAST);
    return s->fault;
}

/*
 * Finds where an event ends (a blank line, whatever the line ends are), then reads its lines. Only
 * the search is incremental; lines are always read from memory that holds the whole event.
 */
#include "translate/sse.h"

#include <string.h>

/* Memory kept between events; more is given back, so that an idle stream costs little. */
#define SSE_KEEP_BYTES 1024

void sse_init(struct sse *p)
{
    *p = (struct sse){0};
    /* Twice: an event of several data lines is joined behind itself. */
    buf_init(&p->held, 2 * (size_t)SSE_EVENT_BYTES_MAX);
}

void sse_done(struct sse *p)
{
    buf_done(&p->held);
}

/* Bytes of `s` before its first line end. */
static size_t line_bytes(struct str s)
{
    const char *lf = memchr(s.p, '\n', s.n);
    size_t n = lf ? (size_t)(lf - s.p) : s.n;
    const char *cr = n ? memchr(s.p, '\r', n) : NULL;
    return cr ? (size_t)(cr - s.p) : n;
}

/*
 * Bytes of `in` up to and with the blank line that ends the event; 0 when it is not there. A '\n'
 * that completes a "\r\n" after that is left to the next event, where it counts for nothing:
 * waiting for it would delay the event.
 */
static size_t event_bytes(struct sse *p, struct str in)
{
    size_t i = 0;
    while (i < in.n) {
        bool is_rest_of_crlf = p->is_after_cr && in.p[i] == '\n';
        p->is_after_cr = false;
        if (is_rest_of_crlf) {
            i++;
            continue;
        }
        size_t n = line_bytes((struct str){in.p + i, in.n - i});
        if (n > 0)
            p->is_in_line = true;
        i += n;
        if (i == in.n)
            break;
        bool is_blank = !p->is_in_line;
        p->is_in_line = false;
        p->is_after_cr = in.p[i++] == '\r';
        if (is_blank)
            return i;
    }
    return 0;
}

/* Moves *rest behind its next line. An empty line more or less means nothing inside an event. */
static bool next_line(struct str *rest, struct str *ret)
{
    if (rest->n == 0)
        return false;
    size_t n = line_bytes(*rest);
    size_t step = n < rest->n ? n + 1 : n;
    *ret = (struct str){rest->p, n};
    *rest = (struct str){rest->p + step, rest->n - step};
    return true;
}

/* Whether `line` is the field `name`; its value then, without the one blank behind the colon. */
static bool is_field(struct str line, struct str name, struct str *ret)
{
    if (!str_starts(line, name))
        return false;
    struct str v = {line.p + name.n, line.n - name.n};
    if (v.n > 0 && v.p[0] != ':')
        return false;
    size_t skip = v.n > 1 && v.p[1] == ' ' ? 2 : v.n > 0;
    *ret = (struct str){v.p + skip, v.n - skip};
    return true;
}

/* Reads the fields of a whole event; the number of its data lines. `data` is the first of them. */
static size_t read_fields(struct str event, struct sse_event *ret)
{
    size_t data_lines = 0;
    struct str line, value;
    *ret = (struct sse_event){0};
    while (next_line(&event, &line)) {
        if (is_field(line, STR("event"), &value))
            ret->name = value;
        else if (is_field(line, STR("data"), &value) && data_lines++ == 0)
            ret->data = value;
    }
    return data_lines;
}

/* Joins the data lines of `event` at the end of `held`, which has room for them. */
static struct str join_data(struct buf *held, struct str event)
{
    size_t from = held->len, lines = 0;
    struct str line, value;
    while (next_line(&event, &line)) {
        if (!is_field(line, STR("data"), &value))
            continue;
        if (lines++ > 0)
            buf_append_char(held, '\n');
        buf_append_str(held, value);
    }
    return (struct str){held->data + from, held->len - from};
}

/* Several data lines: rare, and the only events that need their bytes moved. */
static bool read_joined(struct sse *p, struct str event, struct sse_event *ret)
{
    size_t at = 0; /* of the event in `held`: not 0 behind a byte order mark */
    if (p->is_spent)
        at = (size_t)(event.p - p->held.data);
    else if (!buf_append_str(&p->held, event))
        return false;
    p->is_spent = true;
    /* Reserved first: `event` and what is found in it must stay where they are while joining. */
    if (!buf_reserve(&p->held, event.n))
        return false;
    event.p = p->held.data + at;
    read_fields(event, ret);
    ret->data = join_data(&p->held, event);
    return true;
}

static void forget_spent(struct sse *p)
{
    if (!p->is_spent)
        return;
    p->is_spent = false;
    buf_reset(&p->held);
    if (p->held.cap > SSE_KEEP_BYTES)
        buf_done(&p->held);
}

static bool hold(struct sse *p, struct str s)
{
    return s.n <= SSE_EVENT_BYTES_MAX - p->held.len && buf_append_str(&p->held, s);
}

/* The rest of a "\r\n" whose '\r' ended an event: the next event must not begin with it. */
static void skip_rest_of_crlf(struct sse *p, struct str *bytes)
{
    if (!p->is_after_cr || p->held.len > 0 || bytes->p[0] != '\n')
        return;
    p->is_after_cr = false;
    *bytes = (struct str){bytes->p + 1, bytes->n - 1};
}

/* Takes the next whole event off *bytes, or all of *bytes into `held`. */
static enum sse_result take_event(struct sse *p, struct str *bytes, struct str *ret)
{
    size_t n = event_bytes(p, *bytes);
    struct str part = {bytes->p, n ? n : bytes->n};
    *bytes = (struct str){bytes->p + part.n, bytes->n - part.n};
    *ret = part;
    if (n == 0 || p->held.len > 0) {
        if (!hold(p, part))
            return SSE_FAILED;
        *ret = buf_str(&p->held);
        p->is_spent = n > 0;
    }
    if (n == 0)
        return SSE_MORE;
    if (!p->is_begun && str_starts(*ret, STR("\xef\xbb\xbf")))
        *ret = (struct str){ret->p + 3, ret->n - 3};
    p->is_begun = true;
    /* In one read or in many: the limit is the same. */
    return ret->n <= SSE_EVENT_BYTES_MAX ? SSE_EVENT : SSE_FAILED;
}

enum sse_result sse_next(struct sse *p, struct str *bytes, struct sse_event *ret)
{
    for (;;) {
        forget_spent(p);
        if (bytes->n > 0)
            skip_rest_of_crlf(p, bytes);
        if (bytes->n == 0)
            return SSE_MORE;
        struct str event;
        enum sse_result result = take_event(p, bytes, &event);
        if (result != SSE_EVENT)
            return result;
        size_t data_lines = read_fields(event, ret);
        if (data_lines > 1 && !read_joined(p, event, ret))
            return SSE_FAILED;
        if (data_lines > 0)
            return SSE_EVENT;
    }
}

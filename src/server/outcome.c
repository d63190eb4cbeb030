/*
 * What the calls of a request came to, all its choices together: for the access log, the metrics,
 * the limits and the headers of a whole answer.
 */
#include "server/outcome.h"

#include "server/attempt.h"
#include "translate/usage.h"

struct tr_usage outcome_usage(const struct request *r)
{
    struct tr_usage sum = {0};
    EACH_LEG(r, leg)
    if (leg->stream)
        sum = usage_sum(&sum, tr_stream_usage(leg->stream));
    EACH_LEG(r, leg)
    if (leg->spare)
        sum = usage_sum(&sum, tr_stream_usage(leg->spare));
    return sum;
}

struct str outcome_model(const struct request *r)
{
    EACH_LEG(r, leg)
    if (leg->stream && tr_stream_model(leg->stream).n)
        return tr_stream_model(leg->stream);
    return (struct str){0};
}

size_t outcome_key(const struct request *r)
{
    EACH_LEG(r, leg)
    if (leg->tried_keys != 0 && leg->key < UPSTREAM_KEYS_MAX)
        return leg->key + 1;
    return 0;
}

bool outcome_has_finish(const struct request *r, struct str reason)
{
    EACH_LEG(r, leg)
    if (leg->stream && str_eq(tr_stream_finish_reason(leg->stream), reason))
        return true;
    return false;
}

bool outcome_write_unmet(const struct request *r, struct buf *out)
{
    if (r->n_done < r->n_legs)
        return false;
    EACH_LEG(r, leg)
    {
        struct str unmet = tr_stream_unmet(leg->stream);
        if (unmet.n == 0)
            continue;
        if (r->n_legs > 1)
            buf_printf(out, "choices[%zu] ", (size_t)(leg - r->legs));
        return buf_append_str(out, unmet);
    }
    return false;
}

static int64_t tokens_of(const struct tr_stream *s)
{
    const struct tr_usage *u = tr_stream_usage(s);
    return u->input + u->cache_write + u->cache_read + u->output;
}

static int64_t used_tokens(const struct leg *leg)
{
    const struct request *r = leg->request;
    const int64_t used =
        (leg->stream ? tokens_of(leg->stream) : 0) + (leg->spare ? tokens_of(leg->spare) : 0);
    if (used > 0)
        return used;
    /* Nothing was counted. A call that was refused or never arrived cost nothing; one that was
     * cut off before the first count has cost its input, as far as we can tell. */
    const bool cost_nothing = !leg->was_sent || leg->status >= 400 ||
                              r->end == END_UPSTREAM_UNREACHABLE || r->end == END_OUT_OF_MEMORY;
    return cost_nothing ? 0 : r->ticket.tokens / (int64_t)r->n_legs;
}

int64_t outcome_used_tokens(const struct request *r)
{
    int64_t used = 0;
    EACH_LEG(r, leg)
    used += used_tokens(leg);
    return used;
}

/*
 * Remembers the last good and the last bad sign of the upstream.
 */
#include "server/health.h"

#include <stdio.h>

/* What says that the upstream would not serve the next request either. */
static bool is_failure(int status)
{
    return status >= 500 || status == 401 || status == 403;
}

static void saw_failure(struct health *h, int64_t now_us, int failure)
{
    atomic_store(&h->last_failure, failure);
    atomic_store(&h->last_failed_us, now_us);
}

void health_saw_status(struct health *h, int64_t now_us, int status)
{
    if (is_failure(status))
        saw_failure(h, now_us, status);
    else
        atomic_store(&h->last_ok_us, now_us);
}

void health_saw_failure(struct health *h, int64_t now_us, enum upstream_failure why)
{
    saw_failure(h, now_us, -1 - (int)why);
}

const char *health_failure_word(enum upstream_failure why)
{
    switch (why) {
    case UPSTREAM_UNREACHABLE:
        return "unreachable";
    case UPSTREAM_DISCONNECTED:
        return "disconnected";
    case UPSTREAM_TIMED_OUT:
        return "timed_out";
    case UPSTREAM_BAD_ANSWER:
        return "bad_answer";
    case UPSTREAM_CLOSING:
        return "closing";
    }
    return "";
}

/* "timed_out", "http_529" */
static void name_failure(int failure, char *to, size_t size)
{
    if (failure >= 0)
        snprintf(to, size, "http_%d", failure);
    else
        snprintf(to, size, "%s", health_failure_word((enum upstream_failure)(-1 - failure)));
}

static void write_age(struct buf *out, const char *name, int64_t at_us, int64_t now_us)
{
    if (at_us == 0)
        buf_printf(out, ",\"%s\":null", name);
    else
        buf_printf(out, ",\"%s\":%lld", name,
                   (long long)(now_us > at_us ? (now_us - at_us) / 1000000 : 0));
}

void health_write(const struct health *h, int64_t now_us, bool is_draining, struct buf *out)
{
    const int64_t ok_us = atomic_load(&h->last_ok_us), failed_us = atomic_load(&h->last_failed_us);
    const bool is_failing = failed_us > ok_us;
    const char *status = is_failing ? "failing" : ok_us ? "ok" : "unknown";
    buf_printf(out, "{\"status\":\"%s\",\"upstream\":{\"status\":\"%s\"",
               is_draining ? "draining" : "ok", status);
    write_age(out, "last_ok_seconds_ago", ok_us, now_us);
    if (is_failing) {
        char name[32];
        write_age(out, "last_failed_seconds_ago", failed_us, now_us);
        name_failure(atomic_load(&h->last_failure), name, sizeof(name));
        buf_printf(out, ",\"last_failure\":\"%s\"", name);
    }
    buf_append_z(out, "}}");
}

/*
 * The token bucket. A full bucket is worth one minute; tokens are taken by moving the instant at
 * which it will be full into the future, and flow back as time passes by itself.
 *
 * The time of a token is rounded up, so that rounding never grants more than the limit. What the
 * rounding of a bucketful of single takes adds up to is forgiven (`slack_ns`), so that a limit
 * of 7 a minute grants 7 at once and not 6.
 */
#include "limits/bucket.h"

#define MINUTE_NS ((int64_t)60 * 1000 * 1000 * 1000)
#define US_NS     1000
#define MS_NS     (1000 * 1000)
/* 73 years: later clocks and larger debts count as this, so that no sum can overflow. */
#define TIME_MAX_NS (INT64_MAX / 4)

static int64_t to_ns(int64_t us)
{
    if (us < 0)
        return 0;
    return us > TIME_MAX_NS / US_NS ? TIME_MAX_NS : us * US_NS;
}

/* The time that `n` tokens (n >= 0) are worth, rounded up or down, at most TIME_MAX_NS. */
static int64_t cost_ns(int64_t per_minute, int64_t n, bool up)
{
    __int128 product = (__int128)n * MINUTE_NS;
    __int128 cost = (product + (up ? per_minute - 1 : 0)) / per_minute;
    return cost > TIME_MAX_NS ? TIME_MAX_NS : (int64_t)cost;
}

/* What rounding may have cost; less than one token's time. */
static int64_t slack_ns(int64_t per_minute)
{
    const int64_t below_a_token = MINUTE_NS / per_minute - 1;
    if (below_a_token <= 0)
        return 0;
    return per_minute < below_a_token ? per_minute : below_a_token;
}

/* Once for each call: it may change in between. */
static int64_t limit_of(const struct bucket *b)
{
    return atomic_load_explicit(&b->per_minute, memory_order_relaxed);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t ceil_ms(int64_t ns)
{
    return ns / MS_NS + (ns % MS_NS > 0);
}

static int64_t allowed(int64_t per_minute)
{
    if (per_minute < 0)
        return 0;
    return per_minute > BUCKET_PER_MINUTE_MAX ? BUCKET_PER_MINUTE_MAX : per_minute;
}

void bucket_init(struct bucket *b, int64_t per_minute)
{
    atomic_init(&b->full_at_ns, 0);
    atomic_init(&b->per_minute, allowed(per_minute));
}

/* The instant stays when the limit sinks. When it rises, what is owed is paid off sooner. Who takes
 * in between pays by one of the two limits. */
void bucket_resize(struct bucket *b, int64_t now_us, int64_t per_minute)
{
    const int64_t now = to_ns(now_us), after = allowed(per_minute);
    const int64_t before = atomic_exchange_explicit(&b->per_minute, after, memory_order_relaxed);
    int64_t full_at = atomic_load_explicit(&b->full_at_ns, memory_order_relaxed);
    int64_t next;
    if (before <= 0 || after <= before)
        return;
    do {
        if (full_at <= now)
            return;
        next = now + (int64_t)((__int128)(full_at - now) * before / after) + 1;
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at_ns, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
}

bool bucket_take(struct bucket *b, int64_t now_us, int64_t n, int64_t *ret_wait_ms)
{
    const int64_t limit = limit_of(b);
    if (limit == 0 || n <= 0)
        return true;
    if (n > limit) {
        *ret_wait_ms = -1;
        return false;
    }
    int64_t now = to_ns(now_us);
    int64_t cost = cost_ns(limit, n, true);
    int64_t latest = now + MINUTE_NS + slack_ns(limit); /* full_at of an empty bucket */
    int64_t full_at = atomic_load_explicit(&b->full_at_ns, memory_order_relaxed);
    int64_t next;
    do {
        /* A bucket that has been full for long banks nothing: time before `now` is lost. */
        next = later(full_at, now) + cost;
        if (next > latest) {
            *ret_wait_ms = ceil_ms(next - latest);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at_ns, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void bucket_settle(struct bucket *b, int64_t now_us, int64_t n)
{
    const int64_t limit = limit_of(b);
    if (limit == 0 || n == 0)
        return;
    if (n == INT64_MIN)
        n++; /* its negation does not exist */
    int64_t now = to_ns(now_us);
    /* Given back rounded down, as taken rounded up: no take and refund leaves more than before. */
    int64_t change = n > 0 ? cost_ns(limit, n, true) : -cost_ns(limit, -n, false);
    int64_t full_at = atomic_load_explicit(&b->full_at_ns, memory_order_relaxed);
    int64_t next;
    do {
        next = later(full_at, now) + change;
        if (next > 2 * TIME_MAX_NS)
            next = 2 * TIME_MAX_NS;
        /* Never above full: an instant before `now` would be a credit to a clock that lags. */
        next = later(next, now);
    } while (!atomic_compare_exchange_weak_explicit(&b->full_at_ns, &full_at, next,
                                                    memory_order_relaxed, memory_order_relaxed));
}

struct bucket_level bucket_level(const struct bucket *b, int64_t now_us)
{
    const int64_t limit = limit_of(b);
    if (limit == 0)
        return (struct bucket_level){0};
    struct bucket_level level = {.limit = limit, .remaining = limit};
    int64_t full_at = atomic_load_explicit(&b->full_at_ns, memory_order_relaxed);
    int64_t debt = full_at - to_ns(now_us) - slack_ns(limit);
    if (debt <= 0)
        return level;
    level.reset_ms = ceil_ms(debt);
    level.remaining =
        debt >= MINUTE_NS ? 0 : (int64_t)((__int128)(MINUTE_NS - debt) * limit / MINUTE_NS);
    return level;
}

int64_t bucket_wait_ms(const struct bucket *b, int64_t now_us, int64_t n)
{
    struct bucket copy;
    int64_t wait_ms;
    bucket_init(&copy, b->per_minute);
    atomic_init(&copy.full_at_ns, atomic_load_explicit(&b->full_at_ns, memory_order_relaxed));
    return bucket_take(&copy, now_us, n, &wait_ms) ? 0 : wait_ms;
}

/*
 * A token bucket that many threads share without a lock: one atomic instant, the time at which the
 * bucket will be full again (the "theoretical arrival time" of GCRA). Time is a parameter.
 *
 * Threads may pass clocks that lag behind one another: a late one only finds the bucket emptier.
 */
#ifndef LIMITS_BUCKET_H
#define LIMITS_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The largest per_minute; more is taken as this. Every JSON number up to here is exact. */
#define BUCKET_PER_MINUTE_MAX ((int64_t)1 << 53)

struct bucket {
    _Atomic int64_t full_at_ns; /* monotonic; in the past = full */
    _Atomic int64_t per_minute; /* capacity and refill; 0 = unlimited */
};

struct bucket_level {
    int64_t limit;     /* per minute; 0 = unlimited */
    int64_t remaining; /* tokens there now, 0 .. limit */
    int64_t reset_ms;  /* until full */
};

/* Starts full. A negative `per_minute` means unlimited, as 0 does. */
void bucket_init(struct bucket *b, int64_t per_minute);
/*
 * Another limit from now on, without filling it up: a larger one adds to what is there, of a
 * smaller one as large a part is there as before.
 */
void bucket_resize(struct bucket *b, int64_t now_us, int64_t per_minute);
/*
 * Takes `n` tokens if they are there. On refusal nothing is taken and *ret_wait_ms says when they
 * will be; -1 when `n` is larger than the whole bucket, which no waiting mends.
 */
bool bucket_take(struct bucket *b, int64_t now_us, int64_t n, int64_t *ret_wait_ms);
/* What bucket_take would say, without taking: 0 when they are there. */
int64_t bucket_wait_ms(const struct bucket *b, int64_t now_us, int64_t n);
/* Takes `n` more whatever is there (the bucket may go into debt), or gives back with n < 0. */
void bucket_settle(struct bucket *b, int64_t now_us, int64_t n);
struct bucket_level bucket_level(const struct bucket *b, int64_t now_us);

#endif

/*
 * Reads RFC 3339 instants without the C library's calendar, which depends on locale and time zone.
 */
#include "translate/instant.h"

/* Reads exactly `digits` digits off the front. */
static bool number(struct str *s, size_t digits, int64_t *ret)
{
    uint64_t v;
    if (s->n < digits || !str_to_u64((struct str){s->p, digits}, &v))
        return false;
    *s = (struct str){s->p + digits, s->n - digits};
    *ret = (int64_t)v;
    return true;
}

static bool one_of(struct str *s, char a, char b)
{
    if (s->n == 0 || (s->p[0] != a && s->p[0] != b))
        return false;
    *s = (struct str){s->p + 1, s->n - 1};
    return true;
}

/* Digits behind the point count down to the millisecond, the rest is dropped. */
static bool fraction(struct str *s, int64_t *ret_ms)
{
    int64_t unit = 100, digit;
    if (!one_of(s, '.', '.'))
        return true;
    if (!number(s, 1, &digit))
        return false;
    do {
        *ret_ms += digit * unit;
        unit /= 10;
    } while (number(s, 1, &digit));
    return true;
}

static bool offset(struct str *s, int64_t *ret_minutes)
{
    int64_t hours, minutes;
    if (one_of(s, 'Z', 'z'))
        return true;
    bool is_west = s->n > 0 && s->p[0] == '-';
    if (!one_of(s, '+', '-') || !number(s, 2, &hours) || !one_of(s, ':', ':') ||
        !number(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

/* Days since 1970-01-01. Years begin in March here, so that leap days come last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t month_days = (153 * ((month + 9) % 12) + 2) / 5;
    return 365 * y + y / 4 - y / 100 + y / 400 + month_days + day - 1 - 719468;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap);
}

bool instant_parse(struct str s, int64_t *ret_unix_ms)
{
    int64_t year, month, day, hour, minute, second, ms = 0, east = 0;
    if (!number(&s, 4, &year) || !one_of(&s, '-', '-') || !number(&s, 2, &month) ||
        !one_of(&s, '-', '-') || !number(&s, 2, &day) || !one_of(&s, 'T', 't'))
        return false;
    if (!number(&s, 2, &hour) || !one_of(&s, ':', ':') || !number(&s, 2, &minute) ||
        !one_of(&s, ':', ':') || !number(&s, 2, &second) || !fraction(&s, &ms) ||
        !offset(&s, &east) || s.n > 0)
        return false;
    if (!is_date(year, month, day) || hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - east;
    *ret_unix_ms = (minutes * 60 + second) * 1000 + ms;
    return true;
}

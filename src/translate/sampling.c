/*
 * temperature, top_p and top_k, and the API version that goes with them: the newest version knows
 * no sampling at all, the older one is used only for models and requests that do.
 */
#include <math.h>
#include <stdio.h>

#include "translate/translation.h"

#define VERSION_SAMPLING   "2023-06-01"
#define TOP_P_MIN_THINKING 0.95
#define VERSION_NEWEST     "2026-10-21"

static bool read_range(struct translation *t, enum field f, const char *name, double max,
                       struct str *ret, double *ret_value)
{
    yyjson_val *v = t->field[f];
    *ret = (struct str){0};
    if (!v)
        return true;
    if (!want_number(t, name, v, ret_value))
        return false;
    if (*ret_value < 0.0)
        return refuse(t, "decimal_below_min_value", name,
                      "Invalid '%s': decimal below minimum value. Expected a value >= 0.", name);
    if (*ret_value > max)
        return refuse(t, "decimal_above_max_value", name,
                      "Invalid '%s': decimal above maximum value. Expected a value <= %g.", name,
                      max);
    *ret = json_number_text(v);
    return true;
}

static bool is_same(double a, double b)
{
    return !(a < b) && !(a > b);
}

/*
 * `v`, from 0 to 1, if it is a number of thousandths, as what an operator writes mostly is: the
 * quotient is the double that its decimal text is read as. Empty if it is none.
 */
static struct str thousandths_of(struct translation *t, double v)
{
    const int k = (int)(v * 1000.0 + 0.5);
    if (!is_same(k / 1000.0, v))
        return (struct str){0};
    char text[] = {(char)('0' + k / 1000), '.', (char)('0' + k / 100 % 10),
                   (char)('0' + k / 10 % 10), (char)('0' + k % 10)};
    size_t n = sizeof(text);
    while (text[n - 1] == '0' && n > 2)
        n--;
    return arena_strdup(t->arena, (struct str){text, n == 2 ? 1 : n});
}

/* The shortest text that reads back as `v`. */
static struct str number_of(struct translation *t, double v)
{
    const struct str usual = thousandths_of(t, v);
    if (usual.n)
        return usual;
    for (int digits = 1; digits <= 17; digits++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%.*g", digits, v);
        double back;
        if (n > 0 && str_to_double((struct str){text, (size_t)n}, &back) && is_same(back, v))
            return arena_strdup(t->arena, (struct str){text, (size_t)n});
    }
    return (struct str){0};
}

/* The operator's default: where the client said nothing of its own that it could contradict. */
static bool use_default(struct translation *t)
{
    double v = t->policy->temperature;
    if (t->sampling.temperature.n || t->sampling.top_p.n || !isfinite(v))
        return true;
    v = v < 0.0 ? 0.0 : v > 1.0 ? 1.0 : v;
    t->sampling.temperature = number_of(t, v);
    return t->sampling.temperature.p || refuse_memory(t);
}

static bool honour(struct translation *t, double temperature, double top_p)
{
    struct sampling *s = &t->sampling;
    if (s->temperature.n && temperature > 1.0) {
        if (!modify_param(t, "decimal_above_max_value", "temperature", "temperature=1.0(clamped)"))
            return false;
        s->temperature = STR("1");
    }
    if (s->temperature.n && s->top_p.n && !t->model.takes_both_sampling) {
        s->top_p = (struct str){0};
        if (top_p < 1.0 && !ignore_param(t, STR("top_p")))
            return false;
    }
    return use_default(t);
}

/* 1 is what the model does anyway: dropping it changes nothing. */
static bool drop(struct translation *t, double temperature, double top_p)
{
    struct sampling *s = &t->sampling;
    if (s->temperature.n && (temperature < 1.0 || temperature > 1.0) &&
        !ignore_param(t, STR("temperature")))
        return false;
    if (s->top_p.n && top_p < 1.0 && !ignore_param(t, STR("top_p")))
        return false;
    if (s->top_k.n && !ignore_param(t, STR("top_k")))
        return false;
    *s = (struct sampling){{0}, {0}, {0}};
    return true;
}

/* What thinking leaves of them (docs: extended thinking): no temperature but 1, no top_k. */
static bool honour_thinking(struct translation *t, double temperature, double top_p)
{
    struct sampling *s = &t->sampling;
    struct str kept = top_p >= TOP_P_MIN_THINKING ? s->top_p : (struct str){0};
    double dropped_top_p = kept.n ? 1.0 : top_p;
    if (!drop(t, temperature, dropped_top_p))
        return false;
    s->top_p = kept;
    return true;
}

static bool read_top_k(struct translation *t)
{
    yyjson_val *v = t->field[FIELD_top_k];
    int64_t k;
    if (!v)
        return true;
    if (!want_int(t, "top_k", v, &k))
        return false;
    if (k < 0)
        return refuse(t, "integer_below_min_value", "top_k",
                      "Invalid 'top_k': integer below minimum value. Expected a value >= 0.");
    t->sampling.top_k = json_number_text(v);
    return true;
}

bool sampling_settle(struct translation *t)
{
    double temperature = 1.0, top_p = 1.0;
    struct sampling *s = &t->sampling;
    if (!read_range(t, FIELD_temperature, "temperature", 2.0, &s->temperature, &temperature) ||
        !read_range(t, FIELD_top_p, "top_p", 1.0, &s->top_p, &top_p) || !read_top_k(t))
        return false;
    enum tr_version pinned = t->policy->version;
    bool is_taken = t->model.takes_sampling && pinned != TR_VERSION_2026_10_21;
    bool is_thinking = is_taken && reasoning_is_on(t);
    if (is_thinking ? !honour_thinking(t, temperature, top_p)
        : is_taken  ? !honour(t, temperature, top_p)
                    : !drop(t, temperature, top_p))
        return false;
    bool is_sent = s->temperature.n || s->top_p.n || s->top_k.n;
    bool is_refused = (t->policy->amend.refuses & TR_REFUSES_VERSION) && pinned == TR_VERSION_AUTO;
    bool is_old =
        pinned == TR_VERSION_2023_06_01 || (pinned == TR_VERSION_AUTO && is_sent) || is_refused;
    t->out->version = is_old ? VERSION_SAMPLING : VERSION_NEWEST;
    /* Nothing of the client's own is lost by it, so that it is said but not refused. */
    return !is_refused || is_sent ||
           report_add_own(t->arena, &t->report.modified, STR("anthropic-version=2023-06-01")) ||
           refuse_memory(t);
}

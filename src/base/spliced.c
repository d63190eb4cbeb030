/*
 * Spliced bytes. There are as many splices as pictures in a request: they are walked from the
 * first.
 */
#include "base/spliced.h"

size_t spliced_bytes(const struct spliced *s)
{
    size_t n = s->own.n;
    for (size_t i = 0; i < s->n_splices; i++)
        n += s->splices[i].text.n;
    return n;
}

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

struct str spliced_run(const struct spliced *s, size_t from)
{
    size_t at = 0; /* of the own bytes that are passed */
    for (size_t i = 0; i < s->n_splices; i++) {
        const struct splice *splice = &s->splices[i];
        const struct str own = {s->own.p + at, splice->at - at};
        if (from < own.n)
            return behind(own, from);
        from -= own.n;
        if (from < splice->text.n)
            return behind(splice->text, from);
        from -= splice->text.n;
        at = splice->at;
    }
    const struct str rest = behind(s->own, at);
    return behind(rest, from < rest.n ? from : rest.n);
}

size_t spliced_read(const struct spliced *s, size_t from, char *to, size_t n)
{
    size_t done = 0;
    while (done < n) {
        struct str run = spliced_run(s, from + done);
        if (run.n == 0)
            break;
        if (run.n > n - done)
            run.n = n - done;
        memcpy(to + done, run.p, run.n);
        done += run.n;
    }
    return done;
}

bool spliced_eq(const struct spliced *a, const struct spliced *b)
{
    if (a->n_splices != b->n_splices || !str_eq(a->own, b->own))
        return false;
    for (size_t i = 0; i < a->n_splices; i++) {
        const struct splice *x = &a->splices[i], *y = &b->splices[i];
        if (x->at != y->at || x->text.p != y->text.p || x->text.n != y->text.n)
            return false;
    }
    return true;
}

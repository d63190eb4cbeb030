/*
 * The queue: order within a key, turns between keys, who is passed over, who is displaced, and that
 * places can go at any time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "limits/queue.h"

#define SECOND_US INT64_C(1000000)
#define FOREVER   INT64_MAX

/* Somebody who waits. */
struct guest {
    struct queue_place place;
    char name;
    int64_t wait_ms; /* what it says when it is asked */
};

static int64_t ask(void *arg, struct queue_place *p)
{
    char *asked = arg;
    struct guest *g = LIST_OF(p, struct guest, place);
    if (asked)
        asked[strlen(asked)] = g->name; /* there are zeros behind it */
    return g->wait_ms;
}

static struct guest *serve(struct queue *q, int64_t now_us)
{
    struct queue_place *next;
    int64_t wait_ms;
    struct queue_place *p = queue_serve(q, now_us, ask, NULL, &next, &wait_ms);
    assert_null(next && p);
    return p ? LIST_OF(p, struct guest, place) : NULL;
}

/* Names of all in the order in which they are served. */
static void check_order(struct queue *q, const char *want)
{
    char order[256] = "";
    for (size_t i = 0; i < sizeof(order) - 1; i++) {
        struct guest *g = serve(q, 0);
        if (!g)
            break;
        order[i] = g->name;
    }
    assert_string_equal(order, want);
    assert_int_equal(q->n, 0);
}

static void join(struct queue *q, struct guest *g, char name, uint64_t key)
{
    struct queue_place *displaced;
    g->name = name;
    assert_true(queue_join(q, &g->place, key, FOREVER, 1000, &displaced));
    assert_null(displaced);
}

/* "a1 b1 c2": guests by name and key. */
static void join_all(struct queue *q, struct guest *guests, const char *who)
{
    for (size_t i = 0; who[i * 3]; i++) {
        join(q, &guests[i], who[i * 3], (uint64_t)(who[i * 3 + 1] - '0'));
        if (!who[i * 3 + 2])
            return;
    }
}

static void first_come_first_served(void **state)
{
    (void)state;
    struct queue q;
    struct guest guests[5] = {0};
    queue_init(&q);
    check_order(&q, "");
    join_all(&q, guests, "a1 b1 c1 d1 e1");
    assert_int_equal(q.n, 5);
    check_order(&q, "abcde");
}

static void keys_take_turns(void **state)
{
    (void)state;
    struct queue q;
    struct guest guests[9] = {0};
    queue_init(&q);
    join_all(&q, guests, "a1 b1 c1 d1 e1 A2 B2 x3 y3");
    check_order(&q, "aAxbBycde");
    /* Who has been served stands behind all others, whoever comes next. */
    memset(guests, 0, sizeof(guests));
    join_all(&q, guests, "a1 b1 A2");
    assert_int_equal(serve(&q, 0)->name, 'a');
    join(&q, &guests[3], 'x', 3);
    check_order(&q, "Abx");
}

static void a_flood_of_one_key_delays_another_by_one(void **state)
{
    (void)state;
    struct queue q;
    struct guest flood[500] = {0}, one = {0};
    queue_init(&q);
    for (size_t i = 0; i < PX_ARRAY_LEN(flood); i++)
        join(&q, &flood[i], 'f', 7);
    join(&q, &one, 'o', 8);
    assert_int_equal(serve(&q, 0)->name, 'f');
    assert_int_equal(serve(&q, 0)->name, 'o');
}

static void leavers_are_forgotten_wherever_they_stand(void **state)
{
    (void)state;
    /* The order of the keys is as it was: an heir has the place of who left. */
    const struct {
        const char *leave, *left;
    } cases[] = {
        {"", "aAxbc"}, {"a", "bAxc"}, {"b", "aAxc"}, {"c", "aAxb"}, {"A", "axbc"}, {"x", "aAbc"},
        {"ab", "cAx"}, {"abc", "Ax"}, {"cba", "Ax"}, {"Ax", "abc"}, {"bAa", "cx"}, {"xcbAa", ""},
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(cases); i++) {
        struct queue q;
        struct guest guests[5] = {0};
        queue_init(&q);
        join_all(&q, guests, "a1 b1 c1 A2 x3");
        for (const char *who = cases[i].leave; *who; who++)
            for (size_t g = 0; g < PX_ARRAY_LEN(guests); g++)
                if (guests[g].name == *who)
                    queue_leave(&q, &guests[g].place);
        assert_int_equal(q.n, 5 - strlen(cases[i].leave));
        check_order(&q, cases[i].left);
        queue_leave(&q, &guests[0].place); /* twice is harmless */
        assert_int_equal(q.n, 0);
    }
}

static void a_full_queue_refuses_or_displaces(void **state)
{
    (void)state;
    struct queue q;
    struct guest guests[6] = {0};
    struct queue_place *displaced;
    queue_init(&q);
    for (size_t i = 0; i < 4; i++)
        assert_true(queue_join(&q, &guests[i].place, 1, FOREVER, 4, &displaced));
    /* Its own key never makes room. */
    assert_false(queue_has_room(&q, 1, 4));
    assert_false(queue_join(&q, &guests[4].place, 1, FOREVER, 4, &displaced));
    assert_false(guests[4].place.is_waiting);
    /* Another takes from it, the last first, until both have as many. */
    for (size_t i = 0; i < 2; i++) {
        assert_true(queue_has_room(&q, 2, 4));
        assert_true(queue_join(&q, &guests[4 + i].place, 2, FOREVER, 4, &displaced));
        assert_ptr_equal(displaced, &guests[3 - i].place);
        assert_false(displaced->is_waiting);
        assert_int_equal(q.n, 4);
    }
    struct guest late = {0};
    assert_false(queue_join(&q, &late.place, 2, FOREVER, 4, &displaced));
    assert_null(displaced);
    assert_true(queue_join(&q, &late.place, 3, FOREVER, 4, &displaced));
    assert_non_null(displaced);
    assert_int_equal(q.n, 4);
    /* All have one or two of four: a fifth key is not better off than those. */
    struct guest others[2] = {0};
    assert_true(queue_join(&q, &others[0].place, 4, FOREVER, 4, &displaced));
    assert_false(queue_join(&q, &others[1].place, 5, FOREVER, 4, &displaced));
    struct guest nobody = {0};
    struct queue empty;
    queue_init(&empty);
    assert_false(queue_join(&empty, &nobody.place, 1, FOREVER, 0, &displaced));
}

static void who_can_be_served_in_time_is_waited_for(void **state)
{
    (void)state;
    struct queue q;
    struct guest guests[3] = {0};
    struct queue_place *next;
    int64_t wait_ms;
    char asked[8] = "";
    queue_init(&q);
    join_all(&q, guests, "a1 b1 c2");
    guests[0].wait_ms = 1500;
    assert_null(queue_serve(&q, 0, ask, asked, &next, &wait_ms));
    assert_string_equal(asked, "a"); /* however little the others want */
    assert_ptr_equal(next, &guests[0].place);
    assert_int_equal(wait_ms, 1500);
    guests[0].wait_ms = QUEUE_BLOCKED;
    assert_null(queue_serve(&q, 0, ask, NULL, &next, &wait_ms));
    assert_ptr_equal(next, &guests[0].place);
    assert_int_equal(wait_ms, QUEUE_BLOCKED);
    guests[0].wait_ms = QUEUE_TAKEN;
    check_order(&q, "acb");
}

static void who_cannot_be_served_in_time_is_passed_over(void **state)
{
    (void)state;
    struct queue q;
    struct guest large = {.name = 'l', .wait_ms = 5000}, small = {.name = 's'},
                 other = {.name = 'o'};
    struct queue_place *displaced;
    queue_init(&q);
    assert_true(queue_join(&q, &large.place, 1, 10 * SECOND_US, 9, &displaced));
    assert_true(queue_join(&q, &small.place, 1, 10 * SECOND_US, 9, &displaced));
    assert_true(queue_join(&q, &other.place, 2, 10 * SECOND_US, 9, &displaced));
    assert_null(serve(&q, 0));
    assert_null(serve(&q, 5 * SECOND_US)); /* exactly in time */
    assert_ptr_equal(serve(&q, 6 * SECOND_US), &small);
    assert_ptr_equal(serve(&q, 6 * SECOND_US), &other); /* the key has had its turn */
    assert_null(serve(&q, 6 * SECOND_US));
    assert_int_equal(q.n, 1);
    large.wait_ms = QUEUE_NEVER;
    struct queue_place *next;
    int64_t wait_ms;
    assert_null(queue_serve(&q, 0, ask, NULL, &next, &wait_ms));
    assert_null(next);
    assert_int_equal(wait_ms, QUEUE_BLOCKED);
    large.wait_ms = QUEUE_TAKEN; /* something was given back after all */
    assert_ptr_equal(serve(&q, 6 * SECOND_US), &large);
}

static void one_look_asks_so_many_at_most(void **state)
{
    (void)state;
    struct queue q;
    struct guest guests[2 * QUEUE_PASSED_MAX] = {0};
    struct queue_place *next;
    int64_t wait_ms;
    char asked[sizeof(guests) / sizeof(*guests) + 1] = "";
    queue_init(&q);
    for (size_t i = 0; i < PX_ARRAY_LEN(guests); i++) {
        join(&q, &guests[i], 'g', i % 3);
        guests[i].wait_ms = QUEUE_NEVER;
    }
    assert_null(queue_serve(&q, 0, ask, asked, &next, &wait_ms));
    assert_int_equal(strlen(asked), QUEUE_PASSED_MAX);
}

/* Against a model: for each key an array, and a list of keys. */
static void chance_against_a_model(void **state)
{
    (void)state;
    enum { KEYS = 4, EACH = 16 };
    struct queue q;
    struct guest guests[KEYS][EACH] = {0}, *lines[KEYS][EACH];
    size_t n[KEYS] = {0}, turns[KEYS], n_turns = 0, total = 0;
    uint32_t seed = 12345;
    queue_init(&q);
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1664525 + 1013904223;
        const size_t key = seed >> 8 & 3, which = seed >> 10 & 15;
        struct guest *g = &guests[key][which];
        if ((seed >> 16) % 3 == 0) { /* serve */
            struct guest *served = serve(&q, 0);
            assert_true((served == NULL) == (total == 0));
            if (!served)
                continue;
            const size_t turn = turns[0];
            assert_ptr_equal(served, lines[turn][0]);
            memmove(turns, turns + 1, --n_turns * sizeof(*turns));
            memmove(lines[turn], lines[turn] + 1, --n[turn] * sizeof(*lines[turn]));
            if (n[turn] > 0)
                turns[n_turns++] = turn;
            total--;
        } else if (!g->place.is_waiting) {
            join(&q, g, 'x', key);
            if (n[key] == 0)
                turns[n_turns++] = key;
            lines[key][n[key]++] = g;
            total++;
        } else { /* leave */
            queue_leave(&q, &g->place);
            size_t at = 0;
            while (lines[key][at] != g)
                at++;
            memmove(&lines[key][at], &lines[key][at + 1], (--n[key] - at) * sizeof(g));
            for (size_t t = 0; n[key] == 0 && t < n_turns; t++)
                if (turns[t] == key)
                    memmove(&turns[t], &turns[t + 1], (--n_turns - t) * sizeof(*turns));
            total--;
        }
        assert_int_equal(q.n, total);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(keys_take_turns),
        cmocka_unit_test(a_flood_of_one_key_delays_another_by_one),
        cmocka_unit_test(leavers_are_forgotten_wherever_they_stand),
        cmocka_unit_test(a_full_queue_refuses_or_displaces),
        cmocka_unit_test(who_can_be_served_in_time_is_waited_for),
        cmocka_unit_test(who_cannot_be_served_in_time_is_passed_over),
        cmocka_unit_test(one_look_asks_so_many_at_most),
        cmocka_unit_test(chance_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

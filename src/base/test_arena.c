/*
 * The arena: alignment, zeroing, limits, and that everything is freed at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdalign.h>
#include <string.h>

#include "base/arena.h"

static void pieces_are_zeroed_and_aligned(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t n = 1; n < 6000; n += 37) {
        unsigned char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n); /* a later piece that overlaps would not be zero */
    }
    arena_done(&a);
}

static void pieces_keep_their_content(void **state)
{
    (void)state;
    struct arena a;
    unsigned char *p[200];
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        p[i] = arena_alloc(&a, i % 7 == 0 ? 3000 : i + 1);
        assert_non_null(p[i]);
        memset(p[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(p[i][k], i);
    arena_done(&a);
}

static void maximum_is_kept(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100);
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, 49));
    assert_non_null(arena_alloc(&a, 32));
    assert_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_true(a.used <= 100);
    assert_true(a.failed);
    arena_done(&a);
    assert_int_equal(a.used, 0);
    assert_false(a.failed);
    assert_non_null(arena_alloc(&a, 64)); /* may be used again, with the same maximum */
    assert_null(arena_alloc(&a, 64));
    arena_done(&a);
}

/* Many tiny pieces must not take more memory than the maximum says. */
static void alignment_counts(void **state)
{
    (void)state;
    struct arena a;
    size_t pieces = 0;
    arena_init(&a, 1600);
    while (pieces < 2000 && arena_alloc(&a, 1))
        pieces++;
    assert_int_equal(pieces, 1600 / alignof(max_align_t));
    arena_done(&a);
}

/* A large piece gets its own block; the one that small pieces come from stays in use. */
static void large_pieces_waste_nothing(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *first = arena_alloc(&a, 16);
    assert_non_null(arena_alloc(&a, 5000));
    char *second = arena_alloc(&a, 16);
    assert_ptr_equal(second, first + 16);
    arena_done(&a);
}

static void copies(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    struct str s = arena_strdup(&a, STR("abc"));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.p, "abc");
    s = arena_strdup(&a, (struct str){NULL, 0});
    assert_int_equal(s.n, 0);
    assert_string_equal(s.p, "");
    s = arena_printf(&a, "%s-%d", "x", 42);
    assert_int_equal(s.n, 4);
    assert_string_equal(s.p, "x-42");
    s = arena_printf(&a, "%s", "");
    assert_string_equal(s.p, "");
    assert_null(arena_printf(&a, "%70000d", 1).p);
    assert_null(arena_strdup(&a, (struct str){"", SIZE_MAX}).p);
    arena_done(&a);
}

static void ends_accept_nothing(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_null(arena_alloc(&a, 1));
    arena_done(&a);
    arena_wipe(&a);
    arena_init(&a, 4096);
    assert_non_null(arena_strdup(&a, STR("secret")).p);
    arena_wipe(&a);
    assert_null(a.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_and_aligned),
        cmocka_unit_test(pieces_keep_their_content),
        cmocka_unit_test(maximum_is_kept),
        cmocka_unit_test(alignment_counts),
        cmocka_unit_test(large_pieces_waste_nothing),
        cmocka_unit_test(copies),
        cmocka_unit_test(ends_accept_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
